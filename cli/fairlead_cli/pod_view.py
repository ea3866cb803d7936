"""`fairlead ipam show POD`: the addresses of a pod and where each belongs."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address

from fairlead_cli.cluster import Cluster
from fairlead_cli.ipam_view import AddressView, address_view
from fairlead_cli.pods import Pod, addresses, full_name
from fairlead_cli.view import View


class PodView(View, frozen=True):
    """A pod and its own addresses; none on the node's network, before it starts and after it ends."""

    pod: str
    uid: str
    node: str
    phase: str
    addresses: tuple[AddressView, ...]
    told: tuple[str, ...]


def pod_view(cluster: Cluster, pod: Pod) -> PodView:
    held = tuple(address_view(cluster, ip_address(text), [pod]) for text in addresses(pod))
    return PodView(
        pod=full_name(pod),
        uid=pod.metadata.uid,
        node=pod.spec.node_name,
        phase=pod.status.phase,
        addresses=held,
        told=tuple(_told(pod, held)),
    )


def _told(pod: Pod, held: tuple[AddressView, ...]) -> Iterator[str]:
    if held:
        yield from (one.told for one in held)
    elif pod.spec.host_network:
        yield f"pod {full_name(pod)} uses the network of {pod.spec.node_name} and holds no address"
    else:
        yield f"pod {full_name(pod)} holds no address; its phase is {pod.status.phase or 'unknown'}"
