"""`fairlead status`: nodes, agents, peers and pools at a glance, and what is wrong, as sentences."""

from __future__ import annotations

from collections.abc import Iterator

from fairlead_cli.cluster import Cluster
from fairlead_cli.pods import Pod, is_ready
from fairlead_cli.view import Usage, View, condition, usage_of
from fairlead_core.api import (
    AddressCount,
    BGPPeer,
    BlockCount,
    Condition,
    IPPool,
    Metadata,
    NodeNetwork,
    SessionCount,
)

ESTABLISHED = "Established"
COMPONENT = "app.kubernetes.io/component"


class NodeRow(View, frozen=True):
    """One node. `agent` is Ready, NotReady, Missing, or Unknown when pods may not be read."""

    name: str
    agent: str
    ready: bool
    reason: str
    wanted_revision: int
    revision: int
    blocks: int
    ipv4: Usage
    ipv6: Usage
    sessions: int
    established: int
    agent_version: str


class PoolRow(View, frozen=True):
    name: str
    cidrs: tuple[str, ...]
    state: str
    blocks: int
    granted: int
    used: int
    cooling: int
    free: int
    ready: bool
    message: str


class PeerRow(View, frozen=True):
    name: str
    address: str
    peer_asn: int
    nodes: int
    established: int
    ready: bool
    message: str


class StatusView(View, frozen=True):
    """`healthy` is what the exit code says; `problems` are the reasons against it."""

    healthy: bool
    summary: str
    problems: tuple[str, ...]
    operators: int
    operators_ready: int
    leader: str
    nodes: tuple[NodeRow, ...]
    pools: tuple[PoolRow, ...]
    peers: tuple[PeerRow, ...]


def status_view(cluster: Cluster) -> StatusView:
    """Healthy means: every node's agent, every pool and every peer is Ready, and an operator runs."""
    operators = _component(cluster.pods, "operator") or ()
    nodes = tuple(_node_rows(cluster))
    pools = tuple(map(_pool_row, sorted(cluster.pools, key=lambda pool: pool.metadata.name)))
    peers = tuple(map(_peer_row, sorted(cluster.peers, key=lambda peer: peer.metadata.name)))
    problems = (*_operator_problems(cluster, operators), *_problems(nodes, pools, peers))
    return StatusView(
        healthy=not problems,
        summary=_summary(nodes, pools, peers),
        problems=problems,
        operators=len(operators),
        operators_ready=sum(map(is_ready, operators)),
        leader=cluster.leader,
        nodes=nodes,
        pools=pools,
        peers=peers,
    )


def _component(pods: tuple[Pod, ...] | None, name: str) -> tuple[Pod, ...] | None:
    if pods is None:
        return None
    return tuple(pod for pod in pods if pod.metadata.labels.get(COMPONENT) == name)


def _node_rows(cluster: Cluster) -> Iterator[NodeRow]:
    """A row per node, and one per NodeNetwork whose node is gone."""
    networks = {network.metadata.name: network for network in cluster.networks}
    known = set(networks) if cluster.nodes is None else {node.metadata.name for node in cluster.nodes}
    agents = _component(cluster.pods, "agent")
    for name in sorted(known | set(networks)):
        empty = NodeNetwork(metadata=Metadata(name=name))
        network = networks.get(name, empty)
        why = "" if name in known else "the node is gone"
        yield _node_row(network, _agent_state(name, agents), why or _complaint(network, name in networks))


def _node_row(network: NodeNetwork, agent: str, complaint: str) -> NodeRow:
    sessions = network.status.bgp.peers if network.status.bgp else ()
    ready = condition(network.status.conditions, "Ready")
    return NodeRow(
        name=network.metadata.name,
        agent=agent,
        ready=not complaint and agent in ("Ready", "Unknown"),
        reason=complaint or (ready.message if ready else ""),
        wanted_revision=network.spec.revision,
        revision=network.status.revision,
        blocks=len(network.status.blocks),
        ipv4=usage_of(network, "IPv4"),
        ipv6=usage_of(network, "IPv6"),
        sessions=len(network.spec.bgp.peers) if network.spec.bgp else 0,
        established=sum(session.session == ESTABLISHED for session in sessions),
        agent_version=network.status.agent_version or "",
    )


