"""A cluster of values: objects as the API server would keep them, and agents that behave by the rules.

The operator's side is `snapshot()` and `carry_out(plan)`; an agent's side is `Agent.hear` and `Agent.report`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from ipaddress import ip_network

import msgspec.structs

from fairlead_core.accept import accept
from fairlead_core.api import (
    POOL_FINALIZER,
    BGPPeer,
    BGPPeerSpec,
    Block,
    Condition,
    HeldBlock,
    HeldState,
    IPPool,
    IPPoolSpec,
    LabelSelector,
    Metadata,
    Node,
    NodeAddress,
    NodeBGPStatus,
    NodeNetwork,
    NodeNetworkSpec,
    NodeNetworkStatus,
    NodeStatus,
    PeerStatus,
    PoolState,
    PoolUsage,
)
from fairlead_core.outcome import Rejected
from fairlead_core.plan import plan_cluster
from fairlead_core.snapshot import GONE_SINCE, ClusterPlan, ClusterSnapshot, NodeWrite

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


def pool(  # noqa: PLR0917
    name: str,
    cidrs: Iterable[str],
    block_size: int | None = None,
    state: PoolState = "Active",
    labels: Mapping[str, str] | None = None,
    created: str = "2026-01-01T00:00:00Z",
    finalizer: bool = True,
    deleted: bool = False,
    **spec: object,
) -> IPPool:
    selector = LabelSelector(match_labels=dict(labels)) if labels else None
    return IPPool(
        Metadata(
            name,
            uid=f"uid-{name}",
            generation=1,
            creation_timestamp=created,
            deletion_timestamp=created if deleted else None,
            finalizers=(POOL_FINALIZER,) if finalizer else (),
        ),
        IPPoolSpec(tuple(cidrs), block_size, selector, state=state, **spec),  # type: ignore[arg-type]
    )


def peer(
    name: str, address: str = "10.250.0.1", created: str = "2026-01-01T00:00:00Z", **spec: object
) -> BGPPeer:
    settings = {"local_asn": 65001, "peer_asn": 65000, "address": address, **spec}
    meta = Metadata(name, uid=f"uid-{name}", generation=1, creation_timestamp=created)
    return BGPPeer(meta, BGPPeerSpec(**settings))  # type: ignore[arg-type]


def node(name: str, *addresses: str, **labels: str) -> Node:
    found = tuple(NodeAddress("InternalIP", address) for address in addresses)
    return Node(Metadata(name, uid=f"uid-{name}", labels=labels), NodeStatus(found))


@dataclass
class Agent:
    """A node's agent: what it has accepted, how many addresses of each block are in use or cool down."""

    name: str
    accepted: NodeNetworkSpec | None = None
    used: dict[str, int] = field(default_factory=dict)
    cooling: dict[str, int] = field(default_factory=dict)
    wanted: int = 16
    refused: str = ""

    def hear(self, spec: NodeNetworkSpec) -> None:
        outcome = accept(self.accepted, spec, self.held())
        self.refused = outcome.message if isinstance(outcome, Rejected) else ""
        if not isinstance(outcome, Rejected):
            self.accepted = outcome

    def active(self) -> set[str]:
        return {block.cidr for block in self.blocks() if block.state == "Active"}

    def blocks(self) -> tuple[Block, ...]:
        return self.accepted.blocks if self.accepted else ()

    def held(self) -> tuple[HeldBlock, ...]:
        return tuple(self._held(block) for block in self.blocks())

    def _held(self, block: Block) -> HeldBlock:
        used, cooling = self.used.get(block.cidr, 0), self.cooling.get(block.cidr, 0)
        state: HeldState = "Drained" if block.state == "Draining" and not used + cooling else block.state
        size = ip_network(block.cidr).num_addresses
        free = size - used - cooling if block.state == "Active" else 0
        return HeldBlock(block.cidr, block.pool, state, used, cooling, free)

    def report(self, generation: int = 1) -> NodeNetworkStatus:
        held = self.held()
        pools = self.accepted.pools if self.accepted else ()
        return NodeNetworkStatus(
            observed_generation=generation,
            revision=self.accepted.revision if self.accepted else 0,
            blocks=held,
            ipam={one.name: self._usage(one.name, held) for one in pools},
            bgp=self._sessions(),
            conditions=self._conditions(generation),
        )

    def _conditions(self, generation: int) -> tuple[Condition, ...]:
        if not self.refused:
            return ()
        return (
            Condition("Stalled", "True", "SpecRefused", self.refused, "2026-01-01T12:00:00Z", generation),
        )

    def _sessions(self) -> NodeBGPStatus | None:
        if not (self.accepted and self.accepted.bgp):
            return None
        return NodeBGPStatus(tuple(PeerStatus(one.name, "Established") for one in self.accepted.bgp.peers))

    def _usage(self, name: str, held: tuple[HeldBlock, ...]) -> PoolUsage:
        own = [block for block in held if block.pool == name]
        used, free = sum(block.used for block in own), sum(block.free for block in own)
        return PoolUsage(used, free, sum(block.cooling for block in own), self.wanted)


