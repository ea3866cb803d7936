"""Clusters as the API server would tell them, for tests of what people see."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec

from fairlead_cli.cluster import Cluster
from fairlead_cli.pods import Pod
from fairlead_core.api import BGPPeer, IPPool, Node, NodeNetwork

Object = dict[str, Any]
SINCE = "2026-01-01T00:00:00Z"


def ready(message: str, status: str = "True", type_: str = "Ready", reason: str = "Because") -> Object:
    return {
        "type": type_,
        "status": status,
        "reason": reason,
        "message": message,
        "lastTransitionTime": SINCE,
    }


def node(name: str) -> Object:
    return {"metadata": {"name": name}}


def pool(name: str, cidr: str, *conditions: Object, **spec: Any) -> Object:
    return {
        "metadata": {"name": name, "generation": 1},
        "spec": {"cidrs": [cidr], "blockSize": 26 if "." in cidr else 122, **spec},
        "status": {
            "observedGeneration": 1,
            "addresses": {"total": 65536, "used": 12, "free": 65520, "cooling": 4},
            "blocks": {"total": 1024, "granted": 2, "free": 1022},
            "conditions": list(conditions)
            or [ready(f"pool {name}: 2 of 1024 blocks granted to 2 nodes, 12 of 65536 addresses used")],
        },
    }


def peer(name: str, address: str, *conditions: Object, established: int = 2) -> Object:
    return {
        "metadata": {"name": name, "generation": 1},
        "spec": {"address": address, "localASN": 65001, "peerASN": 65000},
        "status": {
            "observedGeneration": 1,
            "sessions": {"nodes": 2, "established": established},
            "conditions": list(conditions)
            or [ready(f"peer {name}: {established} of 2 sessions established")],
        },
    }


def network(name: str, third: int, **status: Any) -> Object:
    """A node with one block of each family: 10.244.0.<third>/26 and fd00:244::<third>/122."""
    v4, v6 = f"10.244.0.{third}/26", f"fd00:244::{third:x}/122".replace("::0/", "::/")
    sessions = [
        {"name": "tor-v4", "session": "Established", "since": SINCE, "bfd": "Up", "prefixesSent": [v4]},
        {"name": "tor-v6", "session": "Established", "since": SINCE, "bfd": "Up", "prefixesSent": [v6]},
    ]
    peers = [
        {"name": "tor-v4", "address": "10.250.0.1", "peerASN": 65000, "bfd": {"enabled": True}},
        {"name": "tor-v6", "address": "fd00:250::1", "peerASN": 65000, "bfd": {"enabled": True}},
    ]
    return {
        "metadata": {"name": name, "generation": 3},
        "spec": {
            "revision": 3,
            "blocks": [{"cidr": v4, "pool": "pods-v4"}, {"cidr": v6, "pool": "pods-v6"}],
            "pools": [{"name": "pods-v4", "family": "IPv4"}, {"name": "pods-v6", "family": "IPv6"}],
            "bgp": {"localASN": 65001, "routerID": "10.250.0.11", "peers": peers},
        },
        "status": {
            "observedGeneration": 3,
            "revision": 3,
            "agentVersion": "0.1.0",
            "blocks": [
                {"cidr": v4, "pool": "pods-v4", "state": "Active", "used": 6, "cooling": 2, "free": 56},
                {"cidr": v6, "pool": "pods-v6", "state": "Active", "used": 6, "cooling": 2, "free": 55},
            ],
            "ipam": {
                "pods-v4": {"used": 6, "cooling": 2, "free": 56, "wanted": 16},
                "pods-v6": {"used": 6, "cooling": 2, "free": 55, "wanted": 16},
            },
            "bgp": {"peers": sessions},
            "conditions": [ready("revision 3 with 2 blocks is realised")],
            **status,
        },
    }


def pod(name: str, on: str, *addresses: str, **more: Any) -> Object:
    return {
        "metadata": {"name": name, "namespace": "default", "uid": f"uid-{name}", **more.pop("metadata", {})},
        "spec": {"nodeName": on, **more.pop("spec", {})},
        "status": {
            "phase": "Running",
            "podIPs": [{"ip": one} for one in addresses],
            **more.pop("status", {}),
        },
    }


def own_pod(component: str, on: str, status: str = "True") -> Object:
    labels = {"app.kubernetes.io/name": "fairlead", "app.kubernetes.io/component": component}
    return pod(
        f"{component}-{on}",
        on,
        metadata={"namespace": "fairlead-system", "labels": labels},
        spec={"hostNetwork": True},
        status={"conditions": [{"type": "Ready", "status": status}]},
    )


OBJECTS: dict[str, list[Object]] = {
    "nodes": [node("node1"), node("node2")],
    "networks": [network("node1", 0), network("node2", 64)],
    "pools": [pool("pods-v4", "10.244.0.0/16"), pool("pods-v6", "fd00:244::/104")],
    "peers": [peer("tor-v4", "10.250.0.1"), peer("tor-v6", "fd00:250::1")],
    "pods": [own_pod(part, on) for part in ("agent", "operator") for on in ("node1", "node2")],
}
TYPES = {"nodes": Node, "networks": NodeNetwork, "pools": IPPool, "peers": BGPPeer, "pods": Pod}


def cluster(**changed: list[Object] | None) -> Cluster:
    """The healthy cluster of two nodes, with some of its objects exchanged."""
    objects = {**OBJECTS, **changed}
    read: dict[str, Any] = {
        name: None if listed is None else tuple(msgspec.convert(one, TYPES[name]) for one in listed)
        for name, listed in objects.items()
    }
    return replace(Cluster(**read), leader="operator-node1")


def pods(*objects: Object) -> tuple[Pod, ...]:
    return tuple(msgspec.convert(one, Pod) for one in objects)
