"""What a plan says about each BGPPeer.

wrong in itself                       Ready False   Stalled
cannot be given to some nodes         Ready False   Conflict   (they keep the older peer)
a node has no password for it         Ready False   MissingSecret
the fabric refuses a pool's blocks    Ready False   Conflict
sessions are missing                  Ready False
all sessions Established, or no node  Ready True
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from fairlead_core.api import BGPPeer, BGPPeerStatus, NodeNetwork, PeerStatus, SessionCount
from fairlead_core.conditions import Finding, few, settle, turned
from fairlead_core.outcome import Rejected
from fairlead_core.peers import Speaker
from fairlead_core.pools import Pool
from fairlead_core.sessions import lacks_password
from fairlead_core.snapshot import PeerWrite

ESTABLISHED = "Established"


@dataclass(frozen=True, slots=True)
class PeerCase:
    """All that is known of one peer. `nodes` should hold the session, `refused` maps a reason to nodes
    without it.

    `sessions` is what nodes report of this peer.
    """

    item: BGPPeer
    peer: Speaker | Rejected
    nodes: tuple[str, ...] = ()
    refused: tuple[tuple[str, tuple[str, ...]], ...] = ()
    sessions: Mapping[str, PeerStatus] | None = None
    pools: tuple[Pool, ...] = ()


def judge_peer(case: PeerCase, now: datetime) -> PeerWrite | None:
    """The status to write; None when it is already so."""
    meta, old = case.item.metadata, case.item.status
    conditions = settle(old.conditions, _findings(case), meta.generation, now)
    established = len(case.nodes) - len(_down(case))
    status = BGPPeerStatus(
        observed_generation=meta.generation,
        sessions=SessionCount(len(case.nodes), established),
        conditions=conditions,
    )
    if status == old:
        return None
    return PeerWrite(meta.name, meta.uid, status, turned(old.conditions, conditions))


def reports(items: Iterable[NodeNetwork]) -> dict[str, dict[str, PeerStatus]]:
    """Per peer, what each node reports of its session."""
    found: dict[str, dict[str, PeerStatus]] = {}
    for item in items:
        for peer in item.status.bgp.peers if item.status.bgp else ():
            found.setdefault(peer.name, {})[item.metadata.name] = peer
    return found


def _findings(case: PeerCase) -> Iterable[Finding]:
    if isinstance(case.peer, Rejected):
        why = case.peer
        return (
            Finding("Ready", "False", why.reason, why.message),
            Finding("Stalled", "True", why.reason, why.message),
        )
    problems = [*_conflicts(case, case.peer), *_missing_secret(case)]
    down = _down(case)
    if problems:
        first = problems[0]
        return (Finding("Ready", "False", first.reason, first.message), *_by_type(problems))
    if down:
        return (Finding("Ready", "False", "SessionsDown", _sessions(case, down)),)
    if not case.nodes:
        return (Finding("Ready", "True", "NoNode", f"peer {case.peer.name}: no node is selected"),)
    return (Finding("Ready", "True", "AllEstablished", _sessions(case, down)),)


def _by_type(problems: Iterable[Finding]) -> Iterable[Finding]:
    joined: dict[str, Finding] = {}
    for problem in problems:
        old = joined.get(problem.type)
        told = f"{old.message}; {problem.message}" if old else problem.message
        joined[problem.type] = Finding(problem.type, problem.status, problem.reason, told)
    return joined.values()


def _conflicts(case: PeerCase, peer: Speaker) -> Iterable[Finding]:
    for why, nodes in case.refused:
        told = f"peer {peer.name}: not on {few(sorted(nodes))}: {why}"
        yield Finding("Conflict", "True", "Conflict", told)
    lengths = peer.session.accepted_prefix_lengths
    refused = [
        f"{pool.name} (/{pool.block_size})"
        for pool in case.pools
        if lengths and pool.family == peer.family and not lengths.min <= pool.block_size <= lengths.max
    ]
    if lengths and refused:
        accepted = f"accepts /{lengths.min} to /{lengths.max}"
        told = f"peer {peer.name} {accepted}, not the blocks of {few(sorted(refused))}"
        yield Finding("Conflict", "True", "PrefixLengthRefused", told)


def _missing_secret(case: PeerCase) -> Iterable[Finding]:
    # By session, not by the node's condition MissingSecret: that one speaks of all its peers.
    reported = case.sessions or {}
    nodes = sorted(node for node in case.nodes if node in reported and lacks_password(reported[node]))
    if nodes:
        why = reported[nodes[0]].last_error
        told = f"peer {case.item.metadata.name}: no password on {few(nodes)}: {why}"
        yield Finding("MissingSecret", "True", "MissingSecret", told)


def _down(case: PeerCase) -> list[str]:
    sessions = case.sessions or {}
    return [node for node in case.nodes if node not in sessions or sessions[node].session != ESTABLISHED]


def _sessions(case: PeerCase, down: list[str]) -> str:
    up = len(case.nodes) - len(down)
    told = f"peer {case.item.metadata.name}: {up} of {len(case.nodes)} sessions established"
    return f"{told}; not on {few(_why_down(case, node) for node in sorted(down))}" if down else told


def _why_down(case: PeerCase, node: str) -> str:
    status = (case.sessions or {}).get(node)
    if status is None:
        return f"{node} (not reported yet)"
    return f"{node} ({status.session}{f': {status.last_error}' if status.last_error else ''})"
