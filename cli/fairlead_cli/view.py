"""Base of all views: frozen values that print as a table and encode as JSON."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import ip_network

import msgspec

from fairlead_core.api import Condition, NodeNetwork


class View(msgspec.Struct, frozen=True, rename="camel"):
    """A value for people and programs; camelCase in JSON."""


class Usage(View, frozen=True):
    """Addresses of one family: `total` are those in blocks that are held."""

    used: int = 0
    total: int = 0
    cooling: int = 0
    free: int = 0


def condition(conditions: Iterable[Condition], type_: str) -> Condition | None:
    return next((one for one in conditions if one.type == type_), None)


def family_of(cidr: str) -> str:
    return "IPv6" if ":" in cidr else "IPv4"


def usage_of(network: NodeNetwork, family: str) -> Usage:
    """Addresses of one family over the blocks that a node holds."""
    blocks = [block for block in network.status.blocks if family_of(block.cidr) == family]
    return Usage(
        used=sum(block.used for block in blocks),
        total=sum(size_of(block.cidr) for block in blocks),
        cooling=sum(block.cooling for block in blocks),
        free=sum(block.free for block in blocks),
    )


def size_of(cidr: str) -> int:
    """Addresses in `cidr`; 0 for what is no CIDR, as a report must not fail on one bad word."""
    try:
        return int(ip_network(cidr, strict=False).num_addresses)
    except ValueError:
        return 0
