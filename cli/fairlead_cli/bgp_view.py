"""`fairlead bgp`: sessions per node, what is really announced, and how that differs from what should be."""

from __future__ import annotations

from collections.abc import Iterator

from fairlead_cli.cluster import Cluster
from fairlead_cli.view import View, family_of
from fairlead_core.api import NodeNetwork, Peer, PeerStatus

ESTABLISHED = "Established"


class SessionRow(View, frozen=True):
    """One session of one node. `missing` should be announced and is not, `unexpected` the other way round."""

    node: str
    peer: str
    address: str
    peer_asn: int
    session: str
    since: str
    bfd: str
    announced: tuple[str, ...]
    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    last_error: str


class BGPView(View, frozen=True):
    """`differences` are sentences; none means that every node announces its blocks and nothing else."""

    sessions: tuple[SessionRow, ...]
    differences: tuple[str, ...]


def bgp_view(cluster: Cluster, node: str = "") -> BGPView:
    """All sessions, or those of one node."""
    networks = sorted(cluster.networks, key=lambda network: network.metadata.name)
    chosen = [network for network in networks if node in ("", network.metadata.name)]
    rows = tuple(row for network in chosen for row in _rows(network))
    return BGPView(sessions=rows, differences=tuple(told for row in rows for told in _differences(row)))


def expected(network: NodeNetwork, peer: Peer) -> frozenset[str]:
    """Blocks that a node has to announce to one peer: of its family, in the lengths that it accepts."""
    lengths = peer.accepted_prefix_lengths
    blocks = (block.cidr for block in network.status.blocks)
    return frozenset(
        cidr
        for cidr in blocks
        if family_of(cidr) == family_of(peer.address)
        and (lengths is None or lengths.min <= int(cidr.rpartition("/")[2]) <= lengths.max)
    )


def _rows(network: NodeNetwork) -> Iterator[SessionRow]:
    reported = {one.name: one for one in network.status.bgp.peers} if network.status.bgp else {}
    for peer in network.spec.bgp.peers if network.spec.bgp else ():
        status = reported.get(peer.name, PeerStatus(peer.name))
        wanted, sent = expected(network, peer), frozenset(status.prefixes_sent)
        yield SessionRow(
            node=network.metadata.name,
            peer=peer.name,
            address=peer.address,
            peer_asn=peer.peer_asn,
            session=status.session,
            since=status.since or "",
            bfd=status.bfd or ("" if not peer.bfd.enabled else "Unknown"),
            announced=tuple(sorted(sent)),
            missing=tuple(sorted(wanted - sent)),
            unexpected=tuple(sorted(sent - wanted)),
            last_error=status.last_error or "",
        )


def _differences(row: SessionRow) -> Iterator[str]:
    session = f"{row.node} to {row.peer}"
    if row.session != ESTABLISHED:
        why = f": {row.last_error}" if row.last_error else ""
        yield f"{session}: session is {row.session}{why}"
        return
    if row.missing:
        yield f"{session}: does not announce {', '.join(row.missing)}"
    if row.unexpected:
        yield f"{session}: announces {', '.join(row.unexpected)}, which is none of its blocks"
