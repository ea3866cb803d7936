"""One block's page in the ledger: which of its addresses are held, which rest, which were never used.

    order of giving   1. never used, ascending      2. longest given back
    never given       reserved ones, those that cool down, anything of a block that is not Active

The first and the last address of an IPv4 block are given like any other: pods have a /32 behind a router, so
no subnet has a network or broadcast address. The first one of an IPv6 block is not: it is the Subnet-Router
anycast address of the prefix (RFC 4291, 2.6.1), which any router that ever gets an address with this prefix
would answer for. Prefixes of 127 and 128 have none (RFC 6164).
"""

from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Final, TypeAlias

from fairlead_core.api import GrantState
from fairlead_core.lease import Address, Key

Network: TypeAlias = IPv4Network | IPv6Network
Span: TypeAlias = tuple[int, int]  # first and last, both included

NEVER_S: Final = float("-inf")
FREE_SHOWN_MAX: Final = 2**31 - 1  # wire counts are int32 for some readers, an IPv6 block may be larger
RESTS_KEPT: Final = 1024


class Page:
    """Addresses are ints here. `granted` is false for a block that only the journal knows of."""

    def __init__(self, network: Network, pool: str) -> None:
        self.network = network
        self.cidr = str(network)
        self.pool = pool
        self.state: GrantState = "Draining"
        self.granted = False
        self.holders: dict[int, Key] = {}
        # An OrderedDict, as the first key of a plain dict costs a walk over all keys deleted before it.
        self._rest: OrderedDict[int, float] = OrderedDict()
        self._parked: dict[int, float] = {}  # given back, but reserved meanwhile
        self._first = int(network.network_address)
        self._last = int(network.broadcast_address)
        self._cursor = self._first
        self._reserved: tuple[Span, ...] = ()
        self.reserve(())

    def address(self, value: int) -> Address:
        """The address of this family that `value` stands for."""
        return IPv4Address(value) if self.network.version == 4 else IPv6Address(value)

    def reserve(self, spans: Iterable[Span]) -> None:
        """Never gives what lies in `spans` from now on; who holds such an address keeps it."""
        anycast = self.network.version == 6 and self.network.prefixlen < 127
        own = ((self._first, self._first),) if anycast else ()
        reserved = _merged((*own, *spans), self._first, self._last)
        if reserved == self._reserved:
            return
        self._reserved = reserved
        self._cursor = self._first
        self._spread(self._resting())

    def fresh(self) -> int | None:
        """The lowest address that nobody has had yet."""
        while self._cursor <= self._last:
            span = self._span_at(self._cursor)
            if span is not None:
                self._cursor = span[1] + 1
            elif self._cursor in self.holders or self._cursor in self._rest:
                self._cursor += 1
            else:
                return self._cursor
        return None

    def rested(self, now: float, cooldown_s: float) -> tuple[float, int] | None:
        """(given back at, address) of the longest resting one, unless even that one still cools down."""
        if not self._rest:
            return None
        address, at = next(iter(self._rest.items()))
        return (at, address) if now - at >= cooldown_s else None

    def hold(self, address: int, key: Key) -> None:
        """`key` has `address` from now on; whether it may is the caller's question."""
        self._rest.pop(address, None)
        self._parked.pop(address, None)
        self.holders[address] = key

    def give_back(self, address: int, at_s: float) -> None:
        """Nobody has `address` since `at_s`; calls come in the order of time."""
        self.holders.pop(address, None)
        if self._is_reserved(address):
            self._parked[address] = at_s
            return
        self._rest[address] = at_s
        self._rest.move_to_end(address)

    def cancel(self, address: int) -> None:
        """`address` was taken and never told to anyone: it is the next to be given, without cool-down."""
        self.give_back(address, NEVER_S)
        if address in self._rest:
            self._rest.move_to_end(address, last=False)

    def clock_set_back(self, now: float) -> None:
        """No rest began in the future: what was given back after `now` counts as given back at `now`."""
        for rests in (self._rest, self._parked):
            for address, at in rests.items():
                rests[address] = min(at, now)

    def rests(self, now: float, cooldown_s: float) -> list[tuple[int, float]]:
        """What a compacted journal has to keep of the addresses that nobody holds, longest resting first.

        All that cool down, and otherwise the newest RESTS_KEPT: older ones count as never used then, which
        keeps them ahead of the others.
        """
        resting = [item for item in self._resting() if item[1] != NEVER_S]
        return resting[-max(RESTS_KEPT, self.cooling(now, cooldown_s)) :]

    def cooling(self, now: float, cooldown_s: float) -> int:
        """Addresses given back less than `cooldown_s` ago."""
        newest_first = reversed(self._rest.values())
        count = 0
        for at in newest_first:
            if now - at >= cooldown_s:
                break
            count += 1
        return count + sum(1 for at in self._parked.values() if now - at < cooldown_s)

    def free(self, now: float, cooldown_s: float) -> int:
        """Addresses that may be given at `now`; none unless the block is granted and Active."""
        if not self.granted or self.state != "Active":
            return 0
        usable = self._last - self._first + 1 - sum(last - first + 1 for first, last in self._reserved)
        held = sum(1 for address in self.holders if not self._is_reserved(address))
        resting = sum(1 for at in self._rest.values() if now - at < cooldown_s)
        return min(usable - held - resting, FREE_SHOWN_MAX)

    def in_use(self, now: float, cooldown_s: float) -> bool:
        """Somebody holds one of its addresses, or had one a moment ago."""
        return bool(self.holders) or self.cooling(now, cooldown_s) > 0

    def adopt(self, other: "Page") -> list[int]:
        """Takes over what `other` knows of this block (cut anew); answers the held addresses it moved."""
        moved = [address for address in other.holders if self._first <= address <= self._last]
        for address in moved:
            self.holders[address] = other.holders.pop(address)
        theirs = [(address, at) for address, at in other._resting() if self._first <= address <= self._last]
        self._spread(sorted(self._resting() + theirs, key=_by_time))
        return moved

    def _resting(self) -> list[tuple[int, float]]:
        return sorted([*self._rest.items(), *self._parked.items()], key=_by_time)

    def _spread(self, resting: list[tuple[int, float]]) -> None:
        self._rest = OrderedDict(item for item in resting if not self._is_reserved(item[0]))
        self._parked = {address: at for address, at in resting if self._is_reserved(address)}

    def _is_reserved(self, address: int) -> bool:
        return self._span_at(address) is not None

    def _span_at(self, address: int) -> Span | None:
        index = bisect_right(self._reserved, address, key=lambda span: span[0]) - 1
        if index < 0 or self._reserved[index][1] < address:
            return None
        return self._reserved[index]


def _by_time(item: tuple[int, float]) -> float:
    return item[1]


def _merged(spans: Iterable[Span], first: int, last: int) -> tuple[Span, ...]:
    """`spans` cut to [first, last], without overlaps, ascending."""
    merged: list[Span] = []
    for low, high in sorted((max(low, first), min(high, last)) for low, high in spans):
        if low > high:
            continue
        if merged and low <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(high, merged[-1][1]))
        else:
            merged.append((low, high))
    return tuple(merged)