@dataclass
class Cluster:
    """The objects of one moment, by name."""

    nodes: dict[str, Node] = field(default_factory=dict)
    node_networks: dict[str, NodeNetwork] = field(default_factory=dict)
    pools: dict[str, IPPool] = field(default_factory=dict)
    peers: dict[str, BGPPeer] = field(default_factory=dict)
    version: int = 1

    def add(self, *objects: Node | IPPool | BGPPeer) -> Cluster:
        for item in objects:
            if isinstance(item, Node):
                self.nodes[item.metadata.name] = item
            elif isinstance(item, IPPool):
                self.pools[item.metadata.name] = item
            else:
                self.peers[item.metadata.name] = item
        return self

    def snapshot(self, **more: object) -> ClusterSnapshot:
        parts = (self.nodes, self.node_networks, self.pools, self.peers)
        return ClusterSnapshot(*(tuple(part.values()) for part in parts), **more)  # type: ignore[arg-type]

    def plan(self, now: datetime = NOW, **more: object) -> ClusterPlan:
        return plan_cluster(self.snapshot(**more), now)

    def carry_out(self, plan: ClusterPlan) -> None:
        for write in plan.node_writes:
            self.write(write)
        for deletion in plan.deletions:
            del self.node_networks[deletion.name]
        for finalizer in plan.finalizers:
            self._finalize(finalizer.pool, finalizer.present)
        for wrote in plan.pool_writes:
            if wrote.name in self.pools:
                old = self.pools[wrote.name]
                self.pools[wrote.name] = msgspec.structs.replace(old, status=wrote.status)
        for told in plan.peer_writes:
            self.peers[told.name] = msgspec.structs.replace(self.peers[told.name], status=told.status)

    def write(self, write: NodeWrite) -> bool:
        """One conditional write; False when the object is not the one that the plan was made of."""
        old = self.node_networks.get(write.name)
        if (old.metadata.resource_version if old else "") != write.resource_version:
            return False
        old = old or NodeNetwork(
            Metadata(write.name, uid=f"nn-{write.name}", creation_timestamp="2026-01-01T00:00:00Z")
        )
        annotations = {GONE_SINCE: write.gone_since} if write.gone_since else {}
        meta = msgspec.structs.replace(
            old.metadata, annotations=annotations, generation=old.metadata.generation + 1
        )
        self._store(msgspec.structs.replace(old, metadata=meta, spec=write.spec))
        return True

    def report(self, agent: Agent) -> None:
        """The agent hears its spec and writes its status."""
        old = self.node_networks.get(agent.name)
        if old is not None:
            agent.hear(old.spec)
            self._store(msgspec.structs.replace(old, status=agent.report(old.metadata.generation)))

    def settle(self, agents: Iterable[Agent] = (), now: datetime = NOW, most: int = 12) -> int:
        """Plans, carries out and reports until nothing changes; answers how many plans wrote something."""
        known = list(agents)
        for count in range(most):
            plan = self.plan(now)
            self.carry_out(plan)
            before = dict(self.node_networks)
            for agent in known:
                self.report(agent)
            if not plan.writes and all(
                _same(before[name], item) for name, item in self.node_networks.items()
            ):
                return count
        raise AssertionError(f"still writing after {most} plans: {self.plan(now)}")

    def _store(self, item: NodeNetwork) -> None:
        self.version += 1
        meta = msgspec.structs.replace(item.metadata, resource_version=str(self.version))
        self.node_networks[item.metadata.name] = msgspec.structs.replace(item, metadata=meta)

    def _finalize(self, name: str, present: bool) -> None:
        old = self.pools[name]
        if old.metadata.deletion_timestamp and not present:
            del self.pools[name]
            return
        meta = msgspec.structs.replace(old.metadata, finalizers=(POOL_FINALIZER,) if present else ())
        self.pools[name] = msgspec.structs.replace(old, metadata=meta)


def _same(old: NodeNetwork, new: NodeNetwork) -> bool:
    return old.spec == new.spec and old.status == new.status
