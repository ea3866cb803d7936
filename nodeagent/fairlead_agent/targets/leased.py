"""Repairs for one lease must not run beside the CNI call that ends it: this is the common guard."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from fairlead_agent.locks import KeyedLocks
from fairlead_core.api import HeldBlock
from fairlead_core.cni import AttachmentKey
from fairlead_core.lease import Lease


class LeaseLookup(Protocol):
    """What the guard needs of NodeIPAM."""

    def leases(self) -> tuple[Lease, ...]: ...
    def lease(self, container_id: str, ifname: str) -> Lease | None: ...
    def held_blocks(self) -> tuple[HeldBlock, ...]: ...


class LeaseGuard:
    """Leases, and the means to hold one while something is repaired for it."""

    def __init__(self, ipam: LeaseLookup, locks: KeyedLocks) -> None:
        self._ipam, self._locks = ipam, locks

    def leases(self) -> tuple[Lease, ...]:
        """All leases at this moment."""
        return self._ipam.leases()

    def held_blocks(self) -> tuple[HeldBlock, ...]:
        """All blocks at this moment."""
        return self._ipam.held_blocks()

    @contextmanager
    def hold(self, lease: Lease) -> Iterator[bool]:
        """No CNI call of this attachment runs in the body; False when the lease has ended by now."""
        with self._locks.hold(AttachmentKey(*lease.owner.key)):
            yield self._ipam.lease(*lease.owner.key) == lease
