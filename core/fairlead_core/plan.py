"""plan_cluster: the cluster as it was read in, what has to be written out.

Pure and free of order: the same objects give the same plan, and a plan that was carried out gives an empty
one.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from fairlead_core.api import (
    POOL_FINALIZER,
    Block,
    Metadata,
    Node,
    NodeBGP,
    NodeNetwork,
    NodeNetworkSpec,
    NodePool,
    Peer,
)
from fairlead_core.conditions import parse_timestamp, timestamp
from fairlead_core.grants import (
    Draft,
    Request,
    Shortage,
    balance,
    freeze_states,
    grant,
    settle_states,
)
from fairlead_core.holdings import Holding, Slice, mark_conflicts, orphan_claims, read_holding, refuses
from fairlead_core.peer_verdicts import PeerCase, judge_peer, reports
from fairlead_core.peers import PeerBook, Selection, choose, read_peers
from fairlead_core.pools import PoolBook, read_pools
from fairlead_core.reclaim import reclaim
from fairlead_core.selectors import Index
from fairlead_core.snapshot import (
    GONE_SINCE,
    BlockTally,
    ClusterPlan,
    ClusterSnapshot,
    Deletion,
    FinalizerWrite,
    NodeWrite,
    PeerWrite,
    PoolWrite,
)
from fairlead_core.space import Occupied, Space
from fairlead_core.spans import Span
from fairlead_core.verdicts import PoolCase, PoolUse, count_use, judge_pool, tally


@dataclass(slots=True)
class Worksheet:
    """The plan in the making: everything by node name, holdings of all objects, drafts of living nodes."""

    items: dict[str, NodeNetwork]
    nodes: dict[str, Node]
    holdings: dict[str, Holding]
    drafts: dict[str, Draft]
    pools: PoolBook
    peers: PeerBook
    spaces: dict[str, Space]
    shortage: Shortage
    uses: dict[str, PoolUse]


def plan_cluster(snapshot: ClusterSnapshot, now: datetime) -> ClusterPlan:
    """What to write so that the cluster becomes what its IPPools, BGPPeers and Nodes ask for.

    Raises nothing for bad objects: their verdict says what is wrong with them, and all others go on.
    """
    sheet = _read(snapshot)
    conflicts = mark_conflicts(sheet.holdings.values())
    requests = _settle(sheet)
    sheet.spaces = _spaces(sheet, snapshot)
    if snapshot.hold_grants:
        requests = []
    sheet.shortage = grant(requests, sheet.drafts, sheet.spaces)
    reclaim(sheet.shortage, sheet.drafts, sheet.pools)
    sheet.uses = _count(sheet.holdings.values())
    for stays, _, goes, _ in conflicts:
        for pool in {stays.pool, goes.pool}:
            sheet.uses.setdefault(pool, PoolUse()).conflicts.append(goes.conflict or stays.conflict)
    selection = Selection()
    gone, deletions = _gone(sheet, snapshot, now)
    writes = [*_living_writes(sheet, selection), *gone]
    pool_writes, tallies = _judge_pools(snapshot, sheet, now)
    return ClusterPlan(
        node_writes=tuple(sorted(writes, key=lambda write: write.name)),
        deletions=deletions,
        finalizers=_finalizers(snapshot, sheet),
        pool_writes=pool_writes,
        peer_writes=_judge_peers(snapshot, sheet, selection, now),
        tallies=tallies,
    )


def _read(snapshot: ClusterSnapshot) -> Worksheet:
    nodes = {node.metadata.name: node for node in sorted(snapshot.nodes, key=lambda node: node.metadata.name)}
    found = {item.metadata.name: item for item in snapshot.node_networks}
    items = {name: found.get(name) or NodeNetwork(Metadata(name)) for name in sorted({*nodes, *found})}
    holdings = {name: read_holding(item, snapshot.claims.get(name, ())) for name, item in items.items()}
    pools = read_pools(snapshot.pools)
    granting = Index(pool for pool in pools.usable.values() if pool.grants)
    drafts = {
        name: Draft(items[name], holdings[name], tuple(granting.of(node.metadata.labels)))
        for name, node in nodes.items()
    }
    return Worksheet(items, nodes, holdings, drafts, pools, read_peers(snapshot.peers), {}, Shortage(), {})


def _settle(sheet: Worksheet) -> list[Request]:
    requests: list[Request] = []
    for name, holding in sheet.holdings.items():
        draft = sheet.drafts.get(name)
        if draft is None:
            freeze_states(holding)
            continue
        settle_states(draft, sheet.pools)
        requests += balance(draft, sheet.pools)
    return requests


def _spaces(sheet: Worksheet, snapshot: ClusterSnapshot) -> dict[str, Space]:
    spans: list[Span] = [
        piece.span for holding in sheet.holdings.values() for piece in holding.slices.values()
    ]
    occupied = Occupied([*spans, *orphan_claims(snapshot.claims, sheet.items)])
    return {name: Space(pool, occupied) for name, pool in sheet.pools.usable.items()}


def _count(holdings: Iterable[Holding]) -> dict[str, PoolUse]:
    uses: dict[str, PoolUse] = {}
    for holding in holdings:
        for piece in holding.slices.values():
            cooling = piece.held.cooling if piece.held else 0
            count_use(uses, holding.node, piece.pool, (piece.used, cooling), piece.want != "Active")
    return uses


def _living_writes(sheet: Worksheet, selection: Selection) -> Iterable[NodeWrite]:
    speakers = Index(sheet.peers.usable.values())
    for name, draft in sheet.drafts.items():
        bgp = choose(speakers, sheet.nodes[name], selection)
        write = _write(draft.item, _spec(draft, sheet.pools, bgp), None)
        if write:
            yield write


def _spec(draft: Draft, book: PoolBook, bgp: NodeBGP | None) -> NodeNetworkSpec:
    served = {pool.name: pool.node_pool for pool in draft.pools}
    return _assemble(draft.item, draft.holding, book, served, bgp)


def _frozen(item: NodeNetwork, holding: Holding, book: PoolBook) -> NodeNetworkSpec:
    """What stays with a node that has no Node: what it has, not what a spec from the past may say."""
    return _assemble(item, holding, book, {pool.name: pool for pool in item.spec.pools}, item.spec.bgp)


def _assemble(
    item: NodeNetwork, holding: Holding, book: PoolBook, pools: dict[str, NodePool], bgp: NodeBGP | None
) -> NodeNetworkSpec:
    pieces = sorted(holding.slices.values(), key=lambda piece: piece.span)
    blocks = tuple(Block(piece.cidr, piece.pool, piece.want) for piece in pieces if piece.want)
    known = {pool.name: pool for pool in item.spec.pools}
    for piece in pieces:
        if piece.want and piece.pool not in pools:
            pools[piece.pool] = _node_pool(piece, book, known)
    return NodeNetworkSpec(0, blocks, tuple(pools[name] for name in sorted(pools)), bgp)


def _node_pool(piece: Slice, book: PoolBook, known: dict[str, NodePool]) -> NodePool:
    """What a node is told of a pool: as it is, else as the node last heard of it, else the bare minimum."""
    pool = book.usable.get(piece.pool)
    if pool:
        return pool.node_pool
    return known.get(piece.pool) or NodePool(piece.pool, piece.span.family)


def _write(item: NodeNetwork, spec: NodeNetworkSpec, gone_since: str | None) -> NodeWrite | None:
    old, meta, accepted = item.spec, item.metadata, item.status.revision
    # An agent at this revision or beyond that refuses the spec has another history: only a newer one reaches
    # it.
    astray = accepted > old.revision or (accepted == old.revision and refuses(item))
    same = _content(old) == _content(spec) and not astray and bool(meta.resource_version)
    if same and meta.annotations.get(GONE_SINCE) == gone_since:
        return None
    revision = old.revision if same else max(old.revision, accepted) + 1
    wanted = NodeNetworkSpec(revision, spec.blocks, spec.pools, spec.bgp)
    return NodeWrite(meta.name, meta.uid, meta.resource_version, wanted, gone_since, _difference(old, spec))


def _content(spec: NodeNetworkSpec) -> tuple[object, ...]:
    """A spec without its revision. Lists are compared as sets: the API server may keep another order."""
    bgp = spec.bgp
    peers = tuple(sorted(bgp.peers, key=_peer_name)) if bgp else ()
    return (
        {block.cidr: block for block in spec.blocks},
        {pool.name: pool for pool in spec.pools},
        (bgp.local_asn, bgp.router_id, peers) if bgp else None,
    )


def _peer_name(peer: Peer) -> str:
    return peer.name


def _difference(old: NodeNetworkSpec, new: NodeNetworkSpec) -> str:
    """One line for the log: which blocks come, go, or change their state."""
    before = {block.cidr: block.state for block in old.blocks}
    after = {block.cidr: block.state for block in new.blocks}
    told = [f"+{cidr}" for cidr in after if cidr not in before]
    told += [f"-{cidr}" for cidr in before if cidr not in after]
    told += [f"{cidr} {state}" for cidr, state in after.items() if before.get(cidr, state) != state]
    told += ["pools"] if old.pools != new.pools else []
    return " ".join([*told, *(["bgp"] if old.bgp != new.bgp else [])])


def _gone(
    sheet: Worksheet, snapshot: ClusterSnapshot, now: datetime
) -> tuple[list[NodeWrite], tuple[Deletion, ...]]:
    """NodeNetworks without a Node: marked first, deleted after the grace, so that a Node that flaps loses
    nothing."""
    writes, deletions = [], []
    grace = timedelta(seconds=snapshot.policy.node_gone_grace_s)
    for name, item in sheet.items.items():
        if name in sheet.nodes:
            continue
        meta = item.metadata
        since = parse_timestamp(meta.annotations.get(GONE_SINCE, ""))
        if since is not None and now - since >= grace:
            why = f"node {name} is gone since {timestamp(since)}"
            deletions.append(Deletion(name, meta.uid, meta.resource_version, why))
            continue
        frozen = _frozen(item, sheet.holdings[name], sheet.pools)
        write = _write(item, frozen, timestamp(since or now))
        writes += [write] if write else []
    return writes, tuple(deletions)


def _finalizers(snapshot: ClusterSnapshot, sheet: Worksheet) -> tuple[FinalizerWrite, ...]:
    writes = []
    for item in sorted(snapshot.pools, key=lambda item: item.metadata.name):
        meta = item.metadata
        in_use = meta.name in sheet.uses and bool(sheet.uses[meta.name].holders)
        needed = in_use or meta.name in sheet.shortage.without_finalizer
        present = POOL_FINALIZER in meta.finalizers
        # A finalizer cannot be added to an object that is being deleted.
        if needed != present and not (needed and meta.deletion_timestamp):
            writes.append(FinalizerWrite(meta.name, meta.uid, needed))
    return tuple(writes)


def _judge_pools(
    snapshot: ClusterSnapshot, sheet: Worksheet, now: datetime
) -> tuple[tuple[PoolWrite, ...], dict[str, BlockTally]]:
    writes, tallies, owed = [], {}, sheet.shortage.by_pool()
    for item in sorted(snapshot.pools, key=lambda item: item.metadata.name):
        name = item.metadata.name
        pool = sheet.pools.usable.get(name) or sheet.pools.rejected[name]
        space, use = sheet.spaces.get(name), sheet.uses.get(name) or PoolUse()
        total, free = (space.total_blocks, space.free_blocks) if space else (0, 0)
        case = PoolCase(item, pool, use, total, free, tuple(owed.get(name, ())))
        write = judge_pool(case, now)
        writes += [write] if write else []
        tallies[name] = tally(case)
    return tuple(writes), tallies


def _judge_peers(
    snapshot: ClusterSnapshot, sheet: Worksheet, selection: Selection, now: datetime
) -> tuple[PeerWrite, ...]:
    sessions = reports(snapshot.node_networks)
    granting = tuple(pool for pool in sheet.pools.usable.values() if pool.grants)
    writes = []
    for item in sorted(snapshot.peers, key=lambda item: item.metadata.name):
        name = item.metadata.name
        nodes = tuple(selection.nodes.get(name, ()))
        case = PeerCase(
            item=item,
            peer=sheet.peers.usable.get(name) or sheet.peers.rejected[name],
            nodes=nodes,
            refused=tuple((why, tuple(where)) for why, where in selection.refused.get(name, {}).items()),
            sessions=sessions.get(name),
            pools=granting,
        )
        write = judge_peer(case, now)
        writes += [write] if write else []
    return tuple(writes)
