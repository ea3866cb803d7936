"""The CNI verbs: one call in, one answer out.

ADD     take addresses (journalled) -> wire the pod -> result       fails, or nobody waits for the
                                                                    answer: unwired, given back
DEL     unwire -> give back                                         nothing there: success
CHECK   lease, kernel and prevResult say the same
GC      end everything of the caller's network that it does not list
STATUS  could an ADD succeed?
An attachment's calls run one after the other; those of different attachments run at once.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Protocol

from fairlead_agent.checks import host_faults, pod_faults
from fairlead_agent.locks import KeyedLocks
from fairlead_agent.node import NodeState
from fairlead_agent.ports import PortError
from fairlead_agent.ports.kernel import KernelRoute, Link, PodView, Wiring
from fairlead_agent.ports.netlink import InterfaceExistsError
from fairlead_agent.wiring import ALIAS_PREFIX, attachment, owner_of, wiring
from fairlead_core import cni
from fairlead_core.cni import AttachmentKey, Call, Code, Failure
from fairlead_core.lease import Lease, Owner
from fairlead_core.outcome import Rejected, Waiting

NO_SPEC = Waiting("NoSpec", "the node has no accepted NodeNetwork yet")
RETAKE_S = 0.5
EMPTY_GRACE_S = 30.0  # without a free address for longer than this, STATUS says so: a block comes in 0.1 s


class Addresses(Protocol):
    """What the verbs need of NodeIPAM."""

    def take(
        self, owner: Owner, host_ifname: str, host_mac: str, pod_mac: str
    ) -> Lease | Rejected | Waiting: ...
    def release(self, container_id: str, ifname: str | None = None) -> tuple[Lease, ...]: ...
    def lease(self, container_id: str, ifname: str) -> Lease | None: ...
    def leases(self) -> tuple[Lease, ...]: ...
    def shortages(self) -> tuple[str, ...]: ...


class Kernel(Protocol):
    """What the verbs need of the netlink port."""

    def refuses(self, netns_fd: int) -> str | None: ...
    def wire(self, wiring: Wiring, netns_fd: int) -> Link: ...
    def unwire(self, host_ifname: str, ifname: str, netns_fd: int | None) -> bool: ...
    def look_inside(self, netns_fd: int, ifname: str) -> PodView: ...
    def link(self, name: str) -> Link | None: ...
    def links(self) -> tuple[Link, ...]: ...
    def routes(self) -> tuple[KernelRoute, ...]: ...


class RememberedDels(Protocol):
    """What the verbs need of the spool."""

    def outstanding(self) -> tuple[AttachmentKey, ...]: ...
    def has(self, key: AttachmentKey) -> bool: ...
    def done(self, key: AttachmentKey) -> None: ...


class Verbs:
    """Carries out CNI calls for one node. Thread-safe."""

    def __init__(  # noqa: PLR0913 - one per outside thing that a verb may touch
        self, ipam: Addresses, kernel: Kernel, node: NodeState, spool: RememberedDels, *,
        locks: KeyedLocks, wake: Callable[[], None], block_wait_s: float,
    ) -> None:  # fmt: skip
        """`wake` is called when addresses run out: the loop reports at once, so that the operator grants."""
        self._ipam, self._kernel, self._node, self._spool = ipam, kernel, node, spool
        self._block_wait_s = block_wait_s
        self._locks, self._wake = locks, wake
        self._empty_since_s: float | None = None
        self._do: Mapping[str, Callable[[Call, int | None], bytes | Failure]] = {
            "DEL": self._del,
            "CHECK": self._check,
            "GC": lambda call, _: self._gc(call),
            "STATUS": lambda _call, _fd: self._status(),
            "VERSION": lambda call, _: cni.version_document(call.version),
        }

    def answer(
        self, call: Call, netns_fd: int | None, waits: Callable[[], bool] = lambda: True
    ) -> bytes | Failure:
        """What the plugin prints for `call`, or why it fails. `netns_fd` stays the caller's to close.

        `waits` says whether the caller still wants the answer: the DEL of one that gave up may have come
        before its ADD had its turn, and nobody would end that ADD any more.
        """
        try:
            if call.verb == "ADD":
                return self._add(call, netns_fd, waits)
            return self._do[call.verb](call, netns_fd)
        except PortError as error:
            return Failure(Code.IO, f"{_subject(call)}: {error}")

    def settle_spool(self) -> list[PortError]:
        """Carries out every remembered DEL; answers with what could not be."""
        failures: list[PortError] = []
        for key in self._spool.outstanding():
            try:
                with self._locks.hold(key):
                    self._settle(key)
            except PortError as error:
                failures.append(error)
        return failures

    def _add(self, call: Call, netns_fd: int | None, waits: Callable[[], bool]) -> bytes | Failure:
        fault = "not given" if netns_fd is None else self._kernel.refuses(netns_fd)
        if netns_fd is None or fault:
            return Failure(Code.BAD_NETNS, f"{_subject(call)}: CNI_NETNS {call.netns!r}: {fault}")
        with self._locks.hold(call.key):
            if not waits():
                return _later(call, "the caller has given up")
            self._settle(call.key)
            if (stale := self._stale(call, netns_fd)) is not None:
                return stale
            lease = self._take(call)
            if isinstance(lease, Failure):
                return lease
            answer = self._wire(call, lease, netns_fd)
            if isinstance(answer, bytes) and not waits():
                self._end(call.key, netns_fd)
                return _later(call, "the caller has given up")
            return answer

    def _stale(self, call: Call, netns_fd: int) -> Failure | None:
        """An ADD before this one that nobody ended: a whole one is an error, a half one is ended here."""
        if self._ipam.lease(call.key.container_id, call.key.ifname) is None:
            return None
        if self._kernel.look_inside(netns_fd, call.key.ifname).link is not None:
            return Failure(Code.EXISTS, f"{_subject(call)}: already attached", "DEL it before another ADD")
        self._end(call.key, None)
        return None

    def _take(self, call: Call) -> Lease | Failure:
        names = cni.veth_names(call.key)
        pod, key = call.pod, call.key
        owner = Owner(pod.namespace, pod.name, pod.uid, key.container_id, key.ifname, call.network)
        deadline_s = time.monotonic() + self._block_wait_s
        while True:
            version = self._node.version
            taken: Lease | Rejected | Waiting = NO_SPEC
            if self._node.spec is not None:
                taken = self._ipam.take(owner, names.host_ifname, names.host_mac, names.pod_mac)
            if not isinstance(taken, Waiting):
                return taken if isinstance(taken, Lease) else _later(call, taken.message)
            if time.monotonic() >= deadline_s:
                return _later(call, taken.message)
            self._wake()
            # Also without news: cooling addresses come back by themselves.
            self._node.wait_newer(version, min(deadline_s, time.monotonic() + RETAKE_S))

    def _wire(self, call: Call, lease: Lease, netns_fd: int) -> bytes | Failure:
        try:
            self._kernel.wire(wiring(lease, self._node.mtu_bytes), netns_fd)
        except PortError as error:
            self._ipam.release(call.key.container_id, call.key.ifname)
            code = Code.EXISTS if isinstance(error, InterfaceExistsError) else Code.IO
            return Failure(code, f"{_subject(call)}: {error}")
        return cni.result(attachment(lease, call.netns, self._node.mtu_bytes), call.version, call.dns)

    def _del(self, call: Call, netns_fd: int | None) -> bytes:
        usable = netns_fd is not None and self._kernel.refuses(netns_fd) is None
        with self._locks.hold(call.key):
            self._end(call.key, netns_fd if usable else None)
            self._spool.done(call.key)
        return b""

    def _end(self, key: AttachmentKey, netns_fd: int | None) -> None:
        # First the kernel, then the ledger: an address that is still wired must not be given to another pod.
        self._kernel.unwire(cni.veth_names(key).host_ifname, key.ifname, netns_fd)
        self._ipam.release(key.container_id, key.ifname)

    def _settle(self, key: AttachmentKey) -> None:
        # A remembered DEL that comes after the next ADD of the same attachment would end the wrong one.
        if self._spool.has(key):
            self._end(key, None)
            self._spool.done(key)

    def _check(self, call: Call, netns_fd: int | None) -> bytes | Failure:
        lease = self._ipam.lease(call.key.container_id, call.key.ifname)
        if lease is None:
            return Failure(Code.UNKNOWN_CONTAINER, f"{_subject(call)}: no addresses are held for it")
        fault = "not given" if netns_fd is None else self._kernel.refuses(netns_fd)
        if netns_fd is None or fault:
            return Failure(Code.BAD_NETNS, f"{_subject(call)}: CNI_NETNS {call.netns!r}: {fault}")
        faults = [
            *pod_faults(lease, self._kernel.look_inside(netns_fd, call.key.ifname)),
            *host_faults(lease, self._kernel.link(lease.host_ifname), self._kernel.routes()),
        ]
        if call.prev is not None:
            faults += cni.differences(call.prev, attachment(lease, call.netns, self._node.mtu_bytes))
        return Failure(Code.CHECK_FAILED, f"{_subject(call)}: {'; '.join(faults)}") if faults else b""

    def _gc(self, call: Call) -> bytes | Failure:
        owners = [lease.owner for lease in self._ipam.leases()]
        keys = [AttachmentKey(*owner.key) for owner in owners if owner.network == call.network]
        failures: list[str] = []
        for key in keys:
            if key not in call.valid:
                failures += self._try_end(key)
        failures += self._end_orphans(call)
        return Failure(Code.IO, f"GC: {'; '.join(failures)}") if failures else b""

    def _try_end(self, key: AttachmentKey) -> list[str]:
        try:
            with self._locks.hold(key):
                self._end(key, None)
        except PortError as error:
            return [f"{key.container_id}/{key.ifname}: {error}"]
        return []

    def _end_orphans(self, call: Call) -> list[str]:
        """Links of ours that nobody holds a lease for: an agent was killed between two steps."""
        ours = [link for link in self._kernel.links() if link.alias.startswith(ALIAS_PREFIX)]
        orphans = {link.name for link in ours if owner_of(link.alias).network == call.network}
        # After the links, so that an ADD that is under way has its lease in here.
        held = {lease.host_ifname for lease in self._ipam.leases()}
        valid = {cni.veth_names(key).host_ifname for key in call.valid}
        failures: list[str] = []
        for name in sorted(orphans - held - valid):
            try:
                self._kernel.unwire(name, "", None)
            except PortError as error:
                failures.append(str(error))
        return failures

    def _status(self) -> bytes | Failure:
        spec = self._node.spec
        if spec is None or not spec.blocks:
            return Failure(Code.NOT_AVAILABLE, "STATUS: the node has no accepted NodeNetwork with blocks yet")
        shortages = self._ipam.shortages()
        if not self._empty_for_long(bool(shortages)):
            return b""
        return Failure(Code.NO_ADDRESSES, f"STATUS: {'; '.join(shortages)}")

    def _empty_for_long(self, empty: bool) -> bool:
        if not empty:
            self._empty_since_s = None
            return False
        if self._empty_since_s is None:
            self._empty_since_s = time.monotonic()
            self._wake()
        return time.monotonic() - self._empty_since_s >= EMPTY_GRACE_S


def _subject(call: Call) -> str:
    pod = f" of pod {call.pod.namespace}/{call.pod.name}" if call.pod.name else ""
    return f"{call.verb} {call.key.container_id}/{call.key.ifname}{pod}"


def _later(call: Call, why: str) -> Failure:
    return Failure(Code.TRY_LATER, f"{_subject(call)}: {why}", "the runtime tries again by itself")
