"""IPPools as the planner needs them: parsed, checked, and set against each other.

A pool that is wrong, or overlaps an earlier one, is a verdict and not an error: the others go on.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import ip_network
from itertools import pairwise
from typing import Final

from fairlead_core.api import POOL_FINALIZER, Family, IPPool, IPPoolSpec, NodePool, PoolState
from fairlead_core.outcome import Rejected
from fairlead_core.selectors import Test, certain_label, compile_selector
from fairlead_core.spans import ADDRESS_BITS, Span, span_of

BLOCK_SIZE: Final[dict[Family, int]] = {"IPv4": 26, "IPv6": 122}
BLOCK_SIZE_MIN: Final[dict[Family, int]] = {"IPv4": 16, "IPv6": 112}
BLOCKS_PER_CIDR_BITS: Final = 20
NAME_BYTES_MAX: Final = 63  # the name is a label value of metrics
_COMMUNITY: Final = re.compile(r"(\d{1,5}):(\d{1,5})")


@dataclass(frozen=True, slots=True)
class Pool:
    """A pool that may be cut. `age` orders pools: creation time, then name."""

    name: str
    age: tuple[str, str]
    family: Family
    spans: tuple[Span, ...]
    block_size: int
    selects: Test
    label: tuple[str, str] | None
    for_pods: bool
    reserved: tuple[Span, ...]
    state: PoolState
    deleting: bool
    has_finalizer: bool
    node_pool: NodePool

    @property
    def block_addresses(self) -> int:
        return 1 << (ADDRESS_BITS[self.family] - self.block_size)

    @property
    def grants(self) -> bool:
        """Whether nodes may get new blocks."""
        return self.state == "Active" and self.for_pods and not self.deleting

    @property
    def drains(self) -> bool:
        """Whether nodes must give their blocks back."""
        return self.deleting or self.state == "Draining" or not self.for_pods

    @property
    def addresses(self) -> int:
        """Addresses that the pool can give in all."""
        anycast = self._anycast * (sum(span.size for span in self.spans) // self.block_addresses)
        return sum(span.size - self._reserved_in(span) for span in self.spans) - anycast

    def holds(self, span: Span) -> bool:
        return any(own.contains(span) for own in self.spans)

    def capacity(self, block: Span) -> int:
        """Addresses that a node can give from one block."""
        return max(0, block.size - self._reserved_in(block) - self._anycast)

    @property
    def _anycast(self) -> int:
        # The first address of an IPv6 block is the Subnet-Router anycast address (RFC 4291, 2.6.1); /127 has
        # none.
        return 1 if self.family == "IPv6" and self.block_size < 127 else 0

    def _reserved_in(self, span: Span) -> int:
        return sum(
            min(span.last, taken.last) - max(span.first, taken.first) + 1
            for taken in self.reserved
            if taken.overlaps(span)
        )


@dataclass(frozen=True, slots=True)
class PoolBook:
    """All pools by name: the usable ones, oldest first, and why the others are not.

    `leaving` are the rejected ones that are deleted or Draining all the same: their blocks must come back.
    """

    usable: dict[str, Pool]
    rejected: dict[str, Rejected]
    leaving: set[str]


def read_pools(objects: Iterable[IPPool]) -> PoolBook:
    """Sorts pools into usable and rejected ones.

    Of two that overlap the later one (creation time, then name) is rejected with reason Conflict.
    """
    book = PoolBook({}, {}, set())
    accepted: list[tuple[Span, str]] = []
    for item in sorted(objects, key=_age):
        pool = parse_pool(item)
        if isinstance(pool, Pool):
            pool = _without_overlap(pool, accepted)
        if isinstance(pool, Rejected):
            book.rejected[item.metadata.name] = pool
            if item.metadata.deletion_timestamp or item.spec.state == "Draining":
                book.leaving.add(item.metadata.name)
            continue
        book.usable[pool.name] = pool
        accepted += [(span, pool.name) for span in pool.spans]
    return book


def parse_pool(item: IPPool) -> Pool | Rejected:
    """One pool by itself. Rejected (Invalid, TooSmall, BadSelector) says which field is wrong, and how."""
    spec, name = item.spec, item.metadata.name
    spans = _networks("cidrs", spec.cidrs)
    selects = compile_selector(spec.node_selector)
    reserved = _networks("reserved", spec.reserved)
    for part in (spans, selects, reserved, _fault(name, spec)):
        if isinstance(part, Rejected):
            return Rejected(part.reason, f"pool {name}: {part.message}")
    assert not isinstance(spans, Rejected)
    assert not isinstance(selects, Rejected)
    assert not isinstance(reserved, Rejected)
    fault = _space_fault(spec, spans, reserved)
    if fault:
        return Rejected(fault.reason, f"pool {name}: {fault.message}")
    family = spans[0].family
    return Pool(
        name=name,
        age=_age(item),
        family=family,
        spans=spans,
        block_size=spec.block_size or BLOCK_SIZE[family],
        selects=selects,
        label=certain_label(spec.node_selector),
        for_pods="Pod" in spec.uses,
        reserved=_disjoint(reserved),
        state=spec.state,
        deleting=item.metadata.deletion_timestamp is not None,
        has_finalizer=POOL_FINALIZER in item.metadata.finalizers,
        node_pool=_node_pool(name, family, spec),
    )


def _age(item: IPPool) -> tuple[str, str]:
    return (item.metadata.creation_timestamp or "", item.metadata.name)


def _node_pool(name: str, family: Family, spec: IPPoolSpec) -> NodePool:
    communities = tuple(sorted(spec.advertise.communities)) if spec.advertise else ()
    return NodePool(name, family, spec.cooldown_seconds, tuple(sorted(spec.reserved)), communities)


def _networks(field: str, texts: Iterable[str]) -> tuple[Span, ...] | Rejected:
    spans = []
    for text in texts:
        try:
            spans.append(span_of(ip_network(text)))
        except ValueError as error:
            hint = _masked(text)
            return Rejected("Invalid", f"{field}: {error}{f'; write {hint}' if hint else ''}")
    return tuple(spans)


def _masked(text: str) -> str:
    try:
        return str(ip_network(text, strict=False))
    except ValueError:
        return ""


def _fault(name: str, spec: IPPoolSpec) -> Rejected | None:
    if len(name) > NAME_BYTES_MAX:
        return Rejected(
            "Invalid", f"the name has {len(name)} characters, at most {NAME_BYTES_MAX} are possible"
        )
    if not spec.cidrs:
        return Rejected("Invalid", "cidrs is empty")
    if spec.cooldown_seconds < 0:
        return Rejected("Invalid", f"cooldownSeconds is {spec.cooldown_seconds}, not 0 or more")
    for community in spec.advertise.communities if spec.advertise else ():
        match = _COMMUNITY.fullmatch(community)
        if not match or max(map(int, match.groups())) > 65535:
            return Rejected("Invalid", f"advertise.communities: {community!r} is not two numbers up to 65535")
    return None


def _space_fault(spec: IPPoolSpec, spans: tuple[Span, ...], reserved: tuple[Span, ...]) -> Rejected | None:
    if len({span.version for span in spans}) > 1:
        return Rejected("Invalid", "cidrs mixes IPv4 and IPv6; make one pool per family")
    family = spans[0].family
    size, bits = spec.block_size or BLOCK_SIZE[family], ADDRESS_BITS[family]
    if not BLOCK_SIZE_MIN[family] <= size <= bits:
        told = f"blockSize {size} is not in {BLOCK_SIZE_MIN[family]}..{bits} for {family}"
        return Rejected("Invalid", told)
    longest = spec.advertise.max_prefix_length if spec.advertise else None
    if longest is not None and size > longest:
        return Rejected("Invalid", f"blocks of /{size} are longer than advertise.maxPrefixLength {longest}")
    return _cut_fault(spec, spans, bits - size) or _reserved_fault(spec, spans, reserved)


def _cut_fault(spec: IPPoolSpec, spans: tuple[Span, ...], host_bits: int) -> Rejected | None:
    block = 1 << host_bits
    for text, span in zip(spec.cidrs, spans, strict=True):
        if span.size < block:
            told = f"{text} has {span.size} addresses, fewer than one block of {block}"
            return Rejected("TooSmall", told)
        if span.size // block > 1 << BLOCKS_PER_CIDR_BITS:
            told = (
                f"{text} would be cut into {span.size // block} blocks, more than {1 << BLOCKS_PER_CIDR_BITS}"
            )
            return Rejected("Invalid", told)
    inside = sorted(zip(spans, spec.cidrs, strict=True))
    for (first, name), (second, other) in pairwise(inside):
        if first.overlaps(second):
            return Rejected("Invalid", f"cidrs: {name} and {other} overlap")
    return None


def _reserved_fault(spec: IPPoolSpec, spans: tuple[Span, ...], reserved: tuple[Span, ...]) -> Rejected | None:
    for text, span in zip(spec.reserved, reserved, strict=True):
        if not any(own.contains(span) for own in spans):
            return Rejected("Invalid", f"reserved: {text} is outside {', '.join(spec.cidrs)}")
    return None


def _disjoint(spans: tuple[Span, ...]) -> tuple[Span, ...]:
    """CIDRs either contain each other or are apart: keep the outermost."""
    kept: list[Span] = []
    for span in sorted(spans, key=lambda span: (span.first, -span.last)):
        if not (kept and kept[-1].contains(span)):
            kept.append(span)
    return tuple(kept)


def _without_overlap(pool: Pool, accepted: list[tuple[Span, str]]) -> Pool | Rejected:
    for own in pool.spans:
        for span, other in accepted:
            if own.overlaps(span):
                told = f"overlaps the older pool {other}; {other} goes on, {pool.name} gets no blocks"
                return Rejected("Conflict", f"pool {pool.name} {told}")
    return pool
