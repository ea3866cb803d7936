"""The rtnetlink requests that Fairlead sends, each a pure function from values to one Message.

Every route and neighbour made here carries protocol 76 or lives on a link of ours, so that a dump can tell
ours from others'. Numbers: linux/if_link.h, rtnetlink.h, neighbour.h, veth.h.
"""

from __future__ import annotations

import errno
import struct
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Final

from fairlead_agent.ports import rtnl
from fairlead_agent.ports.kernel import Address, Route
from fairlead_agent.ports.rtnl import Message, attribute, nested, text, u32

PROTOCOL: Final = (
    76  # rtproto of everything Fairlead writes into a routing table; free in iproute2's rt_protos
)
MAIN_TABLE: Final = 254

IFF_UP: Final = 1
_AF_UNSPEC, _AF_INET, _AF_INET6 = 0, 2, 10
_NUD_PERMANENT: Final = 0x80
_RTN_UNICAST, _RTN_BLACKHOLE = 1, 6
_SCOPE_UNIVERSE, _SCOPE_LINK = 0, 253
_RTNH_F_ONLINK: Final = 4
_IFA_F_NODAD, _IFA_F_PERMANENT = 0x02, 0x80
_NTF_ROUTER: Final = 0x80
_ADDR_GEN_NONE: Final = 1

# attributes
_IFLA_ADDRESS, _IFLA_IFNAME, _IFLA_MTU, _IFLA_LINKINFO = 1, 3, 4, 18
_IFLA_IFALIAS, _IFLA_AF_SPEC, _IFLA_GROUP, _IFLA_NET_NS_FD, _IFLA_EXT_MASK = 20, 26, 27, 28, 29
_IFLA_INFO_KIND, _IFLA_INFO_DATA, _VETH_INFO_PEER = 1, 2, 1
_IFLA_INET_CONF, _IFLA_INET6_ADDR_GEN_MODE = 1, 8
_IPV4_DEVCONF_RP_FILTER: Final = 8
_IFA_ADDRESS, _IFA_LOCAL = 1, 2
_RTA_DST, _RTA_OIF, _RTA_GATEWAY, _RTA_PRIORITY, _RTA_TABLE = 1, 4, 5, 6, 15
_NDA_DST, _NDA_LLADDR = 1, 2

# The kernel turns an IPv6 metric of 0 into 1024; a dump must show what was asked for.
_POD_METRIC: Final = {4: 0, 6: 1024}

_CREATE: Final = rtnl.NLM_F_REQUEST | rtnl.NLM_F_CREATE
_PUT: Final = _CREATE | rtnl.NLM_F_REPLACE
_DO: Final = rtnl.NLM_F_REQUEST
_DUMP: Final = rtnl.NLM_F_REQUEST | rtnl.NLM_F_DUMP
GONE: Final = (errno.ENOENT, errno.ESRCH, errno.ENODEV)


# Left out where the kernel has no IPv6 (ipv6.disable=1): it would refuse the whole message.
_NO_LINK_LOCAL: Final = nested(_AF_INET6, attribute(_IFLA_INET6_ADDR_GEN_MODE, bytes([_ADDR_GEN_NONE])))

# RTEXT_FILTER_SKIP_STATS: a third of an answer that nobody here reads.
_WITHOUT_STATISTICS: Final = u32(_IFLA_EXT_MASK, 1 << 3)


def mac_bytes(mac: str) -> bytes:
    """The six bytes of "02:00:00:00:00:01"."""
    return bytes.fromhex(mac.replace(":", ""))


def _ifinfo(index: int = 0, flags: int = 0, change: int = 0) -> bytes:
    return struct.pack("=BxHiII", _AF_UNSPEC, 0, index, flags, change)


@dataclass(frozen=True, slots=True)
class Ends:
    """Both ends of a veth pair; MACs as "02:00:00:00:00:01"."""

    host_name: str
    host_mac: str
    peer_name: str
    peer_mac: str
    mtu: int


def veth_create(ends: Ends, peer_ns_fd: int) -> Message:
    """A veth pair, both ends down: the host's here, its peer born inside the descriptor's namespace."""
    peer = b"".join(
        (
            _ifinfo(),
            text(_IFLA_IFNAME, ends.peer_name),
            attribute(_IFLA_ADDRESS, mac_bytes(ends.peer_mac)),
            u32(_IFLA_MTU, ends.mtu),
            u32(_IFLA_NET_NS_FD, peer_ns_fd),
        )
    )
    body = b"".join(
        (
            _ifinfo(),
            text(_IFLA_IFNAME, ends.host_name),
            attribute(_IFLA_ADDRESS, mac_bytes(ends.host_mac)),
            u32(_IFLA_MTU, ends.mtu),
            nested(
                _IFLA_LINKINFO,
                text(_IFLA_INFO_KIND, "veth"),
                nested(_IFLA_INFO_DATA, attribute(_VETH_INFO_PEER, peer)),
            ),
        )
    )
    return Message(
        f"veth {ends.host_name} with peer {ends.peer_name} add",
        rtnl.RTM_NEWLINK,
        _CREATE | rtnl.NLM_F_EXCL,
        body,
    )


