"""Writes a plan: one server-side apply per changed object, conditional on the state that was planned with.

    finalizers on    a pool must not vanish under a grant
    NodeNetworks     eight at a time; each alone may fail and is tried again with back-off
    deletions
    finalizers off
    statuses         at once when a condition turned, else at most every two seconds per object
    events

Before every write the Lease must still be ours with a margin, else the rest is dropped.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, Protocol

import msgspec
import structlog

from fairlead_core.api import API_VERSION, POOL_FINALIZER, NodeNetworkSpec
from fairlead_core.snapshot import (
    GONE_SINCE,
    ClusterPlan,
    Deletion,
    FinalizerWrite,
    NodeWrite,
    PeerWrite,
    PoolWrite,
)
from fairlead_kube.client import APPLY_PATCH, KubeClient, decode
from fairlead_kube.errors import KubeError
from fairlead_operator.events import EVENTS, events_of
from fairlead_operator.gather import NODE_NETWORKS, PEERS, POOLS
from fairlead_operator.settings import Settings

FIELD_MANAGER: Final = "fairlead-operator"
WRITERS: Final = 8
BACKOFF_S: Final = (0.5, 60.0)

log = structlog.get_logger()


class Ledger(Protocol):
    """Who must know of writes so that the next plan does: Gather."""

    def wrote(self, answer: bytes) -> None: ...
    def uncertain(self, name: str, spec: NodeNetworkSpec) -> None: ...
    def conflicted(self, name: str) -> None: ...
    def deleted(self, name: str, uid: str) -> None: ...
    def wrote_input(self, kind: str, answer: bytes) -> None: ...


@dataclass(slots=True)
class Outcome:
    """What one publish did. `again_s`: seconds until something that was put off is due; None when nothing
    was."""

    wrote: int = 0
    failed: int = 0
    lost_lease: bool = False
    again_s: float | None = None

    def due(self, seconds: float) -> None:
        self.again_s = seconds if self.again_s is None else min(self.again_s, seconds)


@dataclass(slots=True)
class _Backoff:
    attempts: int = 0
    until_s: float = 0.0


@dataclass(slots=True)
class Publisher:
    """`may_write` is asked before each request; `beat` is called after each, so that a long publish is no
    hang."""

    client: KubeClient
    settings: Settings
    ledger: Ledger
    may_write: Callable[[], bool]
    beat: Callable[[], None] = lambda: None
    clock: Callable[[], float] = time.monotonic
    count: Callable[[str, str], None] = lambda kind, outcome: None
    _failing: dict[str, _Backoff] = field(default_factory=dict)
    _told_s: dict[str, float] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def publish(self, plan: ClusterPlan) -> Outcome:
        """Carries out what it can. Raises nothing: failures are in the outcome and in the log."""
        outcome = Outcome()
        for write in plan.finalizers:
            if write.present:
                self._attempt(outcome, "IPPool", write.pool, partial(self._finalize, write))
        with ThreadPoolExecutor(WRITERS) as writers:
            list(writers.map(lambda write: self._node(outcome, write), plan.node_writes))
        for deletion in plan.deletions:
            self._attempt(outcome, "NodeNetwork", deletion.name, partial(self._delete, deletion))
        for write in plan.finalizers:
            if not write.present:
                self._attempt(outcome, "IPPool", write.pool, partial(self._finalize, write))
        for told in plan.pool_writes:
            self._status(outcome, "IPPool", POOLS, told)
        for judged in plan.peer_writes:
            self._status(outcome, "BGPPeer", PEERS, judged)
        return outcome

    def _node(self, outcome: Outcome, write: NodeWrite) -> None:
        def carry_out() -> None:
            self._apply_node(write)
            log.info("node network written", node=write.name, revision=write.spec.revision, change=write.why)

        self._attempt(outcome, "NodeNetwork", write.name, carry_out)

    def _apply_node(self, write: NodeWrite) -> None:
        path = f"{NODE_NETWORKS}/{write.name}"
        body = {
            "apiVersion": API_VERSION,
            "kind": "NodeNetwork",
            "metadata": {
                "name": write.name,
                "resourceVersion": write.resource_version or self._create(write.name),
                "annotations": {GONE_SINCE: write.gone_since} if write.gone_since else {},
            },
            "spec": write.spec,
        }
        try:
            self.ledger.wrote(self._send("PATCH", path, body, _APPLY, APPLY_PATCH))
        except KubeError as error:
            if error.conflict:
                self.ledger.conflicted(write.name)
            elif error.unreachable or error.status >= 500:
                self.ledger.uncertain(write.name, write.spec)
            raise

    def _create(self, name: str) -> str:
        """An empty object first: an apply would also overwrite one that exists and that we have not seen."""
        body = {"apiVersion": API_VERSION, "kind": "NodeNetwork", "metadata": {"name": name}}
        answer = self._send("POST", NODE_NETWORKS, body, {"fieldManager": FIELD_MANAGER})
        self.ledger.wrote(answer)
        return decode("created NodeNetwork", answer, _Versioned).metadata.resource_version

    def _delete(self, deletion: Deletion) -> None:
        preconditions = {"uid": deletion.uid, "resourceVersion": deletion.resource_version}
        body = {"kind": "DeleteOptions", "apiVersion": "v1", "preconditions": preconditions}
        self._send("DELETE", f"{NODE_NETWORKS}/{deletion.name}", body)
        self.ledger.deleted(deletion.name, deletion.uid)
        log.info("node network deleted", node=deletion.name, cause=deletion.why)

    def _finalize(self, write: FinalizerWrite) -> None:
        finalizers = [POOL_FINALIZER] if write.present else []
        metadata = {"name": write.pool, "uid": write.uid, "finalizers": finalizers}
        body = {"apiVersion": API_VERSION, "kind": "IPPool", "metadata": metadata}
        self.ledger.wrote_input(
            "IPPool", self._send("PATCH", f"{POOLS}/{write.pool}", body, _APPLY, APPLY_PATCH)
        )
        log.info("pool finalizer", pool=write.pool, present=write.present)

    def _status(self, outcome: Outcome, kind: str, collection: str, write: PoolWrite | PeerWrite) -> None:
        key, urgent = f"{kind} {write.name}", bool(write.turned)
        rest_s = self._told_s.get(key, float("-inf")) + self.settings.timing.status_s - self.clock()
        if rest_s > 0 and not urgent:
            outcome.due(rest_s)
            return

        def carry_out() -> None:
            metadata = {"name": write.name, "uid": write.uid}
            body = {"apiVersion": API_VERSION, "kind": kind, "metadata": metadata, "status": write.status}
            path = f"{collection}/{write.name}/status"
            self.ledger.wrote_input(kind, self._send("PATCH", path, body, _APPLY, APPLY_PATCH))
            self._told_s[key] = self.clock()
            for one in write.turned:
                told = {"status": one.status, "reason": one.reason, "message": one.message}
                log.info("condition", kind=kind, name=write.name, type=one.type, **told)

        if self._attempt(outcome, f"{kind} status", write.name, carry_out):
            self._tell(events_of(kind, write.name, write.uid, write.turned, self.settings.identity))

    def _tell(self, events: Iterable[dict[str, Any]]) -> None:
        for event in events:
            try:
                self._send("POST", EVENTS, event)
            except KubeError as error:  # an event is a courtesy: the condition says the same
                log.warning("event lost", object=event["regarding"]["name"], error=error.message)

    def _attempt(self, outcome: Outcome, kind: str, name: str, carry_out: Callable[[], None]) -> bool:
        key = f"{kind} {name}"
        backoff = self._failing.get(key)
        if backoff and backoff.until_s > self.clock():
            outcome.due(backoff.until_s - self.clock())
            return False
        if not self.may_write():
            outcome.lost_lease = True
            return False
        try:
            carry_out()
        except KubeError as error:
            self._failed(outcome, key, error)
            self.count(kind, "conflict" if error.conflict else "error")
            return False
        self.count(kind, "ok")
        self.beat()
        with self._lock:
            self._failing.pop(key, None)
            outcome.wrote += 1
        return True

    def _failed(self, outcome: Outcome, key: str, error: KubeError) -> None:
        """A conflict only means that the object moved on; the watch has it already or will in a moment."""
        low, high = BACKOFF_S
        with self._lock:
            backoff = self._failing.setdefault(key, _Backoff())
            pause_s = low if error.conflict else min(high, low * 2 ** min(backoff.attempts, 16))
            backoff.attempts, backoff.until_s = backoff.attempts + 1, self.clock() + pause_s
            outcome.failed += 1
            outcome.due(pause_s)
        if not error.conflict:
            log.warning("write failed", object=key, error=error.message, again_s=round(pause_s, 1))

    def _send(
        self,
        method: str,
        path: str,
        body: object,
        query: dict[str, str] | None = None,
        content_type: str = "application/json",
    ) -> bytes:
        timeout_s = self.settings.timing.request_s
        # The server must give up too: what it keeps in a queue could land after the Lease passed on.
        # passed on.
        bounded = {**(query or {}), "timeout": f"{timeout_s:g}s"}
        return self.client.request(
            method, path, query=bounded, body=body, content_type=content_type, timeout_s=timeout_s
        )


_APPLY: Final = {"fieldManager": FIELD_MANAGER, "force": "true"}


class _Meta(msgspec.Struct, rename="camel"):
    resource_version: str


class _Versioned(msgspec.Struct):
    metadata: _Meta
