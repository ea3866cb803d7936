"""Addresses for this node's pods: the ledger in memory, the journal on disk, one lock.

take      ledger, then journal, then the answer; a journal that refuses undoes the ledger
release   journal, then ledger: an address is free only when the disk knows that it is
sweep     release of owners that two looks did not find alive
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Condition
from typing import Final

from fairlead_agent.ports import PortError
from fairlead_agent.ports.journal import JournalFile
from fairlead_core.api import HeldBlock, NodeNetworkSpec, PoolUsage
from fairlead_core.journal import Free, Hold
from fairlead_core.lease import Key, Lease, Owner
from fairlead_core.ledger import Ledger
from fairlead_core.outcome import Rejected, Waiting

COMPACT_BYTES: Final = 1024 * 1024
COMPACT_FACTOR: Final = 4


def open_ipam(path: Path, node_name: str, clock: Callable[[], float] | None = None) -> "NodeIPAM":
    """The node's addresses as the journal at `path` has them; call reconfigure() before the first take.

    Raises PortError. `clock` answers epoch seconds; the default one does not jump when the wall clock does.
    """
    clock = clock or steady_clock()
    journal, ledger = JournalFile(path), Ledger(node_name)
    replay = journal.load()
    ledger.replay(replay.records, clock())
    ipam = NodeIPAM(journal, ledger, clock)
    ipam.damaged_lines = replay.damaged
    return ipam


def steady_clock() -> Callable[[], float]:
    """Epoch seconds that only run forward, suspend included: the wall clock is looked at once, now.

    So a wall clock that is set while the agent runs neither prolongs nor shortens a cool-down. Across a
    restart the ledger compares wall clocks: set back, a cool-down starts over; set forward, it ends earlier.
    """
    offset = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
    return lambda: offset + time.clock_gettime(time.CLOCK_BOOTTIME)


class NodeIPAM:
    """Thread-safe. A take is on disk before it is answered, a release is written; both raise PortError."""

    def __init__(self, journal: JournalFile, ledger: Ledger, clock: Callable[[], float]) -> None:
        self.damaged_lines: tuple[int, ...] = ()  # lines of the journal that could not be read at start
        self.compaction_error: str | None = None  # why the journal grows; no answer depends on it
        self._journal = journal
        self._ledger = ledger
        self._clock = clock
        self._changed = Condition()
        self._busy: set[Key] = set()
        self._compacting = False
        self._compact_at_bytes = COMPACT_BYTES
        self._missed: dict[Key, tuple[Lease, float]] = {}  # not found alive, and since when

    def take(self, owner: Owner, host_ifname: str, host_mac: str, pod_mac: str) -> Lease | Rejected | Waiting:
        """See Ledger.take. On PortError nothing is held."""
        return self._hold(
            owner.key,
            lambda now: self._ledger.take(owner, host_ifname, host_mac, pod_mac, now),
        )

    def adopt(self, lease: Lease) -> Lease | Rejected | Waiting:
        """See Ledger.adopt: a pod that the kernel has and the journal lost. On PortError nothing is held."""
        return self._hold(lease.owner.key, lambda now: self._ledger.adopt(lease, now))

    def release(self, container_id: str, ifname: str | None = None) -> tuple[Lease, ...]:
        """What was held by this container (on `ifname`, or on all); empty when nothing was. Waits for a take
        of the same owner that is under way. On PortError everything not yet released is still held."""
        if ifname is not None:
            return self._release((container_id, ifname))
        with self._changed:
            leases = self._ledger.leases_of(container_id, None)
        return tuple(lease for held in leases for lease in self._release(held.owner.key))

    def sweep(self, is_live: Callable[[Owner], bool], grace_s: float) -> tuple[Lease, ...]:
        """Releases every lease whose owner was not live in two looks at least `grace_s` apart.

        With grace_s 0 one look is enough: CNI GC with its valid attachments (CNI 1.1, "Lifecycle & Ordering",
        forbids ADD and DEL meanwhile). An owner that was live in between starts over. Returns what was
        released, for the caller to unwire. Raises PortError after having tried all.
        """
        released: list[Lease] = []
        failures: list[PortError] = []
        for lease in self._overdue(is_live, grace_s):
            try:
                released.extend(self._release(lease.owner.key, only=lease))
            except PortError as error:
                failures.append(error)
        if failures:
            raise failures[0]
        return tuple(released)

    def lease(self, container_id: str, ifname: str) -> Lease | None:
        """The lease of exactly this owner."""
        with self._changed:
            return self._ledger.lease(container_id, ifname)

    def leases(self) -> tuple[Lease, ...]:
        """All leases, oldest first."""
        with self._changed:
            return self._ledger.leases()

    def held_blocks(self) -> tuple[HeldBlock, ...]:
        """See Ledger.held_blocks: for accept() and NodeNetwork.status.blocks."""
        with self._changed:
            return self._ledger.held_blocks(self._clock())

    def usage(self) -> dict[str, PoolUsage]:
        """See Ledger.usage: for NodeNetwork.status.ipam and metrics."""
        with self._changed:
            return self._ledger.usage(self._clock())

    def shortages(self) -> tuple[str, ...]:
        """See Ledger.shortages: empty when an ADD would get its addresses now."""
        with self._changed:
            return self._ledger.shortages(self._clock())

    def reconfigure(self, spec: NodeNetworkSpec) -> None:
        """Follows a spec that accept() returned; no I/O."""
        with self._changed:
            self._ledger.reconfigure(spec, self._clock())

    def close(self) -> None:
        """Closes the journal."""
        self._journal.close()

    def _hold(
        self, key: Key, attempt: Callable[[float], Lease | Rejected | Waiting]
    ) -> Lease | Rejected | Waiting:
        with self._exclusive(key):
            with self._changed:
                lease = attempt(self._clock())
                if not isinstance(lease, Lease):
                    return lease
                record = Hold(lease, self._ledger.slots(lease))
            try:
                self._journal.append([record])
            except PortError:
                with self._changed:
                    self._ledger.cancel(lease)
                raise
        return lease

    def _release(self, key: Key, only: Lease | None = None) -> tuple[Lease, ...]:
        with self._exclusive(key):
            with self._changed:
                lease, now = self._ledger.lease(*key), self._clock()
                if lease is None or (only is not None and lease is not only):
                    return ()
                record = Free(*key, self._ledger.slots(lease), now)
            self._journal.append([record])
            with self._changed:
                released = self._ledger.give_back(*key, self._clock())
        self._compact_when_large()
        return released

    def _overdue(self, is_live: Callable[[Owner], bool], grace_s: float) -> list[Lease]:
        dead = [lease for lease in self.leases() if not is_live(lease.owner)]
        with self._changed:
            now, before = self._clock(), self._missed
            self._missed = {lease.owner.key: self._first_miss(before, lease, now) for lease in dead}
            return [lease for lease in dead if now - self._missed[lease.owner.key][1] >= grace_s]

    @staticmethod
    def _first_miss(before: dict[Key, tuple[Lease, float]], lease: Lease, now: float) -> tuple[Lease, float]:
        missed = before.get(lease.owner.key)
        return missed if missed is not None and missed[0] is lease else (lease, now)

    @contextmanager
    def _exclusive(self, key: Key) -> Iterator[None]:
        """Nobody else takes or releases for `key`, and the journal is not being compacted."""
        with self._changed:
            while self._compacting or key in self._busy:
                self._changed.wait()
            self._busy.add(key)
        try:
            yield
        finally:
            with self._changed:
                self._busy.discard(key)
                self._changed.notify_all()

    def _compact_when_large(self) -> None:
        with self._changed:
            if self._compacting or self._journal.size_bytes < self._compact_at_bytes:
                return
            self._compacting = True
            while self._busy:
                self._changed.wait()
        try:
            self._compact()
        finally:
            with self._changed:
                self._compacting = False
                self._changed.notify_all()

    def _compact(self) -> None:
        with self._changed:
            records = self._ledger.records(self._clock())
        try:
            self._journal.compact(records)
            self.compaction_error = None
        except PortError as error:
            # Every answer so far is on disk; a longer journal costs only time at the next start.
            self.compaction_error = str(error)
        self._compact_at_bytes = max(COMPACT_BYTES, COMPACT_FACTOR * self._journal.size_bytes)
