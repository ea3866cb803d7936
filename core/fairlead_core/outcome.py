"""Expected outcomes that are not success, as values."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rejected:
    """A request that cannot be granted as it is. `reason` is CamelCase, `message` names object and cause."""

    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Waiting:
    """A request that may be granted later without being changed."""

    reason: str
    message: str
