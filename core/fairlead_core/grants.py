"""How many blocks each node shall have: grants by watermark, returns in two steps, drains of whole pools.

    free < wanted                                   reactivate a draining block, else grant one
    free - block.free >= wanted + half a block      drain an empty block (hysteresis: no flapping around
    `wanted`) pool drains, deselects the node, lost the range drain, whatever the need
    Draining, and the agent has confirmed           gone from the spec

Counted per family, because a pod takes one address of each family from whichever pool has one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from fairlead_core.api import Family, GrantState, NodeNetwork
from fairlead_core.holdings import Holding, Slice, follows
from fairlead_core.pools import Pool, PoolBook
from fairlead_core.space import Space

WANTED_MAX: Final = 1024  # one node's word must not empty a pool
NODE_BLOCKS_MAX: Final = 4096  # maxItems of the CRD
FAMILIES: Final[tuple[Family, ...]] = ("IPv4", "IPv6")


@dataclass(slots=True)
class Draft:
    """One living node while a plan is made. `pools` are those that may serve it, oldest first."""

    item: NodeNetwork
    holding: Holding
    pools: tuple[Pool, ...]

    @property
    def confirmed(self) -> bool:
        return follows(self.item)


@dataclass(frozen=True, slots=True)
class Unmet:
    """Addresses of one family that a node lacks, and the pools that might have given them, oldest first."""

    node: str
    family: Family
    addresses: int
    pools: tuple[str, ...]


@dataclass(slots=True)
class Shortage:
    """What grants could not give, and pools that lack the finalizer."""

    unmet: list[Unmet] = field(default_factory=list)
    without_finalizer: set[str] = field(default_factory=set)

    def by_pool(self) -> dict[str, list[tuple[str, int]]]:
        """Per pool the (node, addresses) that it owes."""
        owed: dict[str, list[tuple[str, int]]] = {}
        for unmet in self.unmet:
            for pool in unmet.pools:
                owed.setdefault(pool, []).append((unmet.node, unmet.addresses))
        return owed


@dataclass(frozen=True, slots=True, order=True)
class Request:
    """A node's need in one family; nodes without any block come first."""

    has_blocks: bool
    node: str
    family: Family
    addresses: int


def settle_states(draft: Draft, book: PoolBook) -> None:
    """Decides each block by its pool alone: Active, Draining or gone."""
    serving = {pool.name for pool in draft.pools}
    for piece in draft.holding.slices.values():
        piece.want = _state(piece, book, serving)


def freeze_states(holding: Holding) -> None:
    """Of a node without a Node object: everything stays as it is until the grace is over."""
    for piece in holding.slices.values():
        piece.want = piece.spec_state


def balance(draft: Draft, book: PoolBook) -> Iterator[Request]:
    """Reactivates and drains blocks of one node by its watermark; yields what only new blocks can give."""
    for family in FAMILIES:
        pieces = [piece for piece in draft.holding.slices.values() if piece.span.family == family]
        active = [piece for piece in pieces if piece.want == "Active"]
        if not active and not any(pool.family == family for pool in draft.pools):
            continue
        free, wanted = sum(free_in(piece, book) for piece in active), wanted_of(draft, family, book)
        candidates = (piece for piece in pieces if piece.want != "Active" and may_return(piece, draft))
        for piece in sorted(candidates, key=lambda piece: piece.span):
            if active and free >= wanted:
                break
            piece.want = "Active"
            active.append(piece)
            free += free_in(piece, book)
        wanted = max(wanted, 0 if active else 1)
        if free < wanted:
            yield Request(bool(active), draft.item.metadata.name, family, wanted - free)
        elif draft.confirmed:
            _drain_surplus(active, free, wanted, draft, book)


def grant(requests: Iterable[Request], drafts: dict[str, Draft], spaces: dict[str, Space]) -> Shortage:
    """Serves requests from the pools' free space, oldest pool first; the rest is the shortage."""
    shortage = Shortage()
    for request in sorted(requests):
        draft = drafts[request.node]
        pools = [pool for pool in draft.pools if pool.family == request.family]
        lacking = request.addresses
        while lacking > 0 and len(draft.holding.slices) < NODE_BLOCKS_MAX:
            given = _give(draft.holding, pools, spaces, shortage)
            if not given:
                break
            lacking -= given
        names = tuple(pool.name for pool in pools)
        if lacking > 0 and names and shortage.without_finalizer.isdisjoint(names):
            shortage.unmet.append(Unmet(request.node, request.family, lacking, names))
    return shortage


def free_in(piece: Slice, book: PoolBook) -> int:
    """Addresses that the node can give, or will once it has accepted the block as Active."""
    if piece.held and piece.held.state == "Active":
        return piece.held.free
    pool = book.usable.get(piece.pool)
    if pool is None:
        return 0
    taken = piece.held.used + piece.held.cooling if piece.held else 0
    return max(0, pool.capacity(piece.span) - taken)


def _give(holding: Holding, pools: list[Pool], spaces: dict[str, Space], shortage: Shortage) -> int:
    for pool in pools:
        # A grant is only safe once the pool cannot vanish under it; the finalizer's write wakes the next
        # pass.
        if not pool.has_finalizer:
            shortage.without_finalizer.add(pool.name)
            return 0
        taken = spaces[pool.name].take()
        if taken is not None:
            cidr, span = taken
            holding.slices[cidr] = Slice(cidr, span, pool.name, None, want="Active")
            return pool.capacity(span)
    return 0


def _state(piece: Slice, book: PoolBook, serving: set[str]) -> GrantState | None:
    if piece.spec_state is None:
        return None
    pool = book.usable.get(piece.pool)
    must_go = piece.conflict or _has_to_leave(piece, pool, book, serving)
    if must_go or (piece.spec_state == "Draining" and not piece.used):
        return None if piece.removable else "Draining"
    # Somebody lives in a draining block of a pool that serves this node: the reason to drain it has gone.
    return "Active" if pool and pool.name in serving else piece.spec_state


def _has_to_leave(piece: Slice, pool: Pool | None, book: PoolBook, serving: set[str]) -> bool:
    if pool is None:
        # A pool that is absent or wrong takes nothing from pods: only a person's word (delete, Draining)
        # does.
        return piece.pool in book.leaving
    deselected = pool.grants and pool.name not in serving
    return pool.drains or deselected or not pool.holds(piece.span)


def may_return(piece: Slice, draft: Draft) -> bool:
    """Whether the block could be Active on this node: in its spec, undisputed, of a pool that serves it."""
    return (
        piece.spec_state is not None
        and not piece.conflict
        and any(pool.name == piece.pool and pool.holds(piece.span) for pool in draft.pools)
    )


def wanted_of(draft: Draft, family: Family, book: PoolBook) -> int:
    """Free addresses that the agent asks for, the most of its pools of this family."""
    families = {pool.name: pool.family for pool in draft.item.spec.pools}
    told = (
        usage.wanted
        for name, usage in draft.item.status.ipam.items()
        if (book.usable[name].family if name in book.usable else families.get(name)) == family
    )
    return min(WANTED_MAX, max(told, default=0))


def _drain_surplus(active: list[Slice], free: int, wanted: int, draft: Draft, book: PoolBook) -> None:
    kept = len(active)
    for piece in sorted(active, key=lambda piece: piece.span, reverse=True):
        own = free_in(piece, book)
        if kept > 1 and piece.empty and may_return(piece, draft) and free - own >= wanted + own // 2:
            piece.want = "Draining"
            free, kept = free - own, kept - 1
