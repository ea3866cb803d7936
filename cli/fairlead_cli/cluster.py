"""What the cluster says, read once: the only file of the command line that speaks to the API server."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from fairlead_cli.pods import Pod
from fairlead_core.api import API_VERSION, BGPPeer, IPPool, Node, NodeNetwork
from fairlead_kube.client import KubeClient
from fairlead_kube.config import load
from fairlead_kube.errors import KubeError

T = TypeVar("T")

POOLS: Final = f"/apis/{API_VERSION}/ippools"
PEERS: Final = f"/apis/{API_VERSION}/bgppeers"
NODE_NETWORKS: Final = f"/apis/{API_VERSION}/nodenetworks"
NODES: Final = "/api/v1/nodes"
PODS: Final = "/api/v1/pods"
LEASES: Final = "/apis/coordination.k8s.io/v1/namespaces"
OUR_PODS: Final = {"labelSelector": "app.kubernetes.io/name=fairlead"}


class LeaseSpec(msgspec.Struct, rename="camel"):
    holder_identity: str | None = None


class Lease(msgspec.Struct):
    spec: LeaseSpec = msgspec.field(default_factory=LeaseSpec)


@dataclass(frozen=True, slots=True)
class Cluster:
    """Everything that a view is made of. `nodes`, and `pods` (Fairlead's own), are None when forbidden."""

    nodes: tuple[Node, ...] | None = ()
    networks: tuple[NodeNetwork, ...] = ()
    pools: tuple[IPPool, ...] = ()
    peers: tuple[BGPPeer, ...] = ()
    pods: tuple[Pod, ...] | None = None
    leader: str = ""


def connect(env: Mapping[str, str], kubeconfig: Path | None, context: str | None) -> KubeClient:
    """A client for the cluster that kubectl would speak to. Raises KubeError (BadConfig)."""
    return KubeClient(load(env, kubeconfig, context), user_agent="fairlead-cli", connections=2)


def read_cluster(client: KubeClient) -> Cluster:
    """Raises KubeError when one of the kinds that every view needs cannot be read."""
    pools = client.list(POOLS, IPPool).items
    pods = _allowed(client, PODS, Pod, OUR_PODS)
    return Cluster(
        nodes=_allowed(client, NODES, Node),
        networks=client.list(NODE_NETWORKS, NodeNetwork).items,
        pools=pools,
        peers=client.list(PEERS, BGPPeer).items,
        pods=pods,
        leader=_leader(client, pods or ()),
    )


def read_pods_of(client: KubeClient, node: str) -> tuple[Pod, ...]:
    """Pods on one node: a cluster may have hundreds of thousands, a node has some hundred."""
    return client.list(PODS, Pod, {"fieldSelector": f"spec.nodeName={node}"}).items


def read_pods_with(client: KubeClient, address: str) -> tuple[Pod, ...]:
    """Pods whose first address is `address`; the API server knows no selector for the others."""
    return client.list(PODS, Pod, {"fieldSelector": f"status.podIP={address}"}).items


def read_pod(client: KubeClient, namespace: str, name: str) -> Pod:
    return client.get(f"/api/v1/namespaces/{namespace}/pods/{name}", Pod)


def _allowed(
    client: KubeClient, path: str, type_: type[T], query: Mapping[str, str] | None = None
) -> tuple[T, ...] | None:
    try:
        return client.list(path, type_, query).items
    except KubeError as error:
        if error.status == 403:
            return None
        raise


def _leader(client: KubeClient, pods: tuple[Pod, ...]) -> str:
    """Who holds the operator's Lease; "" when nobody does or we may not know."""
    namespaces = {pod.metadata.namespace for pod in pods}
    for namespace in sorted(filter(None, namespaces)):
        try:
            lease = client.get(f"{LEASES}/{namespace}/leases/fairlead-operator", Lease)
        except KubeError as error:
            if error.status in (403, 404):
                continue
            raise
        return lease.spec.holder_identity or ""
    return ""
