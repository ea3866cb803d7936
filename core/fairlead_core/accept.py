"""May this node take over the desired state that it is offered?

An API server may answer with an older state (restored from a backup), an emptied one (object made anew), or a
wrong one. None of these takes addresses away from running pods: the node keeps what it has and says why.
"""

from collections.abc import Iterator, Sequence
from ipaddress import ip_network
from itertools import pairwise
from typing import Final

from msgspec.structs import replace

from fairlead_core.api import Block, HeldBlock, NodeNetworkSpec, NodePool
from fairlead_core.outcome import Rejected
from fairlead_core.page import Network

REASON: Final = "SpecRefused"
_NAMED_MAX: Final = 5


def accept(
    last: NodeNetworkSpec | None, offered: NodeNetworkSpec, held: Sequence[HeldBlock]
) -> NodeNetworkSpec | Rejected:
    """The spec to follow from now on, or why `last` stays in force (reason SpecRefused).

    `held` is what Ledger.held_blocks() says now. Accepted is an offer that makes sense in itself, that keeps
    every held block unless it is Drained, and that is newer than `last` or has the same content. The answer's
    revision is never below that of `last`.
    """
    complaint = next(_contradictions(offered), None) or _taken_away(offered, held)
    if complaint is not None:
        return Rejected(REASON, f"spec revision {offered.revision} {complaint}")
    if last is None or offered.revision > last.revision:
        return offered
    if replace(offered, revision=last.revision) == last:
        return last
    return Rejected(
        REASON,
        f"spec revision {offered.revision} differs from revision {last.revision} in force and is not newer",
    )


def _taken_away(offered: NodeNetworkSpec, held: Sequence[HeldBlock]) -> str | None:
    kept = {(block.cidr, block.pool) for block in offered.blocks}
    missing = [block for block in held if block.state != "Drained" and (block.cidr, block.pool) not in kept]
    if not missing:
        return None
    named = ", ".join(_counted(block) for block in missing[:_NAMED_MAX])
    more = f" and {len(missing) - _NAMED_MAX} more" if len(missing) > _NAMED_MAX else ""
    return f"takes away {len(missing)} of {len(held)} blocks before they are drained: {named}{more}"


def _counted(block: HeldBlock) -> str:
    return f"{block.cidr} of pool {block.pool} ({block.state}, {block.used} used, {block.cooling} cooling)"


def _contradictions(offered: NodeNetworkSpec) -> Iterator[str]:
    pools = {pool.name: pool for pool in offered.pools}
    if len(pools) < len(offered.pools):
        yield "names a pool twice"
    for pool in offered.pools:
        yield from _bad_reserved(pool)
    networks: list[Network] = []
    for block in offered.blocks:
        network = _network(block.cidr)
        if network is None:
            yield f"has block {block.cidr!r}, which is no network address"
            return
        networks.append(network)
        yield from _pool_mismatch(block, network, pools.get(block.pool))
    yield from _overlaps(networks)


def _pool_mismatch(block: Block, network: Network, pool: NodePool | None) -> Iterator[str]:
    if pool is None:
        yield f"has block {block.cidr} of pool {block.pool}, which it does not describe"
    elif pool.family != f"IPv{network.version}":
        yield f"has block {block.cidr} in pool {pool.name}, which is {pool.family}"


def _bad_reserved(pool: NodePool) -> Iterator[str]:
    for text in pool.reserved:
        if _network(text) is None:
            yield f"reserves {text!r} in pool {pool.name}, which is neither an address nor a network"


def _overlaps(networks: Sequence[Network]) -> Iterator[str]:
    ordered = sorted(networks, key=lambda network: (network.version, network))
    for lower, upper in pairwise(ordered):
        if lower.version == upper.version and lower.overlaps(upper):
            yield f"has blocks {lower} and {upper}, which overlap"


def _network(text: str) -> Network | None:
    try:
        return ip_network(text)
    except ValueError:
        return None
