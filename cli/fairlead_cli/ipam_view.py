"""`fairlead ipam`: pools and blocks with their numbers, who holds an address, why a node has none."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from fairlead_cli.cluster import Cluster
from fairlead_cli.pods import Pod, addresses, full_name
from fairlead_cli.view import View, condition, size_of
from fairlead_core.api import AddressCount, BlockCount, HeldBlock, IPPool, NodeNetwork, PoolUsage

Address = IPv4Address | IPv6Address


class PoolNumbers(View, frozen=True):
    """One pool over all nodes. `message` is that of its Ready condition."""

    name: str
    cidrs: tuple[str, ...]
    state: str
    blocks: int
    granted: int
    total: int
    used: int
    cooling: int
    free: int
    message: str


class BlockRow(View, frozen=True):
    """One block on the node that holds it. `state` is the node's word, "Granted" before it has any."""

    node: str
    cidr: str
    pool: str
    state: str
    total: int
    used: int
    cooling: int
    free: int


class IPAMView(View, frozen=True):
    pools: tuple[PoolNumbers, ...]
    blocks: tuple[BlockRow, ...]


class Holder(View, frozen=True):
    """A pod that has the address, on the node that it runs on."""

    pod: str
    uid: str
    node: str


class AddressView(View, frozen=True):
    """Where one address belongs. `node` and `block` are "" when no node holds a block around it."""

    address: str
    pool: str
    block: str
    node: str
    holders: tuple[Holder, ...]
    told: str


class ShortageView(View, frozen=True):
    """Why a node may have no address to give: one sentence per pool, the node's and the pools' own words."""

    node: str
    short: bool
    reasons: tuple[str, ...]


def ipam_view(cluster: Cluster) -> IPAMView:
    pools = sorted(cluster.pools, key=lambda pool: pool.metadata.name)
    networks = sorted(cluster.networks, key=lambda network: network.metadata.name)
    return IPAMView(
        pools=tuple(map(_pool_numbers, pools)),
        blocks=tuple(row for network in networks for row in _block_rows(network)),
    )


def block_around(cluster: Cluster, address: Address) -> BlockRow | None:
    """The block of a node in which `address` lies."""
    rows = (row for network in cluster.networks for row in _block_rows(network))
    return next((row for row in rows if _contains(row.cidr, address)), None)


def address_view(cluster: Cluster, address: Address, pods: Iterable[Pod]) -> AddressView:
    """Who holds `address`, of `pods` that may hold it."""
    block = block_around(cluster, address)
    pool = next((one for one in cluster.pools if _in_pool(one, address)), None)
    holders = tuple(
        Holder(full_name(pod), pod.metadata.uid, pod.spec.node_name)
        for pod in pods
        if any(ip_address(held) == address for held in addresses(pod))
    )
    return AddressView(
        address=str(address),
        pool=block.pool if block else pool.metadata.name if pool else "",
        block=block.cidr if block else "",
        node=block.node if block else "",
        holders=holders,
        told=_told(address, block, pool, holders),
    )


def shortage_view(cluster: Cluster, node: str) -> ShortageView | None:
    """Why `node` is short of addresses, or the numbers that say it is not; None without NodeNetwork."""
    network = next((one for one in cluster.networks if one.metadata.name == node), None)
    if network is None:
        return None
    pools = {pool.metadata.name: pool for pool in cluster.pools}
    usage = network.status.ipam
    named = sorted({pool.name for pool in network.spec.pools} | set(usage))
    reasons = [*_own_complaints(network)]
    if not named:
        reasons.append(f"no address pool selects node {node}")
    for name in named:
        reasons += _reasons(network, name, usage.get(name, PoolUsage()), pools.get(name))
    short = not named or any(usage.get(name, PoolUsage()).free == 0 for name in named)
    return ShortageView(node=node, short=short, reasons=tuple(reasons))


