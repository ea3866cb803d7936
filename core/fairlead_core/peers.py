"""BGPPeers as the planner needs them: parsed, checked, and chosen per node.

Everything that a peer says ends in a router's configuration, so nothing passes that is not a number, an
address or a name of harmless letters. What contradicts another peer on a node is left out there, on the later
object's account.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final

from fairlead_core.api import BGPPeer, BGPPeerSpec, Family, Node, NodeBGP, Peer, PrefixLengths, SecretRef
from fairlead_core.durations import parse_seconds
from fairlead_core.outcome import Rejected
from fairlead_core.selectors import Index, Test, certain_label, compile_selector
from fairlead_core.spans import ADDRESS_BITS, parse_span

ASN_MAX: Final = 2**32 - 1
NODE_PEERS_MAX: Final = 64
NAME: Final = re.compile(r"[a-z0-9]([-a-z0-9.]{0,61}[a-z0-9])?")
SECRET_NAME: Final = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")
SECRET_KEY: Final = re.compile(r"[-._a-zA-Z0-9]{1,253}")


@dataclass(frozen=True, slots=True)
class Speaker:
    """A usable peer: `session` is what a node is told, `age` orders peers (creation time, then name)."""

    name: str
    age: tuple[str, str]
    family: Family
    local_asn: int
    selects: Test
    label: tuple[str, str] | None
    session: Peer


@dataclass(frozen=True, slots=True)
class PeerBook:
    """All peers by name: the usable ones, oldest first, and why the others are not."""

    usable: dict[str, Speaker]
    rejected: dict[str, Rejected]


@dataclass(slots=True)
class Selection:
    """Which nodes a plan gives to each peer, and for which it could not, with the reason."""

    nodes: dict[str, list[str]] = field(default_factory=dict)
    refused: dict[str, dict[str, list[str]]] = field(default_factory=dict)  # peer -> reason -> nodes

    def accept(self, peer: str, node: str) -> None:
        self.nodes.setdefault(peer, []).append(node)

    def refuse(self, peer: str, why: str, node: str) -> None:
        self.refused.setdefault(peer, {}).setdefault(why, []).append(node)


def read_peers(objects: Iterable[BGPPeer]) -> PeerBook:
    """Sorts peers into usable and rejected (Invalid, BadSelector) ones."""
    book = PeerBook({}, {})
    for item in sorted(
        objects, key=lambda item: (item.metadata.creation_timestamp or "", item.metadata.name)
    ):
        speaker = parse_peer(item)
        if isinstance(speaker, Rejected):
            book.rejected[item.metadata.name] = speaker
        else:
            book.usable[speaker.name] = speaker
    return book


def parse_peer(item: BGPPeer) -> Speaker | Rejected:
    """One peer by itself; Rejected names every field that is wrong."""
    spec, name = item.spec, item.metadata.name
    address = _address(spec.address)
    selects = compile_selector(spec.node_selector)
    if isinstance(selects, Rejected):
        return Rejected(selects.reason, f"peer {name}: {selects.message}")
    faults = tuple(_faults(name, spec, address))
    if faults or address is None:
        return Rejected("Invalid", f"peer {name}: {'; '.join(faults)}")
    family: Family = "IPv4" if address.version == 4 else "IPv6"
    age = (item.metadata.creation_timestamp or "", name)
    return Speaker(
        name,
        age,
        family,
        spec.local_asn,
        selects,
        certain_label(spec.node_selector),
        _session(name, address, spec),
    )


def choose(index: Index[Speaker], node: Node, selection: Selection) -> NodeBGP | None:
    """The sessions of one node. `index` has the peers oldest first; writes into `selection` who got it and
    who could not. None without sessions.

    The oldest peer that selects the node decides its AS number; of two with one address the older one stays.
    """
    labels, own = node.metadata.labels, {address.address for address in node.status.addresses}
    chosen: list[Speaker] = []
    for peer in index.of(labels):
        why = _clash(peer, chosen, own)
        if why:
            selection.refuse(peer.name, why, node.metadata.name)
        else:
            chosen.append(peer)
            selection.accept(peer.name, node.metadata.name)
    if not chosen:
        return None
    sessions = tuple(sorted((peer.session for peer in chosen), key=lambda session: session.name))
    return NodeBGP(local_asn=chosen[0].local_asn, router_id=router_id(node), peers=sessions)


def router_id(node: Node) -> str:
    """The node's first IPv4 InternalIP; a node without one gets a number made of its name (RFC 6286)."""
    for entry in node.status.addresses:
        span = parse_span(entry.address)
        if entry.type == "InternalIP" and span and span.version == 4 and span.size == 1:
            return entry.address
    number = int.from_bytes(hashlib.sha256(node.metadata.name.encode()).digest()[:4], "big")
    return str(IPv4Address(max(1, number)))


