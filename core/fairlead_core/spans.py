"""Address ranges as numbers, so that a plan over ten thousand nodes compares integers and not objects."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Final, NamedTuple

from fairlead_core.api import Family

ADDRESS_BITS: Final[dict[Family, int]] = {"IPv4": 32, "IPv6": 128}


class Span(NamedTuple):
    """Addresses first..last (both included) of one family; the order is by family, then by address."""

    version: int
    first: int
    last: int

    @property
    def size(self) -> int:
        return self.last - self.first + 1

    @property
    def family(self) -> Family:
        return "IPv4" if self.version == 4 else "IPv6"

    def overlaps(self, other: Span) -> bool:
        return self.version == other.version and self.first <= other.last and other.first <= self.last

    def contains(self, other: Span) -> bool:
        return self.version == other.version and self.first <= other.first and other.last <= self.last


@lru_cache(
    maxsize=1 << 17
)  # a plan reads the same texts as the one before; parsing them was a third of its time
def parse_span(cidr: str) -> Span | None:
    """The span of a CIDR without host bits (or of an address); None for anything else."""
    try:
        network = ip_network(cidr)
    except ValueError:
        return None
    return span_of(network)


def span_of(network: IPv4Network | IPv6Network) -> Span:
    first = int(network.network_address)
    return Span(network.version, first, first + network.num_addresses - 1)


def cidr_of(version: int, first: int, prefix_length: int) -> str:
    """The canonical text of a network."""
    network = IPv4Network if version == 4 else IPv6Network
    return str(network((first, prefix_length)))


def gaps(total: range, taken: Iterable[tuple[int, int]]) -> Iterator[range]:
    """What of `total` no (low, high) pair of `taken` covers, in ascending order; the pairs may overlap."""
    at = total.start
    for low, high in sorted(taken):
        if low > at:
            yield range(at, min(low, total.stop))
        at = max(at, high + 1)
        if at >= total.stop:
            return
    if at < total.stop:
        yield range(at, total.stop)
