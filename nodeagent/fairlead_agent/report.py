"""NodeNetwork.status: composed from what was seen, written when it says something new.

new condition, block, revision, session, or a growing shortage     at once
anything else (counts)                                             when the last write is an interval old
nothing new                                                        never
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from fairlead_agent import __version__
from fairlead_agent.ports import PortError
from fairlead_core.api import (
    Condition,
    HeldBlock,
    NodeBGPStatus,
    NodeNetworkSpec,
    NodeNetworkStatus,
    PeerStatus,
    PoolUsage,
)
from fairlead_core.conditions import Finding, settle
from fairlead_core.outcome import Rejected
from fairlead_core.sessions import lacks_password

MIN_INTERVAL_S = 0.1
RETRY_S = 2.0


@dataclass(frozen=True, slots=True)
class Observed:
    """What one pass saw."""

    spec: NodeNetworkSpec | None
    generation: int
    serving: bool
    refusal: Rejected | None = None
    failures: Mapping[str, str] = field(default_factory=dict)
    """Target -> what it could not do."""
    held: tuple[HeldBlock, ...] = ()
    usage: Mapping[str, PoolUsage] = field(default_factory=dict)
    peers: tuple[PeerStatus, ...] = ()


def findings(seen: Observed) -> list[Finding]:
    """The conditions of a NodeNetwork: Ready always, the others only while they hold.

    Stalled: a spec is refused. MissingSecret: sessions are left out for want of a usable password.
    """
    stalled = [Finding("Stalled", "True", seen.refusal.reason, seen.refusal.message)] if seen.refusal else []
    return [_ready(seen), *stalled, *_missing_secret(seen.peers)]


def compose(seen: Observed, before: tuple[Condition, ...], now: datetime) -> NodeNetworkStatus:
    """The status of one pass; `before` are the conditions whose transition times go on."""
    return NodeNetworkStatus(
        observed_generation=seen.generation,
        revision=seen.spec.revision if seen.spec else 0,
        agent_version=__version__,
        blocks=seen.held,
        ipam=dict(seen.usage),
        bgp=NodeBGPStatus(peers=seen.peers),
        conditions=settle(before, findings(seen), seen.generation, now),
    )


def urgent(old: NodeNetworkStatus | None, new: NodeNetworkStatus) -> bool:
    """Whether somebody waits for this news."""
    return old is None or _headline(old) != _headline(new) or _shortage(new) > _shortage(old)


class Reporter:
    """Writes the latest status from a thread of its own, so that a slow API server holds up nothing."""

    def __init__(self, publish: Callable[[NodeNetworkStatus], None], interval_s: float) -> None:
        self._publish, self._interval_s = publish, interval_s
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._latest: NodeNetworkStatus | None = None
        self._written: NodeNetworkStatus | None = None
        self._written_at_s = float("-inf")
        self._open = False
        self.trouble = ""
        """Why the last write failed; "" when it did not."""

    def start(self) -> None:
        """Begins to write."""
        threading.Thread(target=self._run, name="report", daemon=True).start()

    def offer(self, seen: Observed, known: tuple[Condition, ...] | None) -> None:
        """Takes the news of a pass. `known`: the conditions that the object shows, None before it was seen.

        Nothing is written to an object that was never seen: an agent that has just started would take its
        generation and its transition times back.
        """
        with self._lock:
            before = self._latest.conditions if self._latest and self._open else known or ()
            self._open |= known is not None
            self._latest = compose(seen, before, datetime.now(UTC))
        if self._open and urgent(self._written, self._latest):
            self._wake.set()

    @property
    def latest(self) -> NodeNetworkStatus | None:
        """The status of the last pass, written or not."""
        return self._latest

    def due_s(self, now_s: float) -> float:
        """Seconds until the next write is due; infinite when there is nothing to say."""
        with self._lock:
            if not self._open or self._latest is None or self._latest == self._written:
                return float("inf")
            interval_s = MIN_INTERVAL_S if urgent(self._written, self._latest) else self._interval_s
        return max(0.0, self._written_at_s + interval_s - now_s)

    def write(self) -> None:
        """Writes the latest status now. A failure is kept in `trouble`, and the status stays due."""
        with self._lock:
            latest = self._latest
        if latest is None:
            return
        try:
            self._publish(latest)
        except PortError as error:
            self.trouble = str(error)
            return
        self.trouble, self._written, self._written_at_s = "", latest, time.monotonic()

    def _run(self) -> None:
        while True:
            due_s = self.due_s(time.monotonic())
            if due_s > 0:
                self._wake.wait(min(due_s, 1.0))
                self._wake.clear()
                continue
            self.write()
            if self.trouble:
                time.sleep(RETRY_S)


def _ready(seen: Observed) -> Finding:
    causes = "; ".join(f"{name}: {cause}" for name, cause in sorted(seen.failures.items()))
    if seen.spec is None:
        message = "no desired state was accepted yet"
        return Finding("Ready", "False", "NoSpec", f"{message}; {causes}" if causes else message)
    if not seen.serving:
        return Finding("Ready", "False", "NotServing", "the CNI socket is not served")
    if seen.failures:
        return Finding("Ready", "False", "TargetFailed", causes)
    blocks = len(seen.spec.blocks)
    return Finding(
        "Ready", "True", "Realised", f"revision {seen.spec.revision} with {blocks} blocks is realised"
    )


def _missing_secret(peers: tuple[PeerStatus, ...]) -> list[Finding]:
    lacking = [peer for peer in peers if lacks_password(peer)]
    if not lacking:
        return []
    causes = "; ".join(peer.last_error or f"peer {peer.name}" for peer in lacking)
    return [Finding("MissingSecret", "True", lacking[0].session, causes)]


def _headline(status: NodeNetworkStatus) -> object:
    return (
        status.observed_generation,
        status.revision,
        [(c.type, c.status, c.reason, c.message) for c in status.conditions],
        [(block.cidr, block.state) for block in status.blocks],
        [(p.name, p.session, p.bfd, p.prefixes_sent, p.last_error) for p in status.bgp.peers]
        if status.bgp
        else [],
    )


def _shortage(status: NodeNetworkStatus) -> int:
    return sum(max(0, usage.wanted - usage.free) for usage in status.ipam.values())
