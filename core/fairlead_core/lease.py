"""Who holds which addresses on this node."""

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import Final, TypeAlias

Address: TypeAlias = IPv4Address | IPv6Address
CLUSTER_NETWORK: Final = (
    "fairlead"  # the name in the configuration that the agent writes for kubelet's runtime
)
Key: TypeAlias = tuple[str, str]  # (container id, interface name): what CNI calls an attachment


@dataclass(frozen=True, slots=True)
class Owner:
    """One interface of one sandbox. Identity is (container_id, ifname), compared exactly, never a pod's name.

    namespace, pod_name and pod_uid are "" when the caller is not a kubelet (cnitool, podman).
    `network` is the name of the configuration that it came with: a GC speaks for one network only.
    """

    namespace: str
    pod_name: str
    pod_uid: str
    container_id: str
    ifname: str
    network: str = CLUSTER_NETWORK

    @property
    def key(self) -> Key:
        """What release and garbage collection go by: a new sandbox of the same pod is another owner."""
        return (self.container_id, self.ifname)


@dataclass(frozen=True, slots=True)
class Lease:
    """Addresses held by one owner, one per family, IPv4 first. `created_at_s` is in epoch seconds."""

    owner: Owner
    addresses: tuple[Address, ...]
    host_ifname: str
    host_mac: str
    pod_mac: str
    created_at_s: float
