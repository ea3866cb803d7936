"""The addresses of one node: which are held, which cool down, which may be given next."""

from collections.abc import Iterable

from fairlead_core.api import HeldBlock, NodeNetworkSpec, PoolUsage
from fairlead_core.journal import Record
from fairlead_core.lease import Lease, Owner
from fairlead_core.outcome import Rejected, Waiting


class Ledger:
    """State in memory, without I/O and without a lock; `now` is epoch seconds everywhere."""

    def __init__(self, node_name: str) -> None:
        self.node_name = node_name

    def replay(self, records: Iterable[Record], now: float) -> None:
        """Takes over what a journal says; called once, before the first reconfigure."""
        raise NotImplementedError

    def reconfigure(self, spec: NodeNetworkSpec, now: float) -> None:
        """Follows an accepted spec. A block in use that the spec lacks stays as Draining, whatever the spec says."""
        raise NotImplementedError

    def take(
        self, owner: Owner, host_ifname: str, host_mac: str, pod_mac: str, now: float
    ) -> Lease | Rejected | Waiting:
        """One address of every family that the node has pools for, all or nothing.

        Rejected AlreadyHeld when the owner holds a lease, NoPool when the node has no pool at all.
        Waiting PoolExhausted when a block may still come, with the numbers in the message.
        """
        raise NotImplementedError

    def give_back(self, container_id: str, ifname: str | None, now: float) -> tuple[Lease, ...]:
        """Frees the owner's addresses (of every interface when `ifname` is None); they cool down from `now`."""
        raise NotImplementedError

    def lease(self, container_id: str, ifname: str) -> Lease | None:
        """The lease of exactly this owner."""
        raise NotImplementedError

    def leases(self) -> tuple[Lease, ...]:
        """All leases, oldest first."""
        raise NotImplementedError

    def held_blocks(self, now: float) -> tuple[HeldBlock, ...]:
        """Every block of the accepted spec, and every other that still has addresses in use or cooling."""
        raise NotImplementedError

    def usage(self, now: float) -> dict[str, PoolUsage]:
        """Per pool of the accepted spec: used, free, cooling, and `wanted`: free ones that the node asks for."""
        raise NotImplementedError
