"""A kernel in memory: wires pods, lets links be lost, and fails when told to."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from fairlead_agent.ports import PortError
from fairlead_agent.ports.kernel import KernelRoute, Link, Neighbour, PodView, Wiring
from fairlead_agent.ports.netlink import DEAD_GROUP, GATEWAYS
from fairlead_agent.ports.rtnl import Message
from fairlead_core.cni import AttachmentKey

NO_NETNS, OWN_NETNS = 3, 4  # descriptors that the fake takes for "not a namespace" and "the node's own"


def link(name: str, index: int = 1, *, alias: str = "", up: bool = True, group: int = 0) -> Link:
    """A link of the node."""
    return Link(index, name, "f2:00:00:00:00:01", 1500, up, group, alias, 0)


@dataclass
class FakeKernel:
    """Pods are descriptors; what was asked by message is in `asked`."""

    node_links: dict[str, Link] = field(default_factory=dict)
    pods: dict[tuple[int, str], Wiring] = field(default_factory=dict)
    node_routes: list[KernelRoute] = field(default_factory=list)
    node_neighbours: list[Neighbour] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    fails: dict[str, str] = field(default_factory=dict)
    """Method -> cause; with a host's link name as method, only that link's unwire."""
    buried: int = 0
    _indexes: itertools.count[int] = field(default_factory=lambda: itertools.count(100))

    def refuses(self, netns_fd: int) -> str | None:
        return {NO_NETNS: "not a namespace", OWN_NETNS: "the node's own network namespace"}.get(netns_fd)

    def wire(self, wiring: Wiring, netns_fd: int) -> Link:
        self._maybe_fail("wire")
        made = link(wiring.host_ifname, next(self._indexes), alias=wiring.alias)
        self.node_links[wiring.host_ifname] = made
        self.pods[netns_fd, wiring.pod_ifname] = wiring
        return made

    def unwire(self, host_ifname: str, ifname: str, netns_fd: int | None) -> bool:
        self._maybe_fail("unwire")
        self._maybe_fail(host_ifname)
        self.pods = {key: wired for key, wired in self.pods.items() if wired.host_ifname != host_ifname}
        found = self.node_links.get(host_ifname)
        if found is None:
            return False
        self.node_links[host_ifname] = replace(found, up=False, group=DEAD_GROUP)
        return True

    def bury(self) -> None:
        self.buried += 1
        self.node_links = {n: one for n, one in self.node_links.items() if one.group != DEAD_GROUP}

    def look_inside(self, netns_fd: int, ifname: str) -> PodView:
        wired = self.pods.get((netns_fd, ifname))
        if wired is None:
            return PodView(None)
        gateways = tuple(GATEWAYS[address.version] for address in wired.addresses)
        return PodView(replace(link(ifname), mac=wired.pod_mac), wired.addresses, gateways)

    def link(self, name: str) -> Link | None:
        return self.node_links.get(name)

    def links(self) -> tuple[Link, ...]:
        self._maybe_fail("links")
        return tuple(self.node_links.values())

    def routes(self) -> tuple[KernelRoute, ...]:
        return tuple(self.node_routes)

    def neighbours(self) -> tuple[Neighbour, ...]:
        return tuple(self.node_neighbours)

    def uplink(self) -> Link | None:
        self._maybe_fail("uplink")
        return self.node_links.get("eth0")

    def change(self, changes: Iterable[Message]) -> list[PortError]:
        self.asked += [message.what for message in changes]
        return [PortError(self.fails["change"])] if "change" in self.fails else []

    def _maybe_fail(self, method: str) -> None:
        if method in self.fails:
            raise PortError(self.fails[method])


@dataclass
class FakeSpool:
    """Remembered DELs in memory."""

    keys: set[AttachmentKey] = field(default_factory=set)

    def outstanding(self) -> tuple[AttachmentKey, ...]:
        return tuple(self.keys)

    def has(self, key: AttachmentKey) -> bool:
        return key in self.keys

    def done(self, key: AttachmentKey) -> None:
        self.keys.discard(key)
