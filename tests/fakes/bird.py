"""A BIRD that remembers what it was given: the port of the BGP target without a daemon."""

from __future__ import annotations

from dataclasses import dataclass, field

from fairlead_agent.ports import PortError
from fairlead_core.bird import BirdConfig
from fairlead_core.birdc import Protocol
from fairlead_core.sessions import Seen


@dataclass
class FakeBird:
    """`away` makes every question a PortError; `refuses` makes it refuse every configuration."""

    away: bool = False
    refuses: bool = False
    config: BirdConfig | None = None
    file: str | None = None
    applied: list[str] = field(default_factory=list)

    def running(self) -> str | None:
        self._answer()
        return self.config.digest if self.config else "start"

    def stored(self) -> str | None:
        return self.file

    def apply(self, config: BirdConfig) -> None:
        self._answer()
        if self.refuses:
            raise PortError("BIRD, configure check: BIRD answered 8002: syntax error")
        self.config, self.file = config, config.text
        self.applied.append(config.text)

    def store(self, config: BirdConfig) -> None:
        self.file = config.text

    def seen(self) -> Seen:
        self._answer()
        names = self.config.protocols.values() if self.config else ()
        return Seen(
            tuple(Protocol(name, "BGP", "up", None, bgp_state="Established") for name in names), (), {}
        )

    def _answer(self) -> None:
        if self.away:
            raise PortError("BIRD at bird.ctl: does not answer: Connection refused")
