"""The node's routes to its pods and blocks. Fence: routes of protocol 76, in any table.

    main   pod /32, /128   out of the pod's link
    main   block           blackhole, metric 100000: an address that nobody holds must not leave by the
                           default route and come back from the fabric for ever
    200    block           blackhole: what BIRD learns and announces; no packet looks into this table

A route of another protocol that stands in the way is an error, not something to replace.
"""

from __future__ import annotations

import errno
from collections.abc import Iterable, Sequence
from ipaddress import ip_network
from typing import Protocol

from fairlead_agent.ports import PortError, messages
from fairlead_agent.ports.kernel import KernelRoute, Link, Network, Route
from fairlead_agent.ports.rtnl import Message, NetlinkError
from fairlead_agent.targets.leased import LeaseGuard
from fairlead_agent.targets.links import living
from fairlead_core.api import HeldBlock, NodeNetworkSpec
from fairlead_core.diff import diff
from fairlead_core.lease import Lease

ANNOUNCE_TABLE = 200
BLOCK_METRIC = 100_000

RouteKey = tuple[int, Network, int]  # table, destination, metric: what the kernel allows once


class RoutesPort(Protocol):
    """What this target needs of the netlink port."""

    def links(self) -> tuple[Link, ...]: ...
    def routes(self) -> tuple[KernelRoute, ...]: ...
    def change(self, changes: Iterable[Message]) -> list[PortError]: ...


def key(route: Route | KernelRoute) -> RouteKey:
    """What makes two routes the same one."""
    return (route.table, route.network, route.metric)


def have(routes: Iterable[KernelRoute]) -> dict[RouteKey, Route]:
    """The kernel's routes of ours in our own form."""
    return {key(r): Route(r.network, r.table, r.ifindex, r.metric) for r in routes}


def block_routes(spec: NodeNetworkSpec, held: Iterable[HeldBlock]) -> dict[RouteKey, Route]:
    """Both routes of every block but the drained: nobody lives there, and it may soon be another node's."""
    drained = {block.cidr for block in held if block.state == "Drained"}
    networks = [ip_network(block.cidr) for block in spec.blocks if block.cidr not in drained]
    tables = (messages.MAIN_TABLE, ANNOUNCE_TABLE)
    routes = (Route(network, table, 0, BLOCK_METRIC) for network in networks for table in tables)
    return {key(route): route for route in routes}


def pod_routes(leases: Sequence[Lease], links: Iterable[Link]) -> dict[RouteKey, tuple[Route, Lease]]:
    """The routes of every lease whose link is there and up."""
    present = living(links)
    routes = (
        (messages.host_route(address, present[lease.host_ifname].index), lease)
        for lease in leases
        if lease.host_ifname in present and present[lease.host_ifname].up
        for address in lease.addresses
    )
    return {key(route): (route, lease) for route, lease in routes}


class Routes:
    """Pod routes, blackholes and announcements."""

    def __init__(self, port: RoutesPort, guard: LeaseGuard) -> None:
        self._port, self._guard = port, guard

    def realise(self, spec: NodeNetworkSpec) -> None:
        """Adds what is missing, removes what nobody wants. Raises PortError with all that failed."""
        before = have(self._port.routes())
        # After the routes: an ADD that ends in between is wanted and not yet seen, never the reverse.
        pods = pod_routes(self._guard.leases(), self._port.links())
        blocks = block_routes(spec, self._guard.held_blocks())
        wanted = {**blocks, **{which: route for which, (route, _lease) in pods.items()}}
        changes = diff(before, wanted)
        failures = self._port.change([messages.route_delete(before[which]) for which in changes.drop])
        for which, route in changes.put.items():
            failures += self._put(route, which in before, pods[which][1] if which in pods else None)
        if failures:
            raise PortError("; ".join(str(failure) for failure in failures))

    def _put(self, route: Route, replace: bool, lease: Lease | None) -> list[PortError]:
        if lease is None:
            return self._put_now(route, replace)
        with self._guard.hold(lease) as still_held:
            return self._put_now(route, replace) if still_held else []

    def _put_now(self, route: Route, replace: bool) -> list[PortError]:
        failures = self._port.change([messages.route_put(route, replace=replace)])
        if not any(isinstance(f, NetlinkError) and f.code == errno.EEXIST for f in failures):
            return failures
        if have(self._port.routes()).get(key(route)) == route:
            return []  # an ADD was faster
        return [PortError(f"route {route} put: a route of another protocol stands there")]
