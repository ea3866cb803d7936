"""Tokens of bird.conf, parsed from the fields of objects: nothing else of an object ever reaches BIRD.

Each function answers with an address, a number or text over a fixed alphabet, or raises UnrenderableError.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

from fairlead_core import api

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

PASSWORD_BYTES_MAX: Final = 80  # TCP_MD5SIG_MAXKEYLEN of Linux
ASN_MAX: Final = 2**32 - 1

_NODE_NAME = re.compile(r"[A-Za-z0-9._-]{1,253}")
_COMMUNITY = re.compile(r"[0-9]{1,5}:[0-9]{1,5}")
_LARGE_COMMUNITY = re.compile(r"[0-9]{1,10}:[0-9]{1,10}:[0-9]{1,10}")
# BIRD's string literals know no escapes: everything printable but the quote itself can stand in one.
_PASSWORD = re.compile(r"[\x20\x21\x23-\x7e]+")


class UnrenderableError(ValueError):
    """A value of an object that must not reach BIRD. Names the object, the field and what is allowed."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def secret_key(ref: api.SecretRef) -> str:
    """The key of a reference in a map of passwords: "name/key" (neither part can contain a slash)."""
    return f"{ref.name}/{ref.key}"


def node_name(name: str) -> str:
    """A DNS name, as it may stand in a comment."""
    if not _NODE_NAME.fullmatch(name):
        raise UnrenderableError("BadNodeName", f"node name {name[:64]!r}: not a DNS name")
    return name


def router_id(text: str) -> IPv4Address:
    """The BGP identifier: an IPv4 address that is not zero (RFC 6286)."""
    try:
        address = IPv4Address(text)
    except ValueError as error:
        raise UnrenderableError("BadRouterID", f"routerID {text[:64]!r}: not an IPv4 address") from error
    if address.is_unspecified:
        raise UnrenderableError("BadRouterID", "routerID 0.0.0.0: RFC 6286 wants another one")
    return address


def local_asn(number: int) -> int:
    """An AS number of four octets, not zero."""
    if not 1 <= number <= ASN_MAX:
        raise UnrenderableError("BadASN", f"localASN {number}: want 1..{ASN_MAX}")
    return number


def block(wire: api.Block) -> Network:
    """The block's network; never a default route, host bits must be zero."""
    where = f"block {wire.cidr[:64]!r} of pool {wire.pool[:64]!r}"
    try:
        network = ip_network(wire.cidr)
    except ValueError as error:
        raise UnrenderableError("BadBlock", f"{where}: not a network: {error}") from error
    scoped = "%" in wire.cidr
    if scoped or network.prefixlen == 0 or network.is_multicast:
        raise UnrenderableError("BadBlock", f"{where}: not a unicast network with a length above 0")
    return network


def community_statement(pool: str, text: str) -> str:
    """The statement that adds "64500:1" (RFC 1997) or "64500:1:2" (RFC 8092) to a route."""
    numbers = [int(number) for number in text.split(":")] if _is_community(text) else []
    joined = ",".join(map(str, numbers))
    if len(numbers) == 2 and max(numbers) < 2**16:
        return f"bgp_community.add(({joined}));"
    if len(numbers) == 3 and max(numbers) < 2**32:
        return f"bgp_large_community.add(({joined}));"
    wanted = "two numbers below 65536 or three below 2^32, joined by colons"
    raise UnrenderableError("BadCommunity", f"community {text[:64]!r} of pool {pool[:64]!r}: want {wanted}")


def _is_community(text: str) -> bool:
    return bool(_COMMUNITY.fullmatch(text) or _LARGE_COMMUNITY.fullmatch(text))


def neighbour(peer: api.Peer) -> Address:
    """The peer's global unicast address."""
    try:
        address = ip_address(peer.address)
    except ValueError as error:
        raise _bad(peer, "address", peer.address, "an IPv4 or IPv6 address") from error
    scoped = isinstance(address, IPv6Address) and address.scope_id is not None
    special = address.is_multicast or address.is_unspecified or address.is_loopback or address.is_link_local
    if scoped or special:
        raise _bad(peer, "address", peer.address, "a global unicast address")
    return address


def accepted_lengths(peer: api.Peer, version: int) -> tuple[int, int]:
    """Shortest and longest prefix length that this peer gets; from 1, so never a default route."""
    longest = 32 if version == 4 else 128
    lengths = peer.accepted_prefix_lengths
    if lengths is None:
        return 1, longest
    low = number(peer, "acceptedPrefixLengths.min", lengths.min, (1, longest))
    return low, number(peer, "acceptedPrefixLengths.max", lengths.max, (low, longest))


def password(peer: api.Peer, passwords: Mapping[str, str]) -> str | None:
    """The peer's TCP-MD5 key (RFC 2385), None when it wants none. A wanted one is never empty."""
    ref = peer.auth_secret_ref
    if ref is None:
        return None
    secret = passwords.get(secret_key(ref), "")
    where = f"peer {peer.name[:64]}: key {ref.key[:64]!r} of secret {ref.name[:64]!r}"
    if not secret:
        raise UnrenderableError("MissingSecret", f"{where} is missing or empty; the session stays down")
    if not _PASSWORD.fullmatch(secret) or len(secret) > PASSWORD_BYTES_MAX:
        wanted = f"1-{PASSWORD_BYTES_MAX} printable ASCII characters, no double quote and no line break"
        raise UnrenderableError("BadSecret", f"{where}: want {wanted}")
    return secret


def number(peer: api.Peer, field: str, value: int, allowed: tuple[int, int]) -> int:
    """A number inside the allowed range, both ends included."""
    low, high = allowed
    if not low <= value <= high:
        raise _bad(peer, field, value, f"a number in {low}..{high}")
    return value


def _bad(peer: api.Peer, field: str, value: object, wanted: str) -> UnrenderableError:
    return UnrenderableError("BadPeer", f"peer {peer.name[:64]}: {field} {str(value)[:64]!r} is not {wanted}")
