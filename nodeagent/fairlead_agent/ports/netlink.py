"""The kernel's links, addresses, routes and neighbours: wires pods, says what is there, changes what is ours.

A pod costs three netlink batches (docs/adr/0007-pod-wiring.md). The pod's side is spoken to through a socket
that this thread opened inside the pod's namespace: a netlink socket stays where it was made, so the thread is
back at once.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from ipaddress import IPv4Address, IPv6Address
from typing import Final, TypeVar

from fairlead_agent.ports import PortError, messages
from fairlead_agent.ports.kernel import (
    Address,
    KernelRoute,
    Link,
    Neighbour,
    PodView,
    Wiring,
    parse_address,
    parse_link,
    parse_neighbour,
    parse_route,
)
from fairlead_agent.ports.rtnl import Message, NetlinkError, Reply, RtnlSocket

GATEWAYS: Final[dict[int, Address]] = {4: IPv4Address("169.254.1.1"), 6: IPv6Address("fe80::1")}
DEAD_GROUP: Final = 0x464C4444  # links that wait for their deletion; nobody else picks this number by chance


_CLONE_NEWNET: Final = 0x40000000
_NS_GET_NSTYPE: Final = 0xB703
_libc: Final = ctypes.CDLL(None, use_errno=True)
T = TypeVar("T")


class InterfaceExistsError(PortError):
    """The pod's namespace already has an interface of that name."""


def has_ipv6() -> bool:
    """Whether this kernel speaks IPv6 at all (not with ipv6.disable=1)."""
    return os.path.exists("/proc/sys/net/ipv6")


class Netlink:
    """The kernel of the namespace in which it was made. Threads may share it: each has its own socket."""

    def __init__(self) -> None:
        self._own_ns = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        self._sockets = threading.local()
        self._ipv6 = has_ipv6()

    def refuses(self, netns_fd: int) -> str | None:
        """Why a descriptor is no network namespace to put a pod into; None when it is one."""
        try:
            kind = fcntl.ioctl(netns_fd, _NS_GET_NSTYPE)
        except OSError as error:
            return f"not a namespace: {error}"
        if kind != _CLONE_NEWNET:
            return "a namespace, but not a network namespace"
        if os.path.sameopenfile(netns_fd, self._own_ns):
            return "the node's own network namespace"
        return None

    def wire(self, wiring: Wiring, netns_fd: int) -> Link:
        """Creates a pod's attachment in full and answers with the host's link.

        Raises InterfaceExistsError when the name is taken, PortError for anything else; nothing is left then.
        """
        host = self._create_pair(wiring, netns_fd)
        try:
            with self._inside(netns_fd) as pod:
                _wire_inside(pod, wiring, host.peer_index, self._ipv6)
            self._host(lambda own: own.batch(_host_messages(wiring, host.index)))
        except PortError:
            self._host(lambda own: own.batch([messages.link_delete(wiring.host_ifname)]))
            raise
        return host

    def unwire(self, host_ifname: str, ifname: str, netns_fd: int | None) -> bool:
        """Ends an attachment at once: no route, no neighbour, the pod's name free; the veth awaits `bury`.

        Answers whether there was one. A pod's interface that is not the peer of ours is left alone.
        """
        look = messages.link_get(host_ifname, tolerate=messages.GONE)
        down = messages.host_link_dead(host_ifname, DEAD_GROUP)
        replies = self._host(lambda own: own.batch([look, down]))
        if not replies:
            return False
        host = parse_link(replies[0])
        if netns_fd is not None:
            with self._inside(netns_fd) as pod:
                link = _link(pod, ifname)
                if link is not None and link.peer_index == host.index:
                    pod.batch([messages.pod_link_dead(link.index, f"fldead{link.index:x}")])
        return True

    def bury(self) -> None:
        """Deletes every link that `unwire` left, with one wait for RCU (20 ms) for all of them."""
        self._host(lambda own: own.batch([messages.group_delete(DEAD_GROUP)]))

    def look_inside(self, netns_fd: int, ifname: str) -> PodView:
        """What the pod's namespace has on interface `ifname`."""
        with self._inside(netns_fd) as pod:
            link = _link(pod, ifname)
            if link is None:
                return PodView(None)
            routes = [
                parse_route(reply)
                for v in (4, 6)
                for reply in pod.dump(messages.routes_dump(v, protocol=messages.PROTOCOL))
            ]
            addresses = [parse_address(reply) for reply in pod.dump(messages.addresses_dump(link.index))]
        return PodView(
            link,
            tuple(address for index, address in addresses if index == link.index),
            tuple(
                r.gateway for r in routes if r.gateway and r.ifindex == link.index and not r.network.prefixlen
            ),
        )

    def link(self, name: str) -> Link | None:
        """One link of the node by name."""
        return self._host(lambda own: _link(own, name))

    def links(self) -> tuple[Link, ...]:
        """Every link of the node, foreign ones too."""
        return tuple(parse_link(reply) for reply in self._dump(messages.links_dump()))

    def routes(self) -> tuple[KernelRoute, ...]:
        """Every route of protocol 76, in all tables, both families."""
        dumps = (self._dump(messages.routes_dump(version, protocol=messages.PROTOCOL)) for version in (4, 6))
        routes = (parse_route(reply) for dump in dumps for reply in dump)
        return tuple(route for route in routes if route.protocol == messages.PROTOCOL)

    def neighbours(self) -> tuple[Neighbour, ...]:
        """Every permanent neighbour of the node, foreign ones too."""
        parsed = (parse_neighbour(reply) for reply in self._dump(messages.neighbours_dump()))
        return tuple(neighbour for neighbour in parsed if neighbour is not None)

    def uplink(self) -> Link | None:
        """The link of the node's default route: of IPv4 before IPv6, then the lowest metric."""
        for version in (4, 6):
            routes = (
                parse_route(r) for r in self._dump(messages.routes_dump(version, table=messages.MAIN_TABLE))
            )
            default = min(
                (r for r in routes if not r.network.prefixlen and r.ifindex),
                key=lambda r: r.metric,
                default=None,
            )
            if default is not None:
                return next((link for link in self.links() if link.index == default.ifindex), None)
        return None

    def change(self, changes: Iterable[Message]) -> list[PortError]:
        """Carries out all changes and answers with those that failed."""
        return self._host(lambda own: own.each(changes))

    def _dump(self, message: Message) -> list[Reply]:
        return self._host(lambda own: own.dump(message))

    def _create_pair(self, wiring: Wiring, netns_fd: int) -> Link:
        batch = _pair_messages(wiring, netns_fd, self._ipv6)
        try:
            replies = self._host(lambda own: own.batch(batch))
        except NetlinkError as error:
            if error.code != errno.EEXIST:
                self._host(lambda own: own.batch([messages.link_delete(wiring.host_ifname)]))
                raise
            self._make_room(wiring.pod_ifname, netns_fd)
            # A veth of an attachment that ended a moment ago still waits for its burial under this name.
            replies = self._host(lambda own: own.batch([messages.link_delete(wiring.host_ifname), *batch]))
        return parse_link(replies[0])

    def _make_room(self, ifname: str, netns_fd: int) -> None:
        with self._inside(netns_fd) as pod:
            link = _link(pod, ifname)
        if link is None:
            return
        # A DEL that came without the namespace could not rename the pod's end of the link that it ended.
        ends = [host for host in self.links() if host.index == link.peer_index and host.group == DEAD_GROUP]
        if not any(host.peer_index == link.index for host in ends):
            raise InterfaceExistsError(
                f"interface {ifname} add: the pod's namespace already has one of that name"
            )
        self._host(lambda own: own.batch([messages.link_delete(ends[0].name)]))

    def _host(self, ask: Callable[[RtnlSocket], T]) -> T:
        own: RtnlSocket | None = getattr(self._sockets, "own", None)
        if own is None:
            own = self._sockets.own = RtnlSocket()
        try:
            return ask(own)
        except NetlinkError:
            raise
        except PortError:
            # After a time-out the answer may still come; a fresh socket cannot mistake it for another's.
            own.close()
            self._sockets.own = None
            raise

    @contextmanager
    def _inside(self, netns_fd: int) -> Iterator[RtnlSocket]:
        pod = self._socket_inside(netns_fd)
        try:
            yield pod
        finally:
            pod.close()

    def _socket_inside(self, netns_fd: int) -> RtnlSocket:
        if _libc.setns(netns_fd, _CLONE_NEWNET):
            raise PortError(f"namespace of the pod enter: {os.strerror(ctypes.get_errno())}")
        try:
            return RtnlSocket()
        finally:
            if _libc.setns(self._own_ns, _CLONE_NEWNET):
                os.abort()  # a thread that stays in a pod's namespace would write the node's routes there