def host_link_up(name: str, alias: str, *, ipv6: bool = True) -> Message:
    """Marks the host's end as ours and takes it up: strict rp_filter against spoofing, no link-local."""
    rp_filter = attribute(_IPV4_DEVCONF_RP_FILTER, struct.pack("=I", 1))
    body = b"".join(
        (
            _ifinfo(flags=IFF_UP, change=IFF_UP),
            text(_IFLA_IFNAME, name),
            text(_IFLA_IFALIAS, alias),
            nested(
                _IFLA_AF_SPEC,
                nested(_AF_INET, nested(_IFLA_INET_CONF, rp_filter)),
                _NO_LINK_LOCAL if ipv6 else b"",
            ),
        )
    )
    return Message(f"link {name} mark and up", rtnl.RTM_SETLINK, _DO, body)


def pod_link_up(name: str, *, ipv6: bool = True) -> Message:
    """Takes the pod's end up without a link-local address of its own."""
    family = nested(_IFLA_AF_SPEC, _NO_LINK_LOCAL) if ipv6 else b""
    body = _ifinfo(flags=IFF_UP, change=IFF_UP) + text(_IFLA_IFNAME, name) + family
    return Message(f"link {name} up", rtnl.RTM_SETLINK, _DO, body)


def link_get(name: str, *, tolerate: tuple[int, ...] = ()) -> Message:
    """Asks for one link by name."""
    body = _ifinfo() + text(_IFLA_IFNAME, name) + _WITHOUT_STATISTICS
    return Message(f"link {name} get", rtnl.RTM_GETLINK, _DO, body, tolerate)


def link_delete(name: str) -> Message:
    """Deletes one link (and its peer); one that is gone is fine."""
    body = _ifinfo() + text(_IFLA_IFNAME, name)
    return Message(f"link {name} delete", rtnl.RTM_DELLINK, _DO, body, tolerate=GONE)


def group_delete(group: int) -> Message:
    """Deletes every link of one group with one wait for RCU; none there is fine."""
    return Message(
        f"links of group {group} delete", rtnl.RTM_DELLINK, _DO, _ifinfo() + u32(_IFLA_GROUP, group), GONE
    )


def host_link_dead(name: str, group: int) -> Message:
    """Takes the host's end down and into the group of the dead: its routes and neighbours go at once."""
    body = _ifinfo(change=IFF_UP) + text(_IFLA_IFNAME, name) + u32(_IFLA_GROUP, group)
    return Message(f"link {name} down", rtnl.RTM_SETLINK, _DO, body, tolerate=GONE)


def pod_link_dead(index: int, new_name: str) -> Message:
    """Takes the pod's end down and out of its name, so that the name is free before the veth is deleted."""
    body = _ifinfo(index=index, change=IFF_UP) + text(_IFLA_IFNAME, new_name)
    return Message(f"link #{index} down and rename to {new_name}", rtnl.RTM_SETLINK, _DO, body, tolerate=GONE)


def address_add(address: Address, index: int) -> Message:
    """One host address (/32 or /128) on a link, without duplicate detection: nobody else can have it."""
    family, packed = _family(address), address.packed
    flags = _IFA_F_PERMANENT | (_IFA_F_NODAD if family == _AF_INET6 else 0)
    header = struct.pack("=BBBBI", family, address.max_prefixlen, flags & 0xFF, _SCOPE_UNIVERSE, index)
    body = header + attribute(_IFA_LOCAL, packed) + attribute(_IFA_ADDRESS, packed)
    return Message(
        f"address {address} on link #{index} add", rtnl.RTM_NEWADDR, _CREATE | rtnl.NLM_F_EXCL, body
    )


def neighbour_put(address: Address, mac: str, index: int, *, router: bool = False) -> Message:
    """A permanent neighbour: nobody asks by ARP or NDP, nobody answers."""
    flags = _NTF_ROUTER if router and address.version == 6 else 0
    header = struct.pack("=BxxxiHBB", _family(address), index, _NUD_PERMANENT, flags, 0)
    body = header + attribute(_NDA_DST, address.packed) + attribute(_NDA_LLADDR, mac_bytes(mac))
    return Message(f"neighbour {address} {mac} on link #{index} put", rtnl.RTM_NEWNEIGH, _PUT, body)


