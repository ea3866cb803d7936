"""What the kernel holds, as values: links, routes, neighbours, addresses; read from netlink's answers."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from fairlead_agent.ports.rtnl import Reply, attributes, number, string

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_IFF_UP, _AF_INET, _AF_INET6, _NUD_PERMANENT, _RTN_UNICAST = 1, 2, 10, 0x80, 1
_IFLA_ADDRESS, _IFLA_IFNAME, _IFLA_MTU, _IFLA_LINK, _IFLA_IFALIAS, _IFLA_GROUP = 1, 3, 4, 5, 20, 27
_RTA_DST, _RTA_OIF, _RTA_GATEWAY, _RTA_PRIORITY, _RTA_TABLE = 1, 4, 5, 6, 15
_NDA_DST, _NDA_LLADDR = 1, 2
_IFA_ADDRESS, _IFA_LOCAL = 1, 2


@dataclass(frozen=True, slots=True)
class Link:
    """A network interface; `peer_index` is the other end of a veth, in that end's namespace."""

    index: int
    name: str
    mac: str
    mtu: int
    up: bool
    group: int
    alias: str
    peer_index: int


@dataclass(frozen=True, slots=True)
class Route:
    """A route of ours: out of link `ifindex`, or a blackhole when that is 0."""

    network: Network
    table: int
    ifindex: int
    metric: int

    def __str__(self) -> str:
        where = f"out of link #{self.ifindex}" if self.ifindex else "blackhole"
        return f"{self.network} {where} table {self.table} metric {self.metric}"


@dataclass(frozen=True, slots=True)
class KernelRoute:
    """A route as the kernel has it, of any protocol; `gateway` is None on the link itself."""

    network: Network
    table: int
    ifindex: int
    metric: int
    protocol: int
    gateway: Address | None


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A permanent neighbour."""

    address: Address
    ifindex: int
    mac: str


@dataclass(frozen=True, slots=True)
class Wiring:
    """A pod's attachment as it shall be."""

    host_ifname: str
    host_mac: str
    pod_ifname: str
    pod_mac: str
    addresses: tuple[Address, ...]
    mtu: int
    alias: str


@dataclass(frozen=True, slots=True)
class PodView:
    """What a pod's namespace really has of one attachment; `link` None when there is no such interface."""

    link: Link | None
    addresses: tuple[Address, ...] = ()
    gateways: tuple[Address, ...] = ()


def parse_link(reply: Reply) -> Link:
    """The link in one RTM_NEWLINK."""
    _family, _type, index, flags, _change = struct.unpack_from("=BxHiII", reply.body)
    found = attributes(reply.body, 16)
    return Link(
        index=index,
        name=string(found.get(_IFLA_IFNAME)),
        mac=found.get(_IFLA_ADDRESS, b"").hex(":"),
        mtu=number(found.get(_IFLA_MTU)),
        up=bool(flags & _IFF_UP),
        group=number(found.get(_IFLA_GROUP)),
        alias=string(found.get(_IFLA_IFALIAS)),
        peer_index=number(found.get(_IFLA_LINK)),
    )


def parse_route(reply: Reply) -> KernelRoute:
    """The route in one RTM_NEWROUTE, of whatever protocol and kind."""
    family, prefix, _src, _tos, table, protocol, _scope, kind, _flags = struct.unpack_from(
        "=BBBBBBBBI", reply.body
    )
    found = attributes(reply.body, 12)
    packed = found.get(_RTA_DST, bytes(4 if family == _AF_INET else 16))
    gateway = found.get(_RTA_GATEWAY)
    return KernelRoute(
        network=ip_network((packed, prefix)),
        table=number(found.get(_RTA_TABLE), table),
        ifindex=number(found.get(_RTA_OIF)) if kind == _RTN_UNICAST else 0,
        metric=number(found.get(_RTA_PRIORITY)),
        protocol=protocol,
        gateway=ip_address(gateway) if gateway else None,
    )


def parse_neighbour(reply: Reply) -> Neighbour | None:
    """The permanent neighbour in one RTM_NEWNEIGH; None for any other state."""
    family, index, state, _flags, _type = struct.unpack_from("=BxxxiHBB", reply.body)
    found = attributes(reply.body, 12)
    if family not in (_AF_INET, _AF_INET6) or not state & _NUD_PERMANENT or _NDA_LLADDR not in found:
        return None
    return Neighbour(ip_address(found[_NDA_DST]), index, found[_NDA_LLADDR].hex(":"))


def parse_address(reply: Reply) -> tuple[int, Address]:
    """Link index and address in one RTM_NEWADDR."""
    index = struct.unpack_from("=BBBBI", reply.body)[4]
    found = attributes(reply.body, 8)
    return index, ip_address(found.get(_IFA_LOCAL, found.get(_IFA_ADDRESS, b"")))
