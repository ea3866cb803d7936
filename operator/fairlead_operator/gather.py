"""Reads the cluster: reflectors for Nodes and NodeNetworks, lists of IPPools and BGPPeers.

    view of a reflector          as old as the watch
    + what we wrote since        until the watch brings it (read your own writes)
    + claims                     blocks of writes with unknown outcome, and of objects deleted under a living
    node

Without the second a block granted in one pass would look free in the next; without the third one that was
granted by a request that only seemed to fail.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, TypeVar

import msgspec

from fairlead_core.api import (
    API_VERSION,
    BGPPeer,
    IPPool,
    Node,
    NodeNetwork,
    NodeNetworkSpec,
)
from fairlead_core.snapshot import ClusterSnapshot, Policy
from fairlead_kube.client import KubeClient, decode
from fairlead_kube.errors import KubeError
from fairlead_kube.reflector import Pace, Reflector
from fairlead_operator.memory import Memory
from fairlead_operator.settings import Settings

T = TypeVar("T", IPPool, BGPPeer)

ROOT: Final = f"/apis/{API_VERSION}"
NODES: Final = "/api/v1/nodes"
NODE_NETWORKS: Final = f"{ROOT}/nodenetworks"
POOLS: Final = f"{ROOT}/ippools"
PEERS: Final = f"{ROOT}/bgppeers"


class Gather:
    """One leader's view; made anew for each term, so that every term begins with fresh lists."""

    def __init__(
        self,
        client: KubeClient,
        settings: Settings,
        wake: Callable[[], None],
        on_trouble: Callable[[KubeError], None],
        pace: Pace | None = None,
    ) -> None:
        self._client, self._settings, self._on_trouble = client, settings, on_trouble
        self._nodes = Reflector(
            client, NODES, Node, wake, pace=pace, unchanged=same_node, on_trouble=on_trouble
        )
        self._networks = Reflector(
            client, NODE_NETWORKS, NodeNetwork, wake, pace=pace, unchanged=same_network, on_trouble=on_trouble
        )
        self._pools: tuple[IPPool, ...] = ()
        self._peers: tuple[BGPPeer, ...] = ()
        self._listed_s = float("-inf")
        self._dirty = True
        self.memory = Memory()

    def start(self) -> None:
        self._nodes.start()
        self._networks.start()

    def stop(self) -> None:
        self._nodes.stop()
        self._networks.stop()

    @property
    def synced(self) -> bool:
        return self._nodes.synced and self._networks.synced

    def stale_s(self) -> float:
        """Age of the older view in seconds."""
        return max(self._nodes.stale_s(), self._networks.stale_s())

    def notice(self) -> None:
        """A pool or peer changed: the next snapshot lists them."""
        self._dirty = True

    def snapshot(self) -> ClusterSnapshot:
        """The cluster now. Raises KubeError when pools or peers cannot be listed; then there is no pass."""
        self._list()
        nodes = self._nodes.view()
        networks = self.memory.merge(self._networks.view(), time.monotonic())
        return ClusterSnapshot(
            nodes=tuple(nodes.values()),
            node_networks=tuple(networks.values()),
            pools=self._pools,
            peers=self._peers,
            claims=self.memory.claims(),
            hold_grants=self.memory.hold_grants,
            policy=Policy(self._settings.node_gone_grace_s),
        )

    def wrote(self, answer: bytes) -> None:
        """The API server's answer to a write of a NodeNetwork."""
        self.memory.wrote(decode("written NodeNetwork", answer, NodeNetwork))

    def uncertain(self, name: str, spec: NodeNetworkSpec) -> None:
        """A write may or may not have happened."""
        self.memory.uncertain(name, spec.blocks, time.monotonic())

    def conflicted(self, name: str) -> None:
        """A conditional write met another state of the object."""
        self.memory.conflicted(name)

    def deleted(self, name: str, uid: str) -> None:
        self.memory.deleted(name, uid)

    def wrote_input(self, kind: str, answer: bytes) -> None:
        """The API server's answer to a write of an IPPool or BGPPeer: what the next plan starts from.

        Without it the next pass would see the conditions of before, and tell the same change again.
        """
        if kind == "IPPool":
            self._pools = _replaced(self._pools, decode("written IPPool", answer, IPPool))
        else:
            self._peers = _replaced(self._peers, decode("written BGPPeer", answer, BGPPeer))

    def _list(self) -> None:
        if not self._dirty and time.monotonic() - self._listed_s < self._settings.timing.list_age_s:
            return
        self._dirty = False
        try:
            self._pools, self._peers = self._read(POOLS, IPPool), self._read(PEERS, BGPPeer)
        except KubeError:
            self._dirty = True
            raise
        self._listed_s = time.monotonic()

    def _read(self, path: str, type_: type[T]) -> tuple[T, ...]:
        items = []
        for raw in self._client.list_raw(path).items:
            try:
                items.append(msgspec.json.decode(raw, type=type_))
            except msgspec.MsgspecError as error:
                # The schema forbids it, so it is one object of another version: it must not stop the others.
                self._on_trouble(KubeError(0, "BadObject", f"{path}: an object does not fit: {error}"))
        return tuple(items)


def _replaced(items: tuple[T, ...], new: T) -> tuple[T, ...]:
    return tuple(new if item.metadata.name == new.metadata.name else item for item in items)


def same_node(old: Node, new: Node) -> bool:
    """Nothing changed that a plan reads; a kubelet's heartbeat is none."""
    return (old.metadata.labels, old.status) == (new.metadata.labels, new.status) and (
        old.metadata.uid == new.metadata.uid
    )


def same_network(old: NodeNetwork, new: NodeNetwork) -> bool:
    return (old.spec, old.status, old.metadata.annotations, old.metadata.uid) == (
        new.spec,
        new.status,
        new.metadata.annotations,
        new.metadata.uid,
    )