def _clash(peer: Speaker, chosen: list[Speaker], own: set[str]) -> str:
    if peer.session.address in own:
        return f"address {peer.session.address} is the node's own"
    for other in chosen:
        if other.session.address == peer.session.address:
            return f"address {peer.session.address} is that of the older peer {other.name}"
        if other.local_asn != peer.local_asn:
            return f"localASN {peer.local_asn} is not {other.local_asn}, that of the older peer {other.name}"
    if len(chosen) >= NODE_PEERS_MAX:
        return f"the node has {NODE_PEERS_MAX} older peers, which is the most"
    return ""


def _address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(text)
    except ValueError:
        return None


def _session(name: str, address: IPv4Address | IPv6Address, spec: BGPPeerSpec) -> Peer:
    return Peer(
        name=name,
        address=str(address),
        peer_asn=spec.peer_asn,
        port=spec.port,
        auth_secret_ref=spec.auth_secret_ref,
        hold_seconds=parse_seconds(spec.timers.hold) or 0,
        keepalive_seconds=parse_seconds(spec.timers.keepalive) or 0,
        connect_retry_seconds=parse_seconds(spec.timers.connect_retry) or 0,
        bfd=spec.bfd,
        graceful_restart=spec.graceful_restart,
        accepted_prefix_lengths=spec.accepted_prefix_lengths,
    )


def _faults(name: str, spec: BGPPeerSpec, address: IPv4Address | IPv6Address | None) -> Iterator[str]:
    if not NAME.fullmatch(name):
        yield "the name is not at most 63 lower-case letters, digits, '-' and '.'"
    yield from _out_of_range("localASN", spec.local_asn, 1, ASN_MAX)
    yield from _out_of_range("peerASN", spec.peer_asn, 1, ASN_MAX)
    yield from _out_of_range("port", spec.port, 1, 65535)
    yield from _address_faults(spec.address, address)
    yield from _timer_faults(spec)
    yield from _out_of_range("bfd.intervalMilliseconds", spec.bfd.interval_milliseconds, 10, 60_000)
    yield from _out_of_range("bfd.multiplier", spec.bfd.multiplier, 2, 255)
    yield from _out_of_range("gracefulRestart.restartSeconds", spec.graceful_restart.restart_seconds, 1, 4095)
    if spec.auth_secret_ref:
        yield from _secret_faults(spec.auth_secret_ref)
    if spec.accepted_prefix_lengths and address:
        yield from _prefix_faults(spec.accepted_prefix_lengths, "IPv4" if address.version == 4 else "IPv6")


def _out_of_range(field_name: str, value: int, low: int, high: int) -> Iterator[str]:
    if not low <= value <= high:
        yield f"{field_name} {value} is not in {low}..{high}"


def _address_faults(text: str, address: IPv4Address | IPv6Address | None) -> Iterator[str]:
    if address is None:
        yield f"address {text!r} is no IP address"
    elif getattr(address, "scope_id", None):
        yield f"address {text!r} has a zone; write a routed address"
    elif address.is_multicast or address.is_unspecified or address.is_loopback or address.is_link_local:
        yield f"address {text} is not one that nodes can route to"


def _timer_faults(spec: BGPPeerSpec) -> Iterator[str]:
    timers = spec.timers
    hold, keepalive = parse_seconds(timers.hold), parse_seconds(timers.keepalive)
    retry = parse_seconds(timers.connect_retry)
    if hold is None or not 3 <= hold <= 65535:
        yield f"timers.hold {timers.hold!r} is not in 3s..65535s"
    elif keepalive is None or not 1 <= keepalive < hold:
        yield f"timers.keepalive {timers.keepalive!r} is not from 1s to below timers.hold {timers.hold}"
    if retry is None or not 1 <= retry <= 3600:
        yield f"timers.connectRetry {timers.connect_retry!r} is not in 1s..1h"


def _secret_faults(ref: SecretRef) -> Iterator[str]:
    if not SECRET_NAME.fullmatch(ref.name):
        yield f"authSecretRef.name {ref.name!r} is no name of a Secret"
    if not SECRET_KEY.fullmatch(ref.key):
        yield f"authSecretRef.key {ref.key!r} is no key of a Secret"


def _prefix_faults(lengths: PrefixLengths, family: Family) -> Iterator[str]:
    if not 0 <= lengths.min <= lengths.max <= ADDRESS_BITS[family]:
        told = f"{lengths.min}..{lengths.max} is no range inside 0..{ADDRESS_BITS[family]} of {family}"
        yield f"acceptedPrefixLengths {told}"