def _agent_state(node: str, agents: tuple[Pod, ...] | None) -> str:
    if agents is None:
        return "Unknown"
    here = [pod for pod in agents if pod.spec.node_name == node]
    if not here:
        return "Missing"
    return "Ready" if any(map(is_ready, here)) else "NotReady"


def _complaint(network: NodeNetwork, exists: bool) -> str:
    """What keeps the node's network from being Ready; "" when nothing does."""
    if not exists:
        return "has no NodeNetwork yet: does the operator run?"
    stalled = condition(network.status.conditions, "Stalled")
    if stalled is not None and stalled.status == "True":
        return stalled.message
    ready = condition(network.status.conditions, "Ready")
    if ready is None:
        return "its agent has not reported yet"
    return "" if ready.status == "True" else ready.message


def _pool_row(pool: IPPool) -> PoolRow:
    status = pool.status
    addresses, blocks = status.addresses or AddressCount(), status.blocks or BlockCount()
    ready, message = _verdict(pool.metadata, status.observed_generation, status.conditions)
    return PoolRow(
        name=pool.metadata.name,
        cidrs=pool.spec.cidrs,
        state=pool.spec.state,
        blocks=blocks.total,
        granted=blocks.granted,
        used=addresses.used,
        cooling=addresses.cooling,
        free=addresses.free,
        ready=ready,
        message=message,
    )


def _peer_row(peer: BGPPeer) -> PeerRow:
    sessions = peer.status.sessions or SessionCount()
    ready, message = _verdict(peer.metadata, peer.status.observed_generation, peer.status.conditions)
    return PeerRow(
        name=peer.metadata.name,
        address=peer.spec.address,
        peer_asn=peer.spec.peer_asn,
        nodes=sessions.nodes,
        established=sessions.established,
        ready=ready,
        message=message,
    )


def _verdict(meta: Metadata, observed: int, conditions: tuple[Condition, ...]) -> tuple[bool, str]:
    """Whether the operator calls the object Ready in the generation that it has now, and its words."""
    ready = condition(conditions, "Ready")
    if ready is None or observed < meta.generation:
        return False, "the operator has not looked at it yet"
    return ready.status == "True", ready.message


def _operator_problems(cluster: Cluster, operators: tuple[Pod, ...]) -> Iterator[str]:
    if cluster.pods is None:
        return
    if not any(map(is_ready, operators)):
        yield f"operator: none of {len(operators)} pods is ready, so nothing changes until one is"
    elif not cluster.leader:
        yield "operator: no pod leads, so nothing changes until one does"


def _problems(
    nodes: tuple[NodeRow, ...], pools: tuple[PoolRow, ...], peers: tuple[PeerRow, ...]
) -> Iterator[str]:
    for node in nodes:
        if node.agent in ("Missing", "NotReady"):
            yield f"node {node.name}: its agent is {node.agent}"
        elif not node.ready:
            yield f"node {node.name}: {node.reason}"
    yield from (_named("pool", pool.name, pool.message) for pool in pools if not pool.ready)
    yield from (_named("peer", peer.name, peer.message) for peer in peers if not peer.ready)


def _named(kind: str, name: str, message: str) -> str:
    """The operator's messages begin with the object's name already; ours and foreign ones may not."""
    return message if message.startswith(f"{kind} {name}") else f"{kind} {name}: {message}"


def _summary(nodes: tuple[NodeRow, ...], pools: tuple[PoolRow, ...], peers: tuple[PeerRow, ...]) -> str:
    established = sum(peer.established for peer in peers)
    sessions = sum(peer.nodes for peer in peers)
    return (
        f"{sum(node.ready for node in nodes)} of {len(nodes)} nodes ready, "
        f"{sum(pool.ready for pool in pools)} of {len(pools)} pools ready, "
        f"{established} of {sessions} BGP sessions established"
    )