def _link(own: RtnlSocket, name: str) -> Link | None:
    try:
        replies = own.batch([messages.link_get(name)])
    except NetlinkError as error:
        if error.code == errno.ENODEV:
            return None
        raise
    return parse_link(replies[0])


def _pair_messages(wiring: Wiring, netns_fd: int, ipv6: bool) -> list[Message]:
    ends = messages.Ends(wiring.host_ifname, wiring.host_mac, wiring.pod_ifname, wiring.pod_mac, wiring.mtu)
    return [
        messages.veth_create(ends, netns_fd),
        messages.host_link_up(wiring.host_ifname, wiring.alias, ipv6=ipv6),
        messages.link_get(wiring.host_ifname),
    ]


def _pod_messages(wiring: Wiring, index: int, ipv6: bool) -> list[Message]:
    batch = [messages.pod_link_up(wiring.pod_ifname, ipv6=ipv6)]
    for address in wiring.addresses:
        gateway = GATEWAYS[address.version]
        batch.append(messages.address_add(address, index))
        batch.append(messages.neighbour_put(gateway, wiring.host_mac, index, router=True))
        batch.append(messages.default_route_add(gateway, index))
    return batch


def _wire_inside(pod: RtnlSocket, wiring: Wiring, index: int, ipv6: bool) -> None:
    failures = pod.each(_pod_messages(wiring, index, ipv6))
    # Of all that a new link gets only the default route can exist already, as that of an older interface.
    if failures and all(isinstance(one, NetlinkError) and one.code == errno.EEXIST for one in failures):
        failures = pod.each(_further_defaults(wiring, index))
    if failures:
        raise failures[0]


def _further_defaults(wiring: Wiring, index: int) -> list[Message]:
    gateways = [GATEWAYS[address.version] for address in wiring.addresses]
    return [
        *(messages.default_route_delete(gateway, index) for gateway in gateways),
        *(messages.default_route_add(gateway, index, further=True) for gateway in gateways),
    ]


def _host_messages(wiring: Wiring, index: int) -> list[Message]:
    batch: list[Message] = []
    for address in wiring.addresses:
        batch.append(messages.neighbour_put(address, wiring.pod_mac, index))
        batch.append(messages.route_put(messages.host_route(address, index)))
    # The host's end was up before its peer: until link watch has seen the carrier, its queue drops all.
    # Asking for the link makes the kernel look at once (rtnl_getlink, Linux 6.8).
    batch.append(messages.link_get(wiring.host_ifname))
    return batch
