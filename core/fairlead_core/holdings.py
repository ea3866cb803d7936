"""Which blocks a node has or may have: what its spec grants, what its agent says it holds, what else is
claimed.

spec   status             status.revision      then
----   ----------------   ------------------   ---------------------------------------------------------
has    anything           <= spec.revision     the block stays, in the state of the spec
has    lacks it           >  spec.revision     gone: the spec is from the past, the agent never took it
lacks  Active, Draining   any                  taken back into the spec: somebody lives there
lacks  Drained            <= spec.revision     stays out: the agent is about to drop it; not yet free
lacks  Drained            >  spec.revision     taken back as Draining, to be returned in two steps
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from fairlead_core.accept import REASON as REFUSED
from fairlead_core.api import Block, GrantState, HeldBlock, NodeNetwork
from fairlead_core.spans import Span, parse_span


@dataclass(slots=True)
class Slice:
    """One block on one node while a plan is made. `spec_state` None: not in the spec, and not to come
    back."""

    cidr: str
    span: Span
    pool: str
    spec_state: GrantState | None
    held: HeldBlock | None = None
    removable: bool = False  # the agent has confirmed the first step of the return
    want: GrantState | None = None  # what the plan makes of it; None: not in the new spec
    conflict: str = ""

    @property
    def used(self) -> int:
        return self.held.used if self.held else 0

    @property
    def empty(self) -> bool:
        """Known to have nothing live or cooling in it. A block that nobody has reported yet is not known."""
        return self.held is not None and not self.held.used and not self.held.cooling


@dataclass(slots=True)
class Holding:
    """One node's blocks by CIDR."""

    node: str
    age: tuple[str, str]
    slices: dict[str, Slice] = field(default_factory=dict)


def refuses(item: NodeNetwork) -> bool:
    """Whether the agent has said that it does not follow the present spec."""
    return any(
        one.type == "Stalled"
        and one.reason == REFUSED
        and one.observed_generation == item.metadata.generation
        for one in item.status.conditions
    )


def follows(item: NodeNetwork) -> bool:
    """Whether the agent works by exactly this spec. An equal revision of another history is not enough."""
    return item.status.revision == item.spec.revision and not refuses(item)


def read_holding(item: NodeNetwork, claims: Iterable[Block] = ()) -> Holding:
    """All blocks that the node has or may have, by the table above. CIDRs that cannot be read are left
    out."""
    name = item.metadata.name
    holding = Holding(name, (item.metadata.creation_timestamp or "", name))
    past = item.status.revision > item.spec.revision
    held = {block.cidr: block for block in item.status.blocks}
    for block in item.spec.blocks:
        if not past or block.cidr in held:
            _add(holding, block.cidr, block.pool, block.state, held.get(block.cidr))
    for own in item.status.blocks:
        if own.cidr not in holding.slices:
            _add(holding, own.cidr, own.pool, _readopted(own, past), own)
    for claim in claims:
        if claim.cidr not in holding.slices:
            _add(holding, claim.cidr, claim.pool, claim.state, None)
    confirmed = follows(item)
    for piece in holding.slices.values():
        drained = piece.held is not None and piece.held.state == "Drained"
        piece.removable = confirmed and drained and piece.spec_state == "Draining"
    return holding


def _readopted(block: HeldBlock, past: bool) -> GrantState | None:
    if block.state == "Drained":
        return "Draining" if past else None
    return block.state


def _add(holding: Holding, cidr: str, pool: str, state: GrantState | None, held: HeldBlock | None) -> None:
    span = parse_span(cidr)
    if span is not None:
        holding.slices[cidr] = Slice(cidr, span, pool, state, held)


def mark_conflicts(holdings: Iterable[Holding]) -> list[tuple[Slice, str, Slice, str]]:
    """Finds blocks that two nodes have, and marks the one that has to go with the reason.

    It stays where addresses live, else where the agent holds it, else on the older NodeNetwork. Answers
    (stays, its node, goes, its node) for each pair of neighbours in address order.
    """
    found: list[tuple[Slice, str, Slice, str]] = []
    every = sorted(_entries(holdings), key=lambda entry: (entry[0].span, entry[1].age))
    reach: tuple[Slice, Holding] | None = None
    for entry in every:
        if reach and reach[0].span.overlaps(entry[0].span):
            stays, goes = sorted((reach, entry), key=_claim_strength)
            if stays[1].node == goes[1].node:
                # An agent refuses a spec whose blocks overlap; the one it does not hold was never accepted.
                goes[0].spec_state = goes[0].spec_state if goes[0].held else None
            else:
                goes[0].conflict = goes[0].conflict or _told(stays, goes)
                found.append((stays[0], stays[1].node, goes[0], goes[1].node))
            reach = stays
        else:
            reach = entry
    return found


def _entries(holdings: Iterable[Holding]) -> Iterator[tuple[Slice, Holding]]:
    for holding in holdings:
        for piece in holding.slices.values():
            if piece.spec_state is not None:
                yield piece, holding


def _claim_strength(entry: tuple[Slice, Holding]) -> tuple[bool, bool, tuple[str, str]]:
    piece, holding = entry
    return (not piece.used, piece.held is None, holding.age)


def _told(stays: tuple[Slice, Holding], goes: tuple[Slice, Holding]) -> str:
    return (
        f"block {goes[0].cidr} of {goes[1].node} ({goes[0].used} used) overlaps {stays[0].cidr} of "
        f"{stays[1].node} ({stays[0].used} used); {stays[1].node} keeps it, {goes[1].node} drains it"
    )


def orphan_claims(claims: Mapping[str, tuple[Block, ...]], known: Iterable[str]) -> Iterator[Span]:
    """Spans claimed for nodes that have no object at all: nobody else may get them."""
    names = set(known)
    for node, blocks in claims.items():
        if node not in names:
            yield from (span for span in (parse_span(block.cidr) for block in blocks) if span)
