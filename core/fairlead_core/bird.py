"""The configuration of a node's BIRD, rendered from what the node shall announce and to whom.

    kernel table 200 --learn--> master4/master6 --filter per peer--> session
    (routes target)             import: rtproto 76   export: own blocks, accepted lengths, communities

A peer that cannot be rendered is left out with the reason; the others stay. The digest stands in the text,
so that `show protocols all` tells which configuration runs. Source: BIRD 2.0 user's guide; docs/bgp.md has
what was measured.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from fairlead_core import api
from fairlead_core import bird_tokens as token
from fairlead_core.bird_tokens import Network, UnrenderableError
from fairlead_core.outcome import Rejected

ANNOUNCE_TABLE: Final = 200  # the kernel table that the routes target fills
ANNOUNCE_RTPROTO: Final = 76  # what routes of ours carry; BIRD never learns `proto bird` or `proto kernel`
RECOVERY_WAIT_S: Final = 20  # a restarted BIRD announces nothing new until its peers are back or this is over
NO_ROUTER_ID: Final = "0.0.0.1"  # BIRD refuses to start without one; never seen by a peer
DEVICE: Final = "fairlead"  # the device protocol, whose description carries the digest
TIME_FORMAT: Final = "%Y-%m-%dT%H:%M:%S%z"  # without spaces a line of `show protocols` splits into columns


@dataclass(frozen=True, slots=True)
class Speaker:
    """All that a node's bird.conf depends on. `passwords` maps `secret_key(ref)` to TCP-MD5 keys."""

    node_name: str
    bgp: api.NodeBGP | None
    blocks: tuple[api.Block, ...]
    pools: tuple[api.NodePool, ...]
    passwords: Mapping[str, str]

    @property
    def peers(self) -> tuple[api.Peer, ...]:
        return self.bgp.peers if self.bgp else ()


@dataclass(frozen=True, slots=True)
class BirdConfig:
    """A whole bird.conf, its digest, BIRD's name for each peer's session, and the peers without one."""

    text: str
    digest: str
    protocols: Mapping[str, str]
    left_out: Mapping[str, Rejected]


@dataclass(frozen=True, slots=True)
class _Announcement:
    """Blocks of one pool and family, and the statements that put the pool's communities on their routes."""

    networks: tuple[Network, ...]
    statements: tuple[str, ...]


def protocol_name(peer_name: str) -> str:
    """BIRD's name for a peer's session: a symbol that is no keyword, readable, and unique by a hash."""
    readable = re.sub(r"[^a-z0-9]+", "_", peer_name.lower())[:24]
    return f"peer_{readable}_{hashlib.sha256(peer_name.encode()).hexdigest()[:8]}"