def neighbour_delete(address: Address, index: int) -> Message:
    """Forgets one neighbour; one that is gone is fine."""
    header = struct.pack("=BxxxiHBB", _family(address), index, 0, 0, 0)
    body = header + attribute(_NDA_DST, address.packed)
    return Message(
        f"neighbour {address} on link #{index} delete", rtnl.RTM_DELNEIGH, _DO, body, tolerate=GONE
    )


def default_route_add(gateway: Address, index: int, *, further: bool = False) -> Message:
    """The pod's way out: via a next hop that is on the link although no address says so (onlink).

    Another interface's that stands already is an error (EEXIST), unless this is a `further` one: behind it.
    """
    metric = _POD_METRIC[gateway.version] + (index if further else 0)
    return Message(
        f"default route via {gateway} on link #{index} add",
        rtnl.RTM_NEWROUTE,
        _CREATE | rtnl.NLM_F_EXCL,
        _default_route_body(gateway, index) + u32(_RTA_PRIORITY, metric),
    )


def default_route_delete(gateway: Address, index: int) -> Message:
    """Takes away the pod's way out on this link; one that is gone is fine."""
    body = _default_route_body(gateway, index)
    what = f"default route via {gateway} on link #{index} delete"
    return Message(what, rtnl.RTM_DELROUTE, _DO, body, tolerate=GONE)


def host_route(address: Address, index: int) -> Route:
    """The node's route to one pod."""
    return Route(ip_network(address), MAIN_TABLE, index, _POD_METRIC[address.version])


def route_put(route: Route, *, replace: bool = False) -> Message:
    """Adds a route of ours. Without `replace` one that already stands there, foreign or not, is an error."""
    flags = _PUT if replace else _CREATE | rtnl.NLM_F_EXCL
    return Message(f"route {route} put", rtnl.RTM_NEWROUTE, flags, _route_body(route))


def route_delete(route: Route) -> Message:
    """Deletes a route of ours: table, kind, protocol and metric must match, so nobody else's is hit."""
    return Message(f"route {route} delete", rtnl.RTM_DELROUTE, _DO, _route_body(route), tolerate=GONE)


def links_dump() -> Message:
    """Asks for every link."""
    return Message("links dump", rtnl.RTM_GETLINK, _DUMP, _ifinfo() + _WITHOUT_STATISTICS)


def addresses_dump(index: int) -> Message:
    """Asks for the addresses of one link, both families."""
    return Message(
        f"addresses of link #{index} dump", rtnl.RTM_GETADDR, _DUMP, struct.pack("=BBBBI", 0, 0, 0, 0, index)
    )


def routes_dump(version: int, *, protocol: int = 0, table: int = 0) -> Message:
    """Asks for the routes of one family; 0 stands for any protocol, any table."""
    header = _rtmsg(_AF_INET if version == 4 else _AF_INET6, 0, 0, 0, protocol=protocol)
    body = header + (u32(_RTA_TABLE, table) if table else b"")
    tolerate = (errno.ENOENT,)  # a table that was never written does not exist
    return Message(f"IPv{version} routes dump", rtnl.RTM_GETROUTE, _DUMP, body, tolerate)


def neighbours_dump() -> Message:
    """Asks for every neighbour, both families."""
    return Message(
        "neighbours dump", rtnl.RTM_GETNEIGH, _DUMP, struct.pack("=BxxxiHBB", _AF_UNSPEC, 0, 0, 0, 0)
    )


def _family(address: Address) -> int:
    return _AF_INET if address.version == 4 else _AF_INET6


def _rtmsg(
    family: int, prefix: int, kind: int, scope: int, *, flags: int = 0, protocol: int = PROTOCOL
) -> bytes:
    # The table of more than 8 bits travels as an attribute; 0 here stands for "see there".
    return struct.pack("=BBBBBBBBI", family, prefix, 0, 0, 0, protocol, scope, kind, flags)


def _default_route_body(gateway: Address, index: int) -> bytes:
    header = _rtmsg(_family(gateway), 0, _RTN_UNICAST, _SCOPE_UNIVERSE, flags=_RTNH_F_ONLINK)
    return header + attribute(_RTA_GATEWAY, gateway.packed) + u32(_RTA_OIF, index)


def _route_body(route: Route) -> bytes:
    network = route.network
    kind = _RTN_UNICAST if route.ifindex else _RTN_BLACKHOLE
    family = _AF_INET if network.version == 4 else _AF_INET6
    scope = _SCOPE_LINK if route.ifindex and network.version == 4 else _SCOPE_UNIVERSE
    return b"".join(
        (
            _rtmsg(family, network.prefixlen, kind, scope),
            attribute(_RTA_DST, network.network_address.packed),
            u32(_RTA_TABLE, route.table),
            u32(_RTA_PRIORITY, route.metric),
            u32(_RTA_OIF, route.ifindex) if route.ifindex else b"",
        )
    )
