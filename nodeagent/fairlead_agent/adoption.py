"""Pods that the kernel still has although the journal does not know them: lost disk, damaged lines.

The link's alias says whose it is, its name follows from container and interface, its routes are its
addresses. So a running pod keeps its addresses, nobody else gets them, and its DEL finds them. Its UID is
not known.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from fairlead_agent.ports.kernel import KernelRoute, Link
from fairlead_agent.targets.links import living
from fairlead_agent.wiring import owner_of
from fairlead_core.cni import AttachmentKey, veth_names
from fairlead_core.lease import Key, Lease
from fairlead_core.outcome import Rejected, Waiting


class Kernel(Protocol):
    """What adoption needs of the netlink port."""

    def links(self) -> tuple[Link, ...]: ...
    def routes(self) -> tuple[KernelRoute, ...]: ...


class Leases(Protocol):
    """What adoption needs of NodeIPAM."""

    def leases(self) -> tuple[Lease, ...]: ...
    def adopt(self, lease: Lease) -> Lease | Rejected | Waiting: ...


def adopt_survivors(kernel: Kernel, ipam: Leases) -> tuple[list[Lease], list[str]]:
    """Takes every such pod into the journal, before any address is given: (adopted, why others were not).

    Only for the time before the first CNI call: beside one, a link that is being ended looks like a survivor.
    Raises PortError.
    """
    held = {lease.owner.key for lease in ipam.leases()}
    adopted: list[Lease] = []
    refused: list[str] = []
    for lease in survivors(kernel.links(), kernel.routes(), held):
        outcome = ipam.adopt(lease)
        if isinstance(outcome, Lease):
            adopted.append(outcome)
        else:
            refused.append(f"{lease.host_ifname}: {outcome.message}")
    return adopted, refused


def survivors(links: Iterable[Link], routes: Iterable[KernelRoute], held: set[Key]) -> list[Lease]:
    """The leases that the kernel's links and host routes prove, without those in `held`."""
    table = tuple(routes)
    found: list[Lease] = []
    for link in living(links).values():
        owner = owner_of(link.alias)
        names = veth_names(AttachmentKey(*owner.key))
        addresses = sorted(
            {r.network.network_address for r in table if r.ifindex == link.index and _is_host(r)},
            key=lambda address: (address.version, int(address)),
        )
        # The name proves the alias: it is a digest of the container and the interface.
        if names.host_ifname == link.name and owner.key not in held and addresses:
            found.append(Lease(owner, tuple(addresses), link.name, names.host_mac, names.pod_mac, 0.0))
    return found


def _is_host(route: KernelRoute) -> bool:
    return route.network.prefixlen == route.network.max_prefixlen