def recovery_wait_s(peers: Iterable[api.Peer]) -> int:
    """How long a restarted BIRD waits for its peers: well below the time after which they flush routes."""
    restarts = [peer.graceful_restart.restart_seconds for peer in peers if peer.graceful_restart.enabled]
    return max(1, min([RECOVERY_WAIT_S, *(seconds * 2 // 3 for seconds in restarts)]))


def start_config() -> str:
    """What BIRD runs before the node's first desired state: no session, no route, only its control socket."""
    return f"log stderr all;\nrouter id {NO_ROUTER_ID};\n" + _device("start")


def render(speaker: Speaker) -> BirdConfig | Rejected:
    """The configuration of this speaker; the same text whatever the order of blocks, pools and peers.

    Rejected when something that concerns every session is wrong (router id, local ASN, a block, a community):
    the caller then keeps what BIRD runs. A peer alone that is wrong or lacks its secret is in `left_out`.
    """
    try:
        announcements = tuple(_announcements(speaker))
        head = _head(speaker)
    except UnrenderableError as error:
        return Rejected(error.reason, str(error))
    sessions, left_out = _sessions(speaker, announcements)
    body = "\n".join([*head, *_bfd(sessions), *(line for lines in sessions.values() for line in lines)])
    digest = "sha256:" + hashlib.sha256(body.encode()).hexdigest()
    protocols = {name: protocol_name(name) for name in sessions}
    return BirdConfig(_device(digest) + body, digest, protocols, left_out)


def _device(description: str) -> str:
    return f'protocol device {DEVICE} {{ description "{description}"; scan time 10; }}\n'


def _head(speaker: Speaker) -> list[str]:
    return [
        f"# Rendered by Fairlead for node {token.node_name(speaker.node_name)}; the next change replaces it.",
        "log stderr { info, remote, warning, error, auth, fatal, bug };",
        f"router id {_router_id(speaker.bgp)};",
        f"graceful restart wait {recovery_wait_s(speaker.peers)};",
        f'timeformat protocol "{TIME_FORMAT}";',
        "",
        *_kernel(4),
        *_kernel(6),
    ]


def _router_id(bgp: api.NodeBGP | None) -> str:
    if bgp is None:
        return NO_ROUTER_ID
    token.local_asn(bgp.local_asn)
    return str(token.router_id(bgp.router_id))


def _kernel(version: int) -> list[str]:
    # Its filter never changes: what a peer gets is decided in the peer's own filter, so that a new block does
    # not touch (and rescan) the kernel protocol.
    return [
        f"protocol kernel fairlead_announce{version} {{",
        f"    kernel table {ANNOUNCE_TABLE};",
        "    learn;",
        "    scan time 10;",
        f"    ipv{version} {{ import where krt_source = {ANNOUNCE_RTPROTO}; export none; }};",
        "}",
        "",
    ]


def _bfd(sessions: Mapping[str, list[str]]) -> list[str]:
    wanted = any(line.startswith("    bfd ") for lines in sessions.values() for line in lines)
    return ["protocol bfd fairlead_bfd { }", ""] if wanted else []


def _announcements(speaker: Speaker) -> Iterator[_Announcement]:
    communities = {pool.name: pool.communities for pool in speaker.pools}
    grouped: dict[tuple[str, int], set[Network]] = {}
    for block in speaker.blocks:
        network = token.block(block)
        grouped.setdefault((block.pool, network.version), set()).add(network)
    for (pool, _), networks in sorted(grouped.items()):
        wanted = sorted(set(communities.get(pool, ())))
        statements = tuple(token.community_statement(pool, text) for text in wanted)
        yield _Announcement(tuple(sorted(networks, key=_order)), statements)


def _order(network: Network) -> tuple[int, int]:
    return int(network.network_address), network.prefixlen


def _sessions(
    speaker: Speaker, announcements: tuple[_Announcement, ...]
) -> tuple[dict[str, list[str]], dict[str, Rejected]]:
    sessions: dict[str, list[str]] = {}
    left_out: dict[str, Rejected] = {}
    taken: dict[str, str] = {}
    for peer in sorted(speaker.peers, key=lambda peer: peer.name):
        try:
            lines = _session(speaker, peer, announcements)
            _require_own_address(peer, taken)
            sessions[peer.name] = lines
        except UnrenderableError as error:
            left_out[peer.name] = Rejected(error.reason, str(error))
    return sessions, left_out


def _require_own_address(peer: api.Peer, taken: dict[str, str]) -> None:
    # BIRD tells incoming connections apart by address alone, so two sessions cannot share one.
    address = str(token.neighbour(peer))
    if address in taken:
        message = f"peer {peer.name[:64]}: peer {taken[address][:64]} already has the address {address}"
        raise UnrenderableError("Conflict", message)
    taken[address] = peer.name


def _session(speaker: Speaker, peer: api.Peer, announcements: tuple[_Announcement, ...]) -> list[str]:
    assert speaker.bgp is not None
    address, name = token.neighbour(peer), protocol_name(peer.name)
    port = token.number(peer, "port", peer.port, (1, 65535))
    asn = token.number(peer, "peerASN", peer.peer_asn, (1, token.ASN_MAX))
    return [
        *_filter(name, token.accepted_lengths(peer, address.version), address.version, announcements),
        f"protocol bgp {name} {{",
        f"    local as {speaker.bgp.local_asn};",
        f"    neighbor {address} port {port} as {asn};",
        *_direct(peer, speaker.bgp.local_asn),
        *_password(peer, speaker.passwords),
        *_timers(peer),
        *_graceful_restart(peer),
        *_bfd_of(peer),
        f"    ipv{address.version} {{ import none; export filter to_{name}; }};",
        "}",
        "",
    ]


def _filter(
    name: str, lengths: tuple[int, int], version: int, announcements: Iterable[_Announcement]
) -> list[str]:
    own = [announcement for announcement in announcements if announcement.networks[0].version == version]
    return [
        f"filter to_{name} {{",
        f'    if proto != "fairlead_announce{version}" then reject;',
        f"    if net.len < {lengths[0]} || net.len > {lengths[1]} then reject;",
        *(_accept(announcement) for announcement in own),
        "    reject;",
        "}",
    ]


def _accept(announcement: _Announcement) -> str:
    networks = ", ".join(map(str, announcement.networks))
    statements = " ".join((*announcement.statements, "accept;"))
    return f"    if net ~ [ {networks} ] then {{ {statements} }}"


def _direct(peer: api.Peer, local_asn: int) -> list[str]:
    # Internal sessions are multihop in BIRD, and it refuses BFD for those without a fixed source address.
    # BFD's sub-second verdict is about a link, so a peer that wants it has to be on one.
    return ["    direct;"] if peer.bfd.enabled and peer.peer_asn == local_asn else []


def _password(peer: api.Peer, passwords: Mapping[str, str]) -> list[str]:
    password = token.password(peer, passwords)
    return [] if password is None else [f'    password "{password}";']


def _timers(peer: api.Peer) -> list[str]:
    hold = token.number(peer, "holdSeconds", peer.hold_seconds, (3, 65535))
    keepalive = token.number(peer, "keepaliveSeconds", peer.keepalive_seconds, (1, hold))
    retry = token.number(peer, "connectRetrySeconds", peer.connect_retry_seconds, (1, 65535))
    # BIRD's default keeps a session down for 60 to 300 s after an error; a node cannot wait that long.
    return [
        f"    hold time {hold};",
        f"    keepalive time {keepalive};",
        "    connect delay time 1;",
        f"    connect retry time {retry};",
        f"    error wait time 1, {max(5, retry)};",
    ]


def _graceful_restart(peer: api.Peer) -> list[str]:
    if not peer.graceful_restart.enabled:
        return ["    graceful restart off;"]
    seconds = peer.graceful_restart.restart_seconds
    restart = token.number(peer, "gracefulRestart.restartSeconds", seconds, (1, 4095))
    return ["    graceful restart on;", f"    graceful restart time {restart};"]


def _bfd_of(peer: api.Peer) -> list[str]:
    if not peer.bfd.enabled:
        return []
    interval = token.number(peer, "bfd.intervalMilliseconds", peer.bfd.interval_milliseconds, (10, 60000))
    multiplier = token.number(peer, "bfd.multiplier", peer.bfd.multiplier, (1, 255))
    # Plain `bfd on` makes a neighbour flush the routes that graceful restart is there to keep.
    mode = "graceful" if peer.graceful_restart.enabled else "on"
    return [f"    bfd {{ interval {interval} ms; multiplier {multiplier}; }};", f"    bfd {mode};"]
