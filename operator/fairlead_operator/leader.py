"""Which replica may write: a Lease of coordination.k8s.io, renewed by its holder.

    absent, released (no holder)      take it
    ours                              renew it
    another's, changed since we looked   wait; its time starts now, on our own clock
    another's, unchanged for its time    take it

No clock of another machine is compared with ours (as client-go does it). kubernetes.leaderelection has no
release and reads the wall clock, so this is our own. Source: client-go tools/leaderelection.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

import msgspec

from fairlead_kube.client import KubeClient, decode
from fairlead_kube.errors import KubeError
from fairlead_operator.settings import Settings

LEASES: Final = "/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases"


class LeaseMeta(msgspec.Struct, rename="camel", omit_defaults=True):
    name: str
    namespace: str
    resource_version: str = ""


class LeaseSpec(msgspec.Struct, rename="camel", frozen=True, omit_defaults=True):
    holder_identity: str | None = None
    lease_duration_seconds: int = 0
    acquire_time: str | None = None
    renew_time: str | None = None
    lease_transitions: int = 0


class Lease(msgspec.Struct, omit_defaults=True):
    metadata: LeaseMeta
    spec: LeaseSpec = LeaseSpec()


class Election:
    """Takes, renews and releases the Lease in one daemon thread. Never raises; `last_error` says what
    hinders."""

    def __init__(
        self,
        client: KubeClient,
        settings: Settings,
        on_change: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client, self._settings, self._on_change, self._clock = client, settings, on_change, clock
        self._collection = LEASES.format(namespace=settings.namespace)
        self._path = f"{self._collection}/{settings.lease_name}"
        self._renewed_s = float("-inf")
        self._seen: tuple[LeaseSpec, float] | None = None
        self._was_leader = False
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="election", daemon=True)
        self.answered_s = float("-inf")
        self.holder = ""
        self.term = 0
        self.last_error: KubeError | None = None

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """End the thread and give the Lease back, so that a standby need not wait for its time."""
        self._stopping.set()
        self._thread.join(self._settings.timing.request_s * 3)
        if self.leading():
            self._renewed_s = float("-inf")
            self._release()

    def leading(self) -> bool:
        """Whether this replica may write now: its last renewal is younger than the renew time."""
        return self._clock() - self._renewed_s < self._settings.timing.renew_s

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    def look(self) -> None:
        """One look at the Lease, and the step that the table above says."""
        try:
            self._step()
            self.answered_s, self.last_error = self._clock(), None
        except KubeError as error:
            self.last_error = error
        if self.leading() != self._was_leader:
            self._was_leader = not self._was_leader
            self._on_change()

    def _run(self) -> None:
        while not self._stopping.is_set():
            self.look()
            self._stopping.wait(self._settings.timing.retry_s)

    def _step(self) -> None:
        try:
            lease = self._read()
        except KubeError as error:
            if not error.not_found:
                raise
            self._write("POST", self._collection, Lease(self._meta("")))
            return
        self.holder = lease.spec.holder_identity or ""
        if self._seen is None or self._seen[0] != lease.spec:
            self._seen = (lease.spec, self._clock())
        mine = self.holder == self._settings.identity
        if mine or not self.holder or self._clock() - self._seen[1] > lease.spec.lease_duration_seconds:
            self._write("PUT", self._path, lease)

    def _read(self) -> Lease:
        timeout_s = self._settings.timing.request_s
        return decode(
            f"GET {self._path}", self._client.request("GET", self._path, timeout_s=timeout_s), Lease
        )

    def _write(self, method: str, path: str, lease: Lease) -> None:
        """Become or stay the holder. The renewal counts from before the request: it may land at any time
        after."""
        before, now = self._clock(), datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        mine = self.holder == self._settings.identity
        spec = LeaseSpec(
            holder_identity=self._settings.identity,
            lease_duration_seconds=int(self._settings.timing.lease_s),
            acquire_time=lease.spec.acquire_time if mine else now,
            renew_time=now,
            lease_transitions=lease.spec.lease_transitions + (0 if mine else 1),
        )
        self._send(method, path, Lease(self._meta(lease.metadata.resource_version), spec))
        if not self.leading():
            self.term += 1
        self.holder, self._renewed_s, self._seen = self._settings.identity, before, (spec, before)

    def _release(self) -> None:
        try:
            lease = self._read()
            if lease.spec.holder_identity == self._settings.identity:
                spec = LeaseSpec(lease_duration_seconds=1, lease_transitions=lease.spec.lease_transitions)
                self._send("PUT", self._path, Lease(self._meta(lease.metadata.resource_version), spec))
        except KubeError as error:
            self.last_error = error  # it runs out by itself

    def _send(self, method: str, path: str, lease: Lease) -> None:
        body = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", **msgspec.to_builtins(lease)}
        timeout_s = self._settings.timing.request_s
        query = {"timeout": f"{timeout_s:g}s"}
        self._client.request(method, path, query=query, body=body, timeout_s=timeout_s)

    def _meta(self, resource_version: str) -> LeaseMeta:
        return LeaseMeta(self._settings.lease_name, self._settings.namespace, resource_version)
