"""What the planner is given, and what it answers: values only, in no particular order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from fairlead_core.api import (
    BGPPeer,
    BGPPeerStatus,
    Block,
    Condition,
    IPPool,
    IPPoolStatus,
    Node,
    NodeNetwork,
    NodeNetworkSpec,
)

GONE_SINCE = "fairlead.dev/node-gone-since"


@dataclass(frozen=True, slots=True)
class Policy:
    """Numbers that an administrator may turn."""

    node_gone_grace_s: float = 600.0


@dataclass(frozen=True, slots=True)
class ClusterSnapshot:
    """The cluster as it was read.

    `claims` are blocks that a node may hold although its object does not say so: a write whose outcome is
    unknown, an object that was deleted under a living node. `hold_grants` tells why no new block may be
    granted now ("" = may).
    """

    nodes: tuple[Node, ...] = ()
    node_networks: tuple[NodeNetwork, ...] = ()
    pools: tuple[IPPool, ...] = ()
    peers: tuple[BGPPeer, ...] = ()
    claims: Mapping[str, tuple[Block, ...]] = field(default_factory=dict)
    hold_grants: str = ""
    policy: Policy = Policy()


@dataclass(frozen=True, slots=True)
class NodeWrite:
    """The whole desired spec of one NodeNetwork. `resource_version` is of the object the plan is based on;
    both it and `uid` are "" for one that does not exist yet."""

    name: str
    uid: str
    resource_version: str
    spec: NodeNetworkSpec
    gone_since: str | None = None
    why: str = ""


@dataclass(frozen=True, slots=True)
class Deletion:
    """A NodeNetwork to delete: exactly this object in exactly this state."""

    name: str
    uid: str
    resource_version: str
    why: str


@dataclass(frozen=True, slots=True)
class FinalizerWrite:
    """Whether an IPPool shall carry Fairlead's finalizer."""

    pool: str
    uid: str
    present: bool


@dataclass(frozen=True, slots=True)
class PoolWrite:
    name: str
    uid: str
    status: IPPoolStatus
    turned: tuple[Condition, ...] = ()  # conditions that an event shall tell


@dataclass(frozen=True, slots=True)
class PeerWrite:
    name: str
    uid: str
    status: BGPPeerStatus
    turned: tuple[Condition, ...] = ()


@dataclass(frozen=True, slots=True)
class BlockTally:
    """Blocks of one pool over the cluster, for metrics and status."""

    total: int = 0
    active: int = 0
    draining: int = 0

    @property
    def granted(self) -> int:
        return self.active + self.draining


@dataclass(frozen=True, slots=True)
class ClusterPlan:
    """What to write, and nothing that is already so. Empty tuples: the cluster is as it shall be."""

    node_writes: tuple[NodeWrite, ...] = ()
    deletions: tuple[Deletion, ...] = ()
    finalizers: tuple[FinalizerWrite, ...] = ()
    pool_writes: tuple[PoolWrite, ...] = ()
    peer_writes: tuple[PeerWrite, ...] = ()
    tallies: Mapping[str, BlockTally] = field(default_factory=dict)

    @property
    def writes(self) -> int:
        parts = (self.node_writes, self.deletions, self.finalizers, self.pool_writes, self.peer_writes)
        return sum(len(part) for part in parts)
