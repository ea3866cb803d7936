"""The host's ends of the pods' links. Fence: links named fl... whose alias begins with "fairlead:".

has a lease, is up              nothing to do
has a lease, down or unmarked   marked and taken up again
group of the dead               deleted, when it is still there in the next look: the pod's namespace, which
                                a runtime removes a moment after DEL, takes its links with it for nothing
no lease, for two looks and a grace     ended as by a DEL: an agent was killed between two steps
lease without link, likewise            given back: the pod's namespace went without a DEL
lease without link, agent starts        given back at once: the node was rebooted
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Protocol

from fairlead_agent.ports import PortError, messages
from fairlead_agent.ports.kernel import Link
from fairlead_agent.ports.netlink import DEAD_GROUP, has_ipv6
from fairlead_agent.ports.rtnl import Message
from fairlead_agent.wiring import ALIAS_PREFIX, alias
from fairlead_core.api import NodeNetworkSpec
from fairlead_core.lease import Lease, Owner

NAME_PREFIX = "fl"


class LinksPort(Protocol):
    """What this target needs of the netlink port."""

    def links(self) -> tuple[Link, ...]: ...
    def unwire(self, host_ifname: str, ifname: str, netns_fd: int | None) -> bool: ...
    def bury(self) -> None: ...
    def change(self, changes: Iterable[Message]) -> list[PortError]: ...


class Leases(Protocol):
    """What this target needs of NodeIPAM."""

    def leases(self) -> tuple[Lease, ...]: ...
    def sweep(self, is_live: Callable[[Owner], bool], grace_s: float) -> tuple[Lease, ...]: ...


def ours(links: Iterable[Link]) -> dict[str, Link]:
    """The links inside the fence, by name."""
    return {
        link.name: link
        for link in links
        if link.name.startswith(NAME_PREFIX) and link.alias.startswith(ALIAS_PREFIX)
    }


def living(links: Iterable[Link]) -> dict[str, Link]:
    """Those of ours that carry traffic or should, by name."""
    return {name: link for name, link in ours(links).items() if link.group != DEAD_GROUP}


class Links:
    """The pods' links on the node. `swept` is told of leases that were given back."""

    def __init__(
        self, port: LinksPort, ipam: Leases, grace_s: float, swept: Callable[[Lease], None] = lambda _: None
    ) -> None:
        self._port, self._ipam, self._grace_s, self._swept = port, ipam, grace_s, swept
        self._dead_before: frozenset[int] = frozenset()
        self._orphan_since_s: dict[str, float] = {}

    def realise(self, spec: NodeNetworkSpec) -> None:
        """One look. Raises PortError with everything that could not be done."""
        del spec  # links follow the leases alone
        found = self._port.links()
        # After the links: whoever wires a pod holds its lease first, so no new link looks like an orphan.
        leases = {lease.host_ifname: lease for lease in self._ipam.leases()}
        self._bury({link.index for link in found if link.group == DEAD_GROUP})
        failures = self._port.change(_repairs(living(found), leases))
        self._end_orphans(living(found).keys() - leases.keys())
        self._sweep(living(found).keys(), self._grace_s)
        if failures:
            raise PortError("; ".join(str(failure) for failure in failures))

    def sweep_at_start(self) -> None:
        """Before the first CNI call nothing is half-made: a lease without link is one of before a reboot.

        Its addresses go back at once, before anything is announced for it. Raises PortError.
        """
        self._sweep(living(self._port.links()).keys(), 0.0)

    def _bury(self, dead: set[int]) -> None:
        if dead & self._dead_before:
            self._port.bury()
        self._dead_before = frozenset(dead)

    def _end_orphans(self, orphans: set[str]) -> None:
        now_s = time.monotonic()
        self._orphan_since_s = {name: self._orphan_since_s.get(name, now_s) for name in orphans}
        for name, since_s in self._orphan_since_s.items():
            if since_s < now_s - self._grace_s:
                self._port.unwire(name, "", None)

    def _sweep(self, present: Iterable[str], grace_s: float) -> None:
        names = frozenset(present)
        by_owner = {lease.owner.key: lease.host_ifname for lease in self._ipam.leases()}
        for lease in self._ipam.sweep(lambda owner: by_owner.get(owner.key, "") in names, grace_s):
            self._swept(lease)


def _repairs(found: dict[str, Link], leases: dict[str, Lease]) -> list[Message]:
    return [
        messages.host_link_up(name, alias(leases[name].owner), ipv6=has_ipv6())
        for name, link in found.items()
        if name in leases and not link.up
    ]
