"""A node's BGP sessions as its status reports them: what was wanted, joined with what BIRD says."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from fairlead_core import api
from fairlead_core.bird import protocol_name
from fairlead_core.bird_tokens import Address, Network
from fairlead_core.birdc import BfdSession, Protocol
from fairlead_core.outcome import Rejected

ESTABLISHED = "Established"


@dataclass(frozen=True, slots=True)
class Seen:
    """What BIRD answered: its protocols, its BFD sessions, and what each protocol has exported."""

    protocols: tuple[Protocol, ...]
    bfd: tuple[BfdSession, ...]
    exported: Mapping[str, tuple[Network, ...]]


NOTHING = Seen((), (), {})


def sessions(
    peers: Iterable[api.Peer], left_out: Mapping[str, Rejected], seen: Seen
) -> tuple[api.PeerStatus, ...]:
    """One status per wanted peer, in the order of `peers`.

    A peer that was left out has the reason as its session; one that BIRD does not know (yet) is "Unknown".
    """
    protocols = {protocol.name: protocol for protocol in seen.protocols}
    bfd = {session.neighbour: session.state for session in seen.bfd}
    statuses = []
    for peer in peers:
        protocol = protocols.get(protocol_name(peer.name))
        if peer.name in left_out:
            refused = left_out[peer.name]
            statuses.append(api.PeerStatus(peer.name, session=refused.reason, last_error=refused.message))
        elif protocol is None:
            statuses.append(
                api.PeerStatus(peer.name, last_error=f"peer {peer.name}: BIRD has no such session")
            )
        else:
            statuses.append(_session(peer, protocol, bfd, seen.exported.get(protocol.name, ())))
    return tuple(statuses)


def lacks_password(status: api.PeerStatus) -> bool:
    """Whether this session was left out because its node has no usable password for it."""
    return status.session in ("MissingSecret", "BadSecret")


def unknown(peers: Iterable[api.Peer], cause: str) -> tuple[api.PeerStatus, ...]:
    """The statuses while BIRD cannot be asked."""
    return tuple(api.PeerStatus(peer.name, last_error=cause) for peer in peers)


def _session(
    peer: api.Peer, protocol: Protocol, bfd: Mapping[Address, str], exported: tuple[Network, ...]
) -> api.PeerStatus:
    state = protocol.bgp_state or protocol.state
    up = state == ESTABLISHED
    neighbour = protocol.neighbour
    return api.PeerStatus(
        name=peer.name,
        session=state,
        since=protocol.since,
        bfd=bfd.get(neighbour, "Down") if peer.bfd.enabled and neighbour is not None else None,
        prefixes_sent=tuple(sorted(map(str, exported))) if up else (),
        last_error=None if up else protocol.last_error,
    )
