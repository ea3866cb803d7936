"""The addresses of one node: which are held, which cool down, which may be given next.

Identity of a holder is (container id, interface name), compared exactly. It gets one address of every family
that the node has open pools for. A pool is closing when the node has blocks of it and all are Draining: it
gives nothing and no longer makes its family obligatory, so that a family can leave a cluster.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from ipaddress import ip_network
from typing import Final

from fairlead_core.api import HeldBlock, HeldState, NodeNetworkSpec, NodePool, PoolUsage
from fairlead_core.demand import Demand
from fairlead_core.journal import Free, Hold, Record, Rest, Slot
from fairlead_core.lease import Address, Key, Lease, Owner
from fairlead_core.outcome import Rejected, Waiting
from fairlead_core.page import Network, Page, Span
from fairlead_core.source import Pick, Source, obligatory

COOLDOWN_UNKNOWN_S: Final = 30.0  # of a pool that only the journal knows; the CRD's default


class Ledger:
    """State in memory, without I/O and without a lock; `now` is epoch seconds everywhere.

    A `now` before an earlier one (clock set back) makes addresses that cool down start over at the new time:
    never a shorter cool-down, and at most one more.
    """

    def __init__(self, node_name: str) -> None:
        self.node_name = node_name
        self._pages: dict[Network, Page] = {}
        self._pools: dict[str, NodePool] = {}
        self._leases: dict[Key, Lease] = {}
        self._home: dict[Address, Page] = {}
        self._families: tuple[tuple[Source, ...], ...] = ()
        self._demand: dict[str, Demand] = {}
        self._now = 0.0

    def replay(self, records: Iterable[Record], now: float) -> None:
        """Takes over what a journal says; called once, before the first reconfigure.

        Later records win: who holds an address that another one holds takes it over (a line was lost).
        """
        for record in records:
            self._now = max(self._now, record.lease.created_at_s if isinstance(record, Hold) else record.at_s)
            if isinstance(record, Hold):
                self._replay_hold(record)
            else:
                self._replay_free(record)
        self._advance(now)

    def reconfigure(self, spec: NodeNetworkSpec, now: float) -> None:
        """Follows an accepted spec. A block in use that the spec lacks stays as Draining."""
        now = self._advance(now)
        self._pools = {pool.name: pool for pool in spec.pools}
        for page in self._pages.values():
            page.granted, page.state = False, "Draining"
        granted: list[Page] = []
        for block in spec.blocks:
            page = self._page(ip_network(block.cidr), block.pool)
            page.granted, page.state, page.pool = True, block.state, block.pool
            granted.append(page)
        self._settle(granted, now)

    def take(
        self, owner: Owner, host_ifname: str, host_mac: str, pod_mac: str, now: float
    ) -> Lease | Rejected | Waiting:
        """One address of every family that the node has open pools for, all or nothing.

        Rejected AlreadyHeld when the owner holds a lease, NoPool when the node has no pool at all.
        Waiting PoolExhausted when a block may still come, with the numbers in the message.
        """
        now = self._advance(now)
        refusal = self._refusal(owner)
        if refusal is not None:
            return refusal
        picks: list[Pick] = []
        for sources in self._families:
            pick = next((pick for source in sources if (pick := source.pick(now))), None)
            if pick is None:
                return self._shortage(owner, sources, now)
            picks.append(pick)
        addresses = tuple(pick.page.address(pick.address) for pick in picks)
        lease = Lease(owner, addresses, host_ifname, host_mac, pod_mac, now)
        self._hold(lease, [pick.page for pick in picks])
        return lease

    def adopt(self, lease: Lease, now: float) -> Lease | Rejected:
        """Holds `lease` as from `now`: addresses that a pod has although the journal does not know it.

        Rejected AlreadyHeld when its owner, or another one for one of its addresses, holds a lease; NoBlock
        when an address lies in no block of this node.
        """
        now = self._advance(now)
        refusal = self._refusal(lease.owner)
        if refusal is not None:
            return refusal
        pages: list[Page] = []
        for address in lease.addresses:
            page = next((page for page in self._pages.values() if address in page.network), None)
            if page is None:
                return Rejected("NoBlock", f"address {address} lies in no block of {self.node_name}")
            if address in self._home:
                holder = page.holders[int(address)]
                return Rejected(
                    "AlreadyHeld", f"address {address} is held by container {holder[0]} {holder[1]}"
                )
            pages.append(page)
        adopted = replace(lease, created_at_s=now)
        self._hold(adopted, pages)
        return adopted

    def cancel(self, lease: Lease) -> None:
        """`lease` was taken and never told to anyone: it is undone, without cool-down."""
        if self._leases.get(lease.owner.key) is not lease:
            return
        del self._leases[lease.owner.key]
        for address in lease.addresses:
            self._home.pop(address).cancel(int(address))

    def give_back(self, container_id: str, ifname: str | None, now: float) -> tuple[Lease, ...]:
        """Frees the owner's addresses (on every interface when `ifname` is None); they cool from `now`."""
        now = self._advance(now)
        leases = self.leases_of(container_id, ifname)
        for lease in leases:
            self._give_back(lease, now)
        return leases

    def lease(self, container_id: str, ifname: str) -> Lease | None:
        """The lease of exactly this owner."""
        return self._leases.get((container_id, ifname))

    def leases_of(self, container_id: str, ifname: str | None) -> tuple[Lease, ...]:
        """The leases of a container: on one interface, or on all when `ifname` is None."""
        if ifname is None:
            return tuple(lease for key, lease in self._leases.items() if key[0] == container_id)
        lease = self._leases.get((container_id, ifname))
        return () if lease is None else (lease,)

    def leases(self) -> tuple[Lease, ...]:
        """All leases, oldest first."""
        return tuple(self._leases.values())

    def slots(self, lease: Lease) -> tuple[Slot, ...]:
        """Where the addresses of a held lease come from, in their order."""
        pages = ((address, self._home[address]) for address in lease.addresses)
        return tuple(Slot(address, page.cidr, page.pool) for address, page in pages)

    def records(self, now: float) -> tuple[Record, ...]:
        """The shortest journal that a new ledger would have to replay to be equal to this one."""
        now = self._advance(now)
        rests = [
            Rest(Slot(page.address(address), page.cidr, page.pool), at)
            for page in self._pages.values()
            for address, at in page.rests(now, self._cooldown_s(page))
        ]
        rests.sort(key=lambda rest: rest.at_s)
        return (*rests, *(Hold(lease, self.slots(lease)) for lease in self._leases.values()))

    def shortages(self, now: float) -> tuple[str, ...]:
        """Why a take would get nothing now, with the numbers: one text per family that lacks an address."""
        now = self._advance(now)
        lacking = [sources for sources in self._families if not any(source.pick(now) for source in sources)]
        return tuple(self._told(sources, now) for sources in lacking)

    def held_blocks(self, now: float) -> tuple[HeldBlock, ...]:
        """Every block of the accepted spec, and every other that still has addresses in use or cooling."""
        now = self._advance(now)
        pages = [page for page in self._pages.values() if page.granted or self._in_use(page, now)]
        return tuple(self._held_block(page, now) for page in pages)

    def usage(self, now: float) -> dict[str, PoolUsage]:
        """Per pool of the accepted spec: used, free, cooling, and `wanted`: free ones that the node asks for.

        A pool that only still has addresses in use is there too, with wanted 0.
        """
        now = self._advance(now)
        names = [*self._pools, *(page.pool for page in self._pages.values() if self._in_use(page, now))]
        return {name: self._pool_usage(name, now) for name in dict.fromkeys(names)}

    def _advance(self, now: float) -> float:
        if now < self._now:
            for page in self._pages.values():
                page.clock_set_back(now)
        self._now = now
        return now

    def _refusal(self, owner: Owner) -> Rejected | None:
        lease = self._leases.get(owner.key)
        if lease is not None:
            have = ", ".join(str(address) for address in lease.addresses)
            return Rejected(
                "AlreadyHeld", f"container {owner.container_id} {owner.ifname} already holds {have}"
            )
        if not self._pools:
            return Rejected("NoPool", f"no address pool selects node {self.node_name}")
        return None

    def _shortage(self, owner: Owner, sources: tuple[Source, ...], now: float) -> Waiting:
        for source in sources:
            self._demand_of(source.pool.name).lacked(_pod(owner), now)
        return Waiting("PoolExhausted", self._told(sources, now))

    def _told(self, sources: tuple[Source, ...], now: float) -> str:
        return "; ".join(source.shortage(self.node_name, now) for source in sources)

    def _hold(self, lease: Lease, pages: Sequence[Page]) -> None:
        self._leases[lease.owner.key] = lease
        for address, page in zip(lease.addresses, pages, strict=True):
            page.hold(int(address), lease.owner.key)
            self._home[address] = page
            demand = self._demand_of(page.pool)
            demand.took(lease.created_at_s)
            demand.served(_pod(lease.owner))

    def _give_back(self, lease: Lease, at_s: float) -> None:
        del self._leases[lease.owner.key]
        for address in lease.addresses:
            self._home.pop(address).give_back(int(address), at_s)

    def _replay_hold(self, record: Hold) -> None:
        at_s = record.lease.created_at_s
        before = self._leases.get(record.lease.owner.key)
        if before is not None:
            self._give_back(before, at_s)
        pages = [self._page(ip_network(slot.block), slot.pool) for slot in record.slots]
        for slot, page in zip(record.slots, pages, strict=True):
            holder = page.holders.get(int(slot.address))
            if holder is not None:
                self._give_back(self._leases[holder], at_s)
        self._hold(record.lease, pages)

    def _replay_free(self, record: Free | Rest) -> None:
        if isinstance(record, Free) and (record.container_id, record.ifname) in self._leases:
            self._give_back(self._leases[(record.container_id, record.ifname)], record.at_s)
        for slot in record.slots if isinstance(record, Free) else (record.slot,):
            page = self._page(ip_network(slot.block), slot.pool)
            if int(slot.address) not in page.holders:
                page.give_back(int(slot.address), record.at_s)

    def _page(self, network: Network, pool: str) -> Page:
        """The page of `network`; a new one takes over what overlapping pages know of its addresses."""
        page = self._pages.get(network)
        if page is not None:
            return page
        page = Page(network, pool)
        for other in [other for other in self._pages.values() if other.network.overlaps(network)]:
            for address in page.adopt(other):
                self._home[page.address(address)] = page
        self._pages[network] = page
        return page

    def _settle(self, granted: Sequence[Page], now: float) -> None:
        others = [page for page in self._pages.values() if not page.granted and self._in_use(page, now)]
        self._pages = {page.network: page for page in (*granted, *others)}
        for page in self._pages.values():
            pool = self._pools.get(page.pool)
            page.reserve(_spans(pool.reserved if pool else (), page.network.version))
        names = {page.pool for page in others} | set(self._pools)
        self._demand = {name: demand for name, demand in self._demand.items() if name in names}
        self._families = obligatory(
            Source(pool, tuple(page for page in granted if page.pool == pool.name))
            for pool in self._pools.values()
        )

    def _demand_of(self, pool: str) -> Demand:
        return self._demand.setdefault(pool, Demand())

    def _cooldown_s(self, page: Page) -> float:
        pool = self._pools.get(page.pool)
        return COOLDOWN_UNKNOWN_S if pool is None else float(pool.cooldown_seconds)

    def _in_use(self, page: Page, now: float) -> bool:
        return page.in_use(now, self._cooldown_s(page))

    def _held_block(self, page: Page, now: float) -> HeldBlock:
        cooldown_s = self._cooldown_s(page)
        used, cooling = len(page.holders), page.cooling(now, cooldown_s)
        drained = page.state == "Draining" and not used and not cooling
        state: HeldState = "Drained" if drained else page.state
        free = page.free(now, cooldown_s)
        return HeldBlock(page.cidr, page.pool, state, used=used, cooling=cooling, free=free)

    def _pool_usage(self, name: str, now: float) -> PoolUsage:
        blocks = [self._held_block(page, now) for page in self._pages.values() if page.pool == name]
        return PoolUsage(
            used=sum(block.used for block in blocks),
            free=sum(block.free for block in blocks),
            cooling=sum(block.cooling for block in blocks),
            wanted=self._demand_of(name).wanted(now) if name in self._pools else 0,
        )


def _pod(owner: Owner) -> str:
    """Who asks, over several tries: a kubelet's next try has a new container id."""
    return f"{owner.namespace}/{owner.pod_name}" if owner.pod_name else owner.container_id


def _spans(reserved: Iterable[str], version: int) -> tuple[Span, ...]:
    networks = [ip_network(text) for text in reserved]
    same = [network for network in networks if network.version == version]
    return tuple((int(network.network_address), int(network.broadcast_address)) for network in same)
