"""Short ways to say what a node has and who asks."""

from collections.abc import Sequence

from fairlead_core.api import Block, GrantState, NodeNetworkSpec, NodePool
from fairlead_core.journal import Free, Hold
from fairlead_core.lease import Lease, Owner
from fairlead_core.ledger import Ledger
from fairlead_core.outcome import Rejected, Waiting

COOLDOWN_S = 30


def owner(container_id: str, ifname: str = "eth0", pod: str = "web-0", uid: str = "uid-0") -> Owner:
    """A pod's interface."""
    return Owner("default", pod, uid, container_id, ifname)


def pool(
    name: str, family: str = "IPv4", reserved: Sequence[str] = (), cooldown_s: int = COOLDOWN_S
) -> NodePool:
    """A pool as an agent sees it."""
    return NodePool(
        name=name,
        family="IPv6" if family == "IPv6" else "IPv4",
        cooldown_seconds=cooldown_s,
        reserved=tuple(reserved),
    )


def spec(
    *blocks: tuple[str, str] | tuple[str, str, GrantState], pools: Sequence[NodePool], revision: int = 1
) -> NodeNetworkSpec:
    """A node's desired state: blocks as (cidr, pool) or (cidr, pool, state)."""
    granted = tuple(Block(cidr=b[0], pool=b[1], state=b[2] if len(b) == 3 else "Active") for b in blocks)
    return NodeNetworkSpec(revision=revision, blocks=granted, pools=tuple(pools))


def ledger_of(*blocks: tuple[str, str], pools: Sequence[NodePool]) -> Ledger:
    """A ledger of node7 that follows `spec(...)`, at time 0."""
    ledger = Ledger("node7")
    ledger.reconfigure(spec(*blocks, pools=pools), now=0.0)
    return ledger


def take(ledger: Ledger, who: Owner, now: float) -> Lease | Rejected | Waiting:
    """A take whose wiring does not matter."""
    return ledger.take(who, f"fl{who.container_id}", "02:00:00:00:00:01", "02:00:00:00:00:02", now)


def addresses(taken: Lease | Rejected | Waiting) -> list[str]:
    """The addresses of a lease as text; fails with the refusal's message otherwise."""
    assert isinstance(taken, Lease), taken.message
    return [str(address) for address in taken.addresses]


def hold_record(ledger: Ledger, lease: Lease) -> Hold:
    """What the journal says of a lease."""
    return Hold(lease, ledger.slots(lease))


def free_record(ledger: Ledger, lease: Lease, now: float) -> Free:
    """What the journal says of a release."""
    return Free(*lease.owner.key, ledger.slots(lease), now)
