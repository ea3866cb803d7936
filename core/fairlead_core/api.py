"""The wire form of Fairlead's objects: what stands in YAML, field for field.

Source: crds/*.yaml (group fairlead.dev, version v1alpha1) and the Kubernetes API conventions for
metadata, label selectors and conditions. Addresses are strings here; `values` parses them.
"""

from typing import Literal

import msgspec

GROUP = "fairlead.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
POOL_FINALIZER = f"{GROUP}/blocks"

Family = Literal["IPv4", "IPv6"]
PoolUse = Literal["Pod", "FixedIP", "LoadBalancer"]
PoolState = Literal["Active", "Draining", "Disabled"]
GrantState = Literal["Active", "Draining"]
HeldState = Literal["Active", "Draining", "Drained"]
ConditionStatus = Literal["True", "False", "Unknown"]


class Wire(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """Base of every wire struct: immutable, camelCase on the wire, absent fields stay absent."""


class Metadata(Wire, frozen=True):
    """The part of metav1.ObjectMeta that Fairlead reads."""

    name: str
    namespace: str | None = None
    uid: str = ""
    resource_version: str = ""
    generation: int = 0
    creation_timestamp: str | None = None
    deletion_timestamp: str | None = None
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    finalizers: tuple[str, ...] = ()


class Condition(Wire, frozen=True, omit_defaults=False):
    """metav1.Condition. `last_transition_time` is RFC 3339 in UTC with seconds."""

    type: str
    status: ConditionStatus
    reason: str
    message: str
    last_transition_time: str
    observed_generation: int = 0


class Requirement(Wire, frozen=True):
    """One entry of matchExpressions; operator is In, NotIn, Exists or DoesNotExist."""

    key: str
    operator: str
    values: tuple[str, ...] = ()


class LabelSelector(Wire, frozen=True):
    """metav1.LabelSelector; empty selects everything."""

    match_labels: dict[str, str] = {}
    match_expressions: tuple[Requirement, ...] = ()


class SecretRef(Wire, frozen=True):
    """One key of a Secret in Fairlead's own namespace."""

    name: str
    key: str


# IPPool


class Advertise(Wire, frozen=True):
    """How the fabric learns a pool: longest prefix it takes, communities ("64500:1") on the routes."""

    max_prefix_length: int | None = None
    communities: tuple[str, ...] = ()


class IPPoolSpec(Wire, frozen=True):
    """One family per pool. `block_size` is a prefix length; `reserved` (addresses, CIDRs) is never given."""

    cidrs: tuple[str, ...] = ()
    block_size: int | None = None
    node_selector: LabelSelector | None = None
    uses: tuple[PoolUse, ...] = ("Pod",)
    reserved: tuple[str, ...] = ()
    cooldown_seconds: int = 30
    state: PoolState = "Active"
    advertise: Advertise | None = None


class AddressCount(Wire, frozen=True, omit_defaults=False):
    """Addresses of one pool over all nodes."""

    total: int = 0
    used: int = 0
    free: int = 0
    cooling: int = 0


class BlockCount(Wire, frozen=True, omit_defaults=False):
    """Blocks of one pool."""

    total: int = 0
    granted: int = 0
    free: int = 0


class IPPoolStatus(Wire, frozen=True):
    observed_generation: int = -1
    addresses: AddressCount | None = None
    blocks: BlockCount | None = None
    conditions: tuple[Condition, ...] = ()


class IPPool(Wire, frozen=True):
    metadata: Metadata
    spec: IPPoolSpec = IPPoolSpec()
    status: IPPoolStatus = IPPoolStatus()


# BGPPeer


class Timers(Wire, frozen=True):
    """BGP timers as Go-style durations ("9s")."""

    hold: str = "9s"
    keepalive: str = "3s"
    connect_retry: str = "2s"


class BFD(Wire, frozen=True, omit_defaults=False):
    """RFC 5880 asynchronous mode: a neighbour is down after interval x multiplier of silence."""

    enabled: bool = False
    interval_milliseconds: int = 100
    multiplier: int = 3


class GracefulRestart(Wire, frozen=True, omit_defaults=False):
    """RFC 4724: how long a neighbour keeps our routes while our speaker restarts."""

    enabled: bool = True
    restart_seconds: int = 30


class PrefixLengths(Wire, frozen=True, omit_defaults=False):
    """Prefix lengths that the fabric accepts, both ends included."""

    min: int
    max: int


class BGPPeerSpec(Wire, frozen=True):
    node_selector: LabelSelector | None = None
    local_asn: int = msgspec.field(name="localASN", default=0)
    peer_asn: int = msgspec.field(name="peerASN", default=0)
    address: str = ""
    port: int = 179
    auth_secret_ref: SecretRef | None = None
    timers: Timers = Timers()
    bfd: BFD = BFD()
    graceful_restart: GracefulRestart = GracefulRestart()
    accepted_prefix_lengths: PrefixLengths | None = None


class SessionCount(Wire, frozen=True, omit_defaults=False):
    """Nodes that should hold this session, and those that have it Established."""

    nodes: int = 0
    established: int = 0


class BGPPeerStatus(Wire, frozen=True):
    observed_generation: int = -1
    sessions: SessionCount | None = None
    conditions: tuple[Condition, ...] = ()


class BGPPeer(Wire, frozen=True):
    metadata: Metadata
    spec: BGPPeerSpec = BGPPeerSpec()
    status: BGPPeerStatus = BGPPeerStatus()


# NodeNetwork


class Block(Wire, frozen=True):
    """A node's slice of a pool."""

    cidr: str
    pool: str
    state: GrantState = msgspec.field(default="Active")


class NodePool(Wire, frozen=True):
    """What an agent must know of a pool it holds blocks of."""

    name: str
    family: Family
    cooldown_seconds: int = 30
    reserved: tuple[str, ...] = ()
    communities: tuple[str, ...] = ()


class Peer(Wire, frozen=True):
    """One BGP session of one node; it carries the family of `address`."""

    name: str
    address: str
    peer_asn: int = msgspec.field(name="peerASN")
    port: int = 179
    auth_secret_ref: SecretRef | None = None
    hold_seconds: int = 9
    keepalive_seconds: int = 3
    connect_retry_seconds: int = 2
    bfd: BFD = BFD()
    graceful_restart: GracefulRestart = GracefulRestart()
    accepted_prefix_lengths: PrefixLengths | None = None


class NodeBGP(Wire, frozen=True):
    """All sessions of one node. `router_id` is the node's IPv4 address or derived from its name."""

    local_asn: int = msgspec.field(name="localASN")
    router_id: str = msgspec.field(name="routerID")
    peers: tuple[Peer, ...] = ()


class NodeNetworkSpec(Wire, frozen=True):
    """Desired state of one node. `revision` grows with every change of content and never shrinks."""

    revision: int = 0
    blocks: tuple[Block, ...] = ()
    pools: tuple[NodePool, ...] = ()
    bgp: NodeBGP | None = None


class HeldBlock(Wire, frozen=True, omit_defaults=False):
    """A block as its node holds it; Drained means nothing in it is live or cooling and none will be."""

    cidr: str
    pool: str
    state: HeldState
    used: int = 0
    cooling: int = 0
    free: int = 0


class PoolUsage(Wire, frozen=True, omit_defaults=False):
    """Addresses of one pool on one node; `wanted` is how many free ones the agent asks for."""

    used: int = 0
    free: int = 0
    cooling: int = 0
    wanted: int = 0


class PeerStatus(Wire, frozen=True, omit_defaults=False):
    """A session as read back from BIRD. `session` is BIRD's state (Established, Active, ...)."""

    name: str
    session: str = "Unknown"
    since: str | None = None
    bfd: str | None = None
    prefixes_sent: tuple[str, ...] = ()
    last_error: str | None = None


class NodeBGPStatus(Wire, frozen=True):
    peers: tuple[PeerStatus, ...] = ()


class NodeNetworkStatus(Wire, frozen=True):
    """Written by the node's own agent only. `revision` is the accepted spec revision."""

    observed_generation: int = -1
    revision: int = 0
    agent_version: str | None = None
    blocks: tuple[HeldBlock, ...] = ()
    ipam: dict[str, PoolUsage] = {}
    bgp: NodeBGPStatus | None = None
    conditions: tuple[Condition, ...] = ()


class NodeNetwork(Wire, frozen=True):
    metadata: Metadata
    spec: NodeNetworkSpec = NodeNetworkSpec()
    status: NodeNetworkStatus = NodeNetworkStatus()


# The part of a core/v1 Node that the planner reads.


class NodeAddress(Wire, frozen=True):
    type: str
    address: str


class NodeStatus(Wire, frozen=True):
    addresses: tuple[NodeAddress, ...] = ()


class Node(Wire, frozen=True):
    metadata: Metadata
    status: NodeStatus = NodeStatus()
