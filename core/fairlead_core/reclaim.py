"""What rich nodes give back when a poor one gets nothing.

Idle blocks stay on a node up to half a block above its watermark, so that use around it does not flap. When a
pool has nothing left and some node owes addresses to its pods, that reserve is called in: empty blocks that
their node can spare without falling below its own watermark are drained, as many as are lacking, the richest
nodes first.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from fairlead_core.api import Family
from fairlead_core.grants import Draft, Shortage, Unmet, free_in, may_return, wanted_of
from fairlead_core.holdings import Slice
from fairlead_core.pools import PoolBook


@dataclass(slots=True)
class _Giver:
    """A node's blocks of one family, and how many free addresses it has above its watermark."""

    node: str
    spare: int
    blocks: int
    empty: list[Slice]


def reclaim(shortage: Shortage, drafts: Mapping[str, Draft], book: PoolBook) -> None:
    """Marks blocks as Draining for the unmet requests of `shortage`. Blocks on their way back count first."""
    poor = {(unmet.node, unmet.family) for unmet in shortage.unmet}
    for family in sorted({family for _, family in poor}):
        coming = _coming(drafts, family, book)
        givers = sorted(_givers(drafts, family, poor, book), key=lambda giver: (-giver.spare, giver.node))
        for unmet in shortage.unmet:
            if unmet.family == family:
                _serve(unmet, coming, givers, book)


def _serve(unmet: Unmet, coming: dict[str, int], givers: list[_Giver], book: PoolBook) -> None:
    lacking = unmet.addresses
    for pool in unmet.pools:
        due = min(lacking, coming.get(pool, 0))
        coming[pool] = coming.get(pool, 0) - due
        lacking -= due
    for giver in givers:
        for piece in [piece for piece in giver.empty if piece.pool in unmet.pools]:
            own = free_in(piece, book)
            if lacking <= 0:
                return
            if giver.blocks > 1 and giver.spare >= own > 0:
                piece.want = "Draining"
                giver.empty.remove(piece)
                giver.spare, giver.blocks, lacking = giver.spare - own, giver.blocks - 1, lacking - own


def _coming(drafts: Mapping[str, Draft], family: Family, book: PoolBook) -> dict[str, int]:
    """Addresses per pool of empty blocks that some node is giving back already."""
    coming: dict[str, int] = {}
    for draft in drafts.values():
        for piece in draft.holding.slices.values():
            pool = book.usable.get(piece.pool)
            if pool and pool.grants and pool.family == family and piece.want != "Active" and not piece.used:
                coming[piece.pool] = coming.get(piece.pool, 0) + pool.capacity(piece.span)
    return coming


def _givers(
    drafts: Mapping[str, Draft], family: Family, poor: set[tuple[str, Family]], book: PoolBook
) -> Iterator[_Giver]:
    for name, draft in drafts.items():
        if (name, family) in poor or not draft.confirmed:
            continue
        pieces = draft.holding.slices.values()
        active = [piece for piece in pieces if piece.want == "Active" and piece.span.family == family]
        empty = [piece for piece in active if piece.empty and may_return(piece, draft)]
        if len(active) > 1 and empty:
            spare = sum(free_in(piece, book) for piece in active) - wanted_of(draft, family, book)
            empty.sort(key=lambda piece: piece.span, reverse=True)
            yield _Giver(name, spare, len(active), empty)
