"""The node forwards packets of both families. Fence: the settings named here, of the node's namespace.

    net.ipv4.ip_forward = 1              pods' packets pass through the node
    net.ipv6.conf.all.forwarding = 1     the same for IPv6
    net.ipv6.conf.UPLINK.accept_ra = 2   only where it was 1: with forwarding on, 1 means "no router", and a
                                         node that learned its default route so would lose it

Reverse path filters stay as the administrator set them; pods' own links get the strict one with the link.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from fairlead_agent.ports.kernel import Link
from fairlead_core.api import Family, NodeNetworkSpec

FORWARDING: Mapping[Family, tuple[str, ...]] = {
    "IPv4": ("net", "ipv4", "ip_forward"),
    "IPv6": ("net", "ipv6", "conf", "all", "forwarding"),
}


class SettingsPort(Protocol):
    """What this target needs of the sysctl port."""

    def get(self, parts: tuple[str, ...]) -> str: ...
    def put(self, parts: tuple[str, ...], value: str) -> None: ...


class UplinkPort(Protocol):
    """What this target needs of the netlink port."""

    def uplink(self) -> Link | None: ...


class Sysctls:
    """Kernel settings of the node."""

    def __init__(self, port: SettingsPort, kernel: UplinkPort) -> None:
        self._port, self._kernel = port, kernel

    def realise(self, spec: NodeNetworkSpec) -> None:
        """Sets what differs, for the families that the node has pools of. Raises PortError."""
        families = sorted({pool.family for pool in spec.pools})
        off = [parts for parts in (FORWARDING[family] for family in families) if self._port.get(parts) != "1"]
        if off:
            self._keep_router_advertisements()
        for parts in off:
            self._port.put(parts, "1")

    def _keep_router_advertisements(self) -> None:
        uplink = self._kernel.uplink()
        if uplink is None:
            return
        parts = ("net", "ipv6", "conf", uplink.name, "accept_ra")
        if self._port.get(parts) == "1":
            self._port.put(parts, "2")
