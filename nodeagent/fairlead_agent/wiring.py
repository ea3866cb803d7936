"""From a lease to the attachment in the kernel, and to what CNI reports of it."""

from __future__ import annotations

from fairlead_agent.ports.kernel import Wiring
from fairlead_agent.ports.netlink import GATEWAYS
from fairlead_core.cni import Attachment
from fairlead_core.lease import CLUSTER_NETWORK, Lease, Owner

ALIAS_PREFIX = "fairlead:"  # part of the fence: a link that lacks it is not ours, whatever its name


def wiring(lease: Lease, mtu_bytes: int) -> Wiring:
    """The links, addresses and routes of a lease."""
    return Wiring(
        host_ifname=lease.host_ifname,
        host_mac=lease.host_mac,
        pod_ifname=lease.owner.ifname,
        pod_mac=lease.pod_mac,
        addresses=lease.addresses,
        mtu=mtu_bytes,
        alias=alias(lease.owner),
    )


def alias(owner: Owner) -> str:
    """Whose link it is, for people at the node and for an agent that lost its journal.

    The kernel takes 255 bytes; what is cut off is the end of a very long pod name. The network is named
    behind the interface unless it is the cluster's: "eth0/podman".
    """
    network = f"/{owner.network}" if owner.network != CLUSTER_NETWORK else ""
    pod = f" {owner.namespace}/{owner.pod_name}" if owner.pod_name else ""
    return f"{ALIAS_PREFIX}{owner.container_id} {owner.ifname}{network}{pod}"[:255]


def owner_of(alias: str) -> Owner:
    """The inverse of `alias`, without the UID. An alias of another form gives an owner that nobody is."""
    container_id, _, rest = alias.removeprefix(ALIAS_PREFIX).partition(" ")
    interface, _, pod = rest.partition(" ")
    ifname, _, network = interface.partition("/")
    namespace, _, name = pod.partition("/")
    return Owner(namespace, name, "", container_id, ifname, network or CLUSTER_NETWORK)


def attachment(lease: Lease, netns: str, mtu_bytes: int) -> Attachment:
    """The same as CNI's result shows it."""
    return Attachment(
        host_ifname=lease.host_ifname,
        host_mac=lease.host_mac,
        pod_ifname=lease.owner.ifname,
        pod_mac=lease.pod_mac,
        netns=netns,
        mtu=mtu_bytes,
        addresses=lease.addresses,
        gateways=GATEWAYS,
    )
