"""Addresses for this node's pods: the ledger in memory, the journal on disk, one lock."""

from collections.abc import Callable
from pathlib import Path

from fairlead_agent.ports.journal import JournalFile
from fairlead_core.api import HeldBlock, NodeNetworkSpec, PoolUsage
from fairlead_core.ledger import Ledger
from fairlead_core.lease import Lease, Owner
from fairlead_core.outcome import Rejected, Waiting


def open_ipam(path: Path, node_name: str, clock: Callable[[], float] | None = None) -> "NodeIPAM":
    """The node's addresses as the journal at `path` has them; call reconfigure() before the first take.

    Raises PortError. `clock` answers epoch seconds; the default one does not jump when the wall clock does.
    """
    raise NotImplementedError


class NodeIPAM:
    """Thread-safe. What take() and release() answer is on disk before they return; both may raise PortError."""

    def __init__(self, journal: JournalFile, ledger: Ledger, clock: Callable[[], float]) -> None:
        self.damaged_lines: tuple[int, ...] = ()  # lines of the journal that could not be read at start

    def take(self, owner: Owner, host_ifname: str, host_mac: str, pod_mac: str) -> Lease | Rejected | Waiting:
        """See Ledger.take. On PortError nothing is held."""
        raise NotImplementedError

    def release(self, container_id: str, ifname: str | None = None) -> tuple[Lease, ...]:
        """What was held by this container (on `ifname`, or on all); empty when nothing was. Waits for a take
        of the same owner that is under way. On PortError everything not yet released is still held."""
        raise NotImplementedError

    def sweep(self, is_live: Callable[[Owner], bool], grace_s: float) -> tuple[Lease, ...]:
        """Releases every lease whose owner was not live in two looks at least `grace_s` apart.

        With grace_s 0 one look is enough: CNI GC with its valid attachments. An owner that was live once in
        between starts over. Returns what was released, for the caller to unwire.
        """
        raise NotImplementedError

    def lease(self, container_id: str, ifname: str) -> Lease | None:
        """The lease of exactly this owner."""
        raise NotImplementedError

    def leases(self) -> tuple[Lease, ...]:
        """All leases, oldest first."""
        raise NotImplementedError

    def held_blocks(self) -> tuple[HeldBlock, ...]:
        """See Ledger.held_blocks: for accept() and NodeNetwork.status.blocks."""
        raise NotImplementedError

    def usage(self) -> dict[str, PoolUsage]:
        """See Ledger.usage: for NodeNetwork.status.ipam and metrics."""
        raise NotImplementedError

    def reconfigure(self, spec: NodeNetworkSpec) -> None:
        """Follows a spec that accept() returned; no I/O."""
        raise NotImplementedError

    def close(self) -> None:
        """Closes the journal."""
        raise NotImplementedError
