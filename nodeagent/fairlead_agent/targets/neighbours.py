"""The node knows its pods' MAC addresses without asking. Fence: permanent neighbours on links of ours."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from fairlead_agent.ports import PortError, messages
from fairlead_agent.ports.kernel import Address, Link, Neighbour
from fairlead_agent.ports.rtnl import Message
from fairlead_agent.targets.leased import LeaseGuard
from fairlead_agent.targets.links import living
from fairlead_core.api import NodeNetworkSpec
from fairlead_core.diff import diff
from fairlead_core.lease import Lease

NeighbourKey = tuple[int, Address]  # link index, address


class NeighboursPort(Protocol):
    """What this target needs of the netlink port."""

    def links(self) -> tuple[Link, ...]: ...
    def neighbours(self) -> tuple[Neighbour, ...]: ...
    def change(self, changes: Iterable[Message]) -> list[PortError]: ...


def want(leases: Sequence[Lease], links: Iterable[Link]) -> dict[NeighbourKey, tuple[str, Lease]]:
    """MAC and lease of every address whose link is there and up."""
    present = living(links)
    return {
        (present[lease.host_ifname].index, address): (lease.pod_mac, lease)
        for lease in leases
        if lease.host_ifname in present and present[lease.host_ifname].up
        for address in lease.addresses
    }


class Neighbours:
    """Permanent neighbours for pods."""

    def __init__(self, port: NeighboursPort, guard: LeaseGuard) -> None:
        self._port, self._guard = port, guard

    def realise(self, spec: NodeNetworkSpec) -> None:
        """Adds what is missing or wrong, removes what nobody wants. Raises PortError."""
        del spec  # neighbours follow the leases alone
        found = self._port.neighbours()
        links = self._port.links()
        wanted = want(self._guard.leases(), links)
        fence = {link.index for link in living(links).values()}
        before = {(n.ifindex, n.address): n.mac for n in found if n.ifindex in fence}
        changes = diff(before, {which: mac for which, (mac, _lease) in wanted.items()})
        drops = [messages.neighbour_delete(address, index) for index, address in changes.drop]
        failures = self._port.change(drops)
        for index, address in changes.put:
            mac, lease = wanted[index, address]
            with self._guard.hold(lease) as still_held:
                if still_held:
                    failures += self._port.change([messages.neighbour_put(address, mac, index)])
        if failures:
            raise PortError("; ".join(str(failure) for failure in failures))
