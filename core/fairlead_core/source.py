"""A pool as one node has it: where the next address comes from, and what to say when there is none."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from fairlead_core.api import NodePool
from fairlead_core.page import Page

_FAMILIES: Final = ("IPv4", "IPv6")


@dataclass(frozen=True, slots=True)
class Pick:
    """An address that may be given now; `address` as an int of the page's family."""

    page: Page
    address: int


@dataclass(frozen=True, slots=True)
class Source:
    """`pages` are all granted blocks of `pool` on this node, in the order of the spec."""

    pool: NodePool
    pages: tuple[Page, ...]

    @property
    def is_closing(self) -> bool:
        """The node has blocks of this pool and every one is Draining: it gives nothing any more."""
        return bool(self.pages) and not any(page.state == "Active" for page in self.pages)

    def pick(self, now: float) -> Pick | None:
        """The first never used address, otherwise the one that rests longest of all blocks."""
        active = [page for page in self.pages if page.state == "Active"]
        for page in active:
            address = page.fresh()
            if address is not None:
                return Pick(page, address)
        rested = [(found, page) for page in active if (found := page.rested(now, self.pool.cooldown_seconds))]
        if not rested:
            return None
        (_, address), page = min(rested, key=lambda item: item[0])
        return Pick(page, address)

    def shortage(self, node_name: str, now: float) -> str:
        """Why there is no address, with the numbers."""
        if not self.pages:
            return f"pool {self.pool.name}: {node_name} has no block yet"
        total = sum(page.network.num_addresses for page in self.pages)
        if self.is_closing:
            used = sum(len(page.holders) for page in self.pages)
            return f"pool {self.pool.name}: every block of {node_name} is Draining, {used} of {total} in use"
        free = sum(page.free(now, self.pool.cooldown_seconds) for page in self.pages)
        cooling = sum(page.cooling(now, self.pool.cooldown_seconds) for page in self.pages)
        numbers = f"pool {self.pool.name}: {free} of {total} free, {cooling} cooling"
        return f"{numbers}; {node_name} waits for another block"


def obligatory(sources: Iterable[Source]) -> tuple[tuple[Source, ...], ...]:
    """Per family that a pod must get an address of (IPv4 first): the sources to ask, in order.

    Closing ones do not count, unless there is nothing else.
    """
    every = tuple(sources)
    asked = tuple(source for source in every if not source.is_closing) or every
    by_family = (tuple(source for source in asked if source.pool.family == family) for family in _FAMILIES)
    return tuple(family for family in by_family if family)
