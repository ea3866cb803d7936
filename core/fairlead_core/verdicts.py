"""What a plan says about each IPPool and BGPPeer: numbers, conditions, and what an event should tell.

IPPool                 Ready   beside it
wrong in itself        False   Stalled
overlaps an older one  False   Stalled, Conflict
leaving, blocks held   False   Reconciling, Draining
owes a node addresses  False   Exhausted
else                   True
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from fairlead_core.api import AddressCount, BlockCount, IPPool, IPPoolStatus
from fairlead_core.conditions import Finding, few, settle, turned
from fairlead_core.outcome import Rejected
from fairlead_core.pools import Pool
from fairlead_core.snapshot import BlockTally, PoolWrite


@dataclass(slots=True)
class PoolUse:
    """Use of one pool over all nodes. `holders` maps a node to the addresses in use in its blocks of the
    pool."""

    used: int = 0
    cooling: int = 0
    active: int = 0
    draining: int = 0
    holders: dict[str, int] = field(default_factory=dict)
    conflicts: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class PoolCase:
    """All that is known of one pool when its verdict is made. `free_blocks` and `total_blocks` are of its
    space."""

    item: IPPool
    pool: Pool | Rejected
    use: PoolUse
    total_blocks: int = 0
    free_blocks: int = 0
    lacking: tuple[tuple[str, int], ...] = ()


def judge_pool(case: PoolCase, now: datetime) -> PoolWrite | None:
    """The status to write; None when it is already so."""
    meta, old = case.item.metadata, case.item.status
    conditions = settle(old.conditions, _findings(case), meta.generation, now)
    status = IPPoolStatus(
        observed_generation=meta.generation,
        addresses=_addresses(case),
        blocks=BlockCount(case.total_blocks, case.use.active + case.use.draining, case.free_blocks),
        conditions=conditions,
    )
    if status == old:
        return None
    return PoolWrite(meta.name, meta.uid, status, turned(old.conditions, conditions))


def tally(case: PoolCase) -> BlockTally:
    return BlockTally(case.total_blocks, case.use.active, case.use.draining)


def _addresses(case: PoolCase) -> AddressCount:
    total = case.pool.addresses if isinstance(case.pool, Pool) else 0
    used, cooling = case.use.used, case.use.cooling
    return AddressCount(total, used, max(0, total - used - cooling), cooling)


def _findings(case: PoolCase) -> Iterable[Finding]:
    if isinstance(case.pool, Rejected):
        return _rejected(case, case.pool)
    if case.use.conflicts:
        told = "; ".join(case.use.conflicts[:5])
        return (_ready(False, "BlockConflict", told), Finding("Conflict", "True", "BlockConflict", told))
    if case.pool.drains and case.use.holders:
        return _draining(case, "Deleting" if case.pool.deleting else "Draining")
    if case.lacking:
        told = _exhausted(case)
        return (_ready(False, "Exhausted", told), Finding("Exhausted", "True", "NoBlockLeft", told))
    return (_ready(True, _quiet_reason(case.pool), _numbers(case)),)


def _rejected(case: PoolCase, why: Rejected) -> Iterable[Finding]:
    if case.item.metadata.deletion_timestamp and case.use.holders:
        return _draining(case, "Deleting")
    findings = [_ready(False, why.reason, why.message), Finding("Stalled", "True", why.reason, why.message)]
    if why.reason == "Conflict":
        findings.append(Finding("Conflict", "True", "Overlap", why.message))
    return findings


def _draining(case: PoolCase, reason: str) -> Iterable[Finding]:
    name, holders = case.item.metadata.name, case.use.holders
    by_node = few(f"{node} ({used} addresses)" for node, used in sorted(holders.items()))
    told = (
        f"pool {name}: {case.use.active + case.use.draining} blocks still held by {len(holders)} nodes, "
        f"{case.use.used} addresses in use, {case.use.cooling} cooling: {by_node}"
    )
    return (
        _ready(False, reason, told),
        Finding("Draining", "True", reason, told),
        Finding("Reconciling", "True", reason, told),
    )


def _exhausted(case: PoolCase) -> str:
    name, counts = case.item.metadata.name, _addresses(case)
    nodes = few(f"{node} (lacks {lack} addresses)" for node, lack in sorted(case.lacking))
    return (
        f"pool {name}: {case.free_blocks} of {case.total_blocks} blocks free, "
        f"{counts.used} of {counts.total} addresses used, {counts.cooling} cooling; no block left for {nodes}"
    )


def _numbers(case: PoolCase) -> str:
    counts, granted = _addresses(case), case.use.active + case.use.draining
    return (
        f"pool {case.item.metadata.name}: {granted} of {case.total_blocks} blocks granted to "
        f"{len(case.use.holders)} nodes, {counts.used} of {counts.total} addresses used, "
        f"{counts.cooling} cooling"
    )


def _quiet_reason(pool: Pool) -> str:
    if pool.state == "Disabled":
        return "Disabled"
    return "Drained" if pool.drains else "Available"


def _ready(true: bool, reason: str, message: str) -> Finding:
    return Finding("Ready", "True" if true else "False", reason, message)


def count_use(uses: dict[str, PoolUse], node: str, pool: str, held: tuple[int, int], draining: bool) -> None:
    """Adds one block of one node; `held` is (used, cooling)."""
    use = uses.setdefault(pool, PoolUse())
    use.used += held[0]
    use.cooling += held[1]
    use.active += not draining
    use.draining += draining
    use.holders[node] = use.holders.get(node, 0) + held[0]