def _pool_numbers(pool: IPPool) -> PoolNumbers:
    addresses_, blocks = pool.status.addresses or AddressCount(), pool.status.blocks or BlockCount()
    ready = condition(pool.status.conditions, "Ready")
    return PoolNumbers(
        name=pool.metadata.name,
        cidrs=pool.spec.cidrs,
        state=pool.spec.state,
        blocks=blocks.total,
        granted=blocks.granted,
        total=addresses_.total,
        used=addresses_.used,
        cooling=addresses_.cooling,
        free=addresses_.free,
        message=ready.message if ready else "the operator has not looked at it yet",
    )


def _block_rows(network: NodeNetwork) -> Iterator[BlockRow]:
    node = network.metadata.name
    held = {block.cidr: block for block in network.status.blocks}
    offered = [HeldBlock(block.cidr, block.pool, "Active") for block in network.spec.blocks]
    for block in sorted([*held.values(), *(one for one in offered if one.cidr not in held)], key=_order):
        state = block.state if block.cidr in held else "Granted"
        yield BlockRow(
            node, block.cidr, block.pool, state, size_of(block.cidr), block.used, block.cooling, block.free
        )


def _order(block: HeldBlock) -> tuple[str, int, str]:
    try:
        return block.pool, int(ip_network(block.cidr, strict=False).network_address), block.cidr
    except ValueError:
        return block.pool, 0, block.cidr


def _contains(cidr: str, address: Address) -> bool:
    try:
        return address in ip_network(cidr, strict=False)
    except ValueError:
        return False


def _in_pool(pool: IPPool, address: Address) -> bool:
    return any(_contains(cidr, address) for cidr in pool.spec.cidrs)


def _told(address: Address, block: BlockRow | None, pool: IPPool | None, holders: tuple[Holder, ...]) -> str:
    where = _where(block, pool)
    if pool is not None and any(_contains(entry, address) for entry in pool.spec.reserved):
        where = f"{where}; pool {pool.metadata.name} reserves it, so nobody gets it"
    if len(holders) > 1:
        names = ", ".join(f"{holder.pod} on {holder.node}" for holder in holders)
        return f"{address} is held by {len(holders)} pods: {names}; {where}"
    if not holders:
        return f"{address} is held by no pod; {where}"
    (holder,) = holders
    told = f"{address} is held by pod {holder.pod} on {holder.node}; {where}"
    if block is not None and block.node != holder.node:
        return f"{told}, but the pod runs on {holder.node}"
    return told


def _where(block: BlockRow | None, pool: IPPool | None) -> str:
    if block is not None:
        return f"block {block.cidr} of pool {block.pool} is {block.node}'s ({block.state})"
    if pool is not None:
        return f"it lies in pool {pool.metadata.name}, in a block that no node holds"
    return "it lies in no pool"


def _own_complaints(network: NodeNetwork) -> Iterator[str]:
    """Conditions of the node that explain more than numbers do."""
    node = network.metadata.name
    for name in ("Stalled", "Exhausted"):
        found = condition(network.status.conditions, name)
        if found is not None and found.status == "True":
            yield f"node {node}: {found.message}"
    ready = condition(network.status.conditions, "Ready")
    if ready is None:
        yield f"node {node}: its agent has not reported yet"
    elif ready.status != "True":
        yield f"node {node}: {ready.message}"


def _reasons(network: NodeNetwork, name: str, usage: PoolUsage, pool: IPPool | None) -> Iterator[str]:
    """The node's numbers of one pool, then what the pool itself complains of."""
    node = network.metadata.name
    blocks = [block for block in network.status.blocks if block.pool == name]
    total = sum(size_of(block.cidr) for block in blocks)
    yield _numbers(node, name, usage, total)
    if pool is None:
        yield f"pool {name}: the IPPool is gone"
        return
    for type_ in ("Exhausted", "Stalled", "Draining"):
        found = condition(pool.status.conditions, type_)
        if found is not None and found.status == "True":
            yield found.message


def _numbers(node: str, pool: str, usage: PoolUsage, total: int) -> str:
    """The agent's own words when a pod finds no address."""
    if not total:
        return f"pool {pool}: {node} has no block yet"
    numbers = f"pool {pool}: {usage.free} of {total} free, {usage.cooling} cooling"
    waits = usage.free < usage.wanted
    return f"{numbers}; {node} {'waits for another block' if waits else 'has enough'}"
