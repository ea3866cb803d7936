"""What has to change for `have` to become `want`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class Changes(Generic[K, V]):
    """`put` holds what is absent or differs, `drop` the keys that nobody wants any more."""

    put: dict[K, V]
    drop: tuple[K, ...]

    def __bool__(self) -> bool:
        return bool(self.put or self.drop)


def diff(have: Mapping[K, V], want: Mapping[K, V]) -> Changes[K, V]:
    """The smallest change from `have` to `want`; both map an identity to its full description.

    Keeps the order of `want` for puts and of `have` for drops, so the same input gives the same plan.
    """
    put = {key: value for key, value in want.items() if have.get(key) != value}
    drop = tuple(key for key in have if key not in want)
    return Changes(put, drop)
