"""Targets: what they want, what they change, and what lies outside their fence."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network

import pytest

from fairlead_agent.locks import KeyedLocks
from fairlead_agent.ports import PortError, messages
from fairlead_agent.ports.kernel import KernelRoute, Neighbour
from fairlead_agent.ports.netlink import DEAD_GROUP
from fairlead_agent.targets.leased import LeaseGuard
from fairlead_agent.targets.links import Links
from fairlead_agent.targets.neighbours import Neighbours
from fairlead_agent.targets.routes import ANNOUNCE_TABLE, BLOCK_METRIC, Routes
from fairlead_agent.targets.sysctls import Sysctls
from fairlead_core.api import HeldBlock
from fairlead_core.lease import Lease, Owner
from tests.fakes.ipam import owner, pool, spec
from tests.fakes.kernel import FakeKernel, link

SPEC = spec(("10.0.0.0/26", "four"), ("fd00::/122", "six"), pools=[pool("four"), pool("six", "IPv6")])
ALIAS = "fairlead:shop/web-0 c1"
LEASE = Lease(
    owner("c1"),
    (ip_address("10.0.0.1"), ip_address("fd00::1")),
    "fl1",
    "f2:00:00:00:00:01",
    "f6:00:00:00:00:02",
    0.0,
)


@dataclass
class FakeLeases:
    """Leases as NodeIPAM shows them; `ended` have gone by the time the guard looks again."""

    held: list[Lease] = field(default_factory=lambda: [LEASE])
    ended: bool = False
    held_by_block: tuple[HeldBlock, ...] = ()

    def leases(self) -> tuple[Lease, ...]:
        return tuple(self.held)

    def lease(self, container_id: str, ifname: str) -> Lease | None:
        found = [lease for lease in self.held if lease.owner.key == (container_id, ifname)]
        return found[0] if found and not self.ended else None

    def held_blocks(self) -> tuple[HeldBlock, ...]:
        return self.held_by_block

    def sweep(self, is_live: Callable[[Owner], bool], grace_s: float) -> tuple[Lease, ...]:
        gone = tuple(lease for lease in self.held if not is_live(lease.owner))
        self.held = [lease for lease in self.held if lease not in gone]
        return gone


def route(network: str, table: int = 254, ifindex: int = 0, metric: int = 0) -> KernelRoute:
    """A route of protocol 76 as the kernel shows it."""
    return KernelRoute(ip_network(network), table, ifindex, metric, messages.PROTOCOL, None)


BLOCKS = [
    route(cidr, table, 0, BLOCK_METRIC)
    for cidr in ("10.0.0.0/26", "fd00::/122")
    for table in (254, ANNOUNCE_TABLE)
]
PODS = [route("10.0.0.1/32", 254, 7), route("fd00::1/128", 254, 7, 1024)]


def kernel(*routes: KernelRoute) -> FakeKernel:
    """A node with the lease's link as number 7, and these routes."""
    return FakeKernel(node_links={"fl1": link("fl1", 7, alias=ALIAS)}, node_routes=list(routes))


def guard(leases: FakeLeases | None = None) -> LeaseGuard:
    return LeaseGuard(leases or FakeLeases(), KeyedLocks())


def test_a_node_that_has_everything_is_left_alone() -> None:
    port = kernel(*BLOCKS, *PODS)

    Routes(port, guard()).realise(SPEC)

    assert port.asked == []


def test_an_empty_node_gets_blackholes_announcements_and_pod_routes() -> None:
    port = kernel()

    Routes(port, guard()).realise(SPEC)

    assert sorted(port.asked) == sorted(
        [
            "route 10.0.0.0/26 blackhole table 254 metric 100000 put",
            "route 10.0.0.0/26 blackhole table 200 metric 100000 put",
            "route fd00::/122 blackhole table 254 metric 100000 put",
            "route fd00::/122 blackhole table 200 metric 100000 put",
            "route 10.0.0.1/32 out of link #7 table 254 metric 0 put",
            "route fd00::1/128 out of link #7 table 254 metric 1024 put",
        ]
    )


def test_a_route_of_ours_that_nobody_wants_is_dropped_from_any_table() -> None:
    port = kernel(*BLOCKS, *PODS, route("10.9.0.0/26", 17), route("10.0.0.9/32", 254, 9))

    Routes(port, guard()).realise(SPEC)

    assert [what.split()[1] for what in port.asked] == ["10.9.0.0/26", "10.0.0.9/32"]
    assert all(what.endswith("delete") for what in port.asked)


def test_a_drained_block_is_neither_announced_nor_a_blackhole() -> None:
    port = kernel(*BLOCKS, *PODS)
    held = (HeldBlock("10.0.0.0/26", "four", "Draining"), HeldBlock("fd00::/122", "six", "Drained"))

    Routes(port, guard(FakeLeases(held_by_block=held))).realise(SPEC)

    assert sorted(port.asked) == [
        "route fd00::/122 blackhole table 200 metric 100000 delete",
        "route fd00::/122 blackhole table 254 metric 100000 delete",
    ]


def test_a_lease_that_ends_during_the_pass_gets_no_route() -> None:
    port = kernel(*BLOCKS)

    Routes(port, guard(FakeLeases(ended=True))).realise(SPEC)

    assert port.asked == []


def test_no_route_is_wanted_through_a_link_that_is_down_or_dead() -> None:
    for broken in (link("fl1", 7, alias=ALIAS, up=False), link("fl1", 7, alias=ALIAS, group=DEAD_GROUP)):
        port = FakeKernel(node_links={"fl1": broken}, node_routes=list(BLOCKS))

        Routes(port, guard()).realise(SPEC)

        assert port.asked == []


def test_every_failed_route_is_named_and_the_others_are_tried() -> None:
    port = kernel()
    port.fails["change"] = "no buffer space"

    with pytest.raises(PortError, match=r"no buffer space"):
        Routes(port, guard()).realise(SPEC)

    assert len(port.asked) == 7 - 1


def test_missing_and_wrong_neighbours_are_put_foreign_ones_stay() -> None:
    port = kernel()
    port.node_neighbours = [
        Neighbour(ip_address("10.0.0.1"), 7, "02:00:00:00:00:99"),
        Neighbour(ip_address("10.0.0.2"), 7, "02:00:00:00:00:98"),
        Neighbour(ip_address("192.168.0.1"), 2, "02:00:00:00:00:97"),
    ]

    Neighbours(port, guard()).realise(SPEC)

    assert port.asked == [
        "neighbour 10.0.0.2 on link #7 delete",
        "neighbour 10.0.0.1 f6:00:00:00:00:02 on link #7 put",
        "neighbour fd00::1 f6:00:00:00:00:02 on link #7 put",
    ]


def test_a_link_that_was_set_down_is_taken_up() -> None:
    port = FakeKernel(node_links={"fl1": link("fl1", 7, alias=ALIAS, up=False)})

    Links(port, FakeLeases(), grace_s=60).realise(SPEC)

    assert port.asked == ["link fl1 mark and up"]


def test_dead_links_are_deleted_only_when_they_are_still_there_in_the_next_look() -> None:
    port = kernel()
    port.node_links["fl2"] = link("fl2", 8, alias=ALIAS, up=False, group=DEAD_GROUP)
    target = Links(port, FakeLeases(), grace_s=60)

    target.realise(SPEC)
    assert port.buried == 0

    target.realise(SPEC)
    assert port.buried == 1


def test_a_link_without_a_lease_has_a_grace() -> None:
    port = FakeKernel(node_links={"fl9": link("fl9", 9, alias=ALIAS)})

    patient, quick = Links(port, FakeLeases([]), grace_s=60), Links(port, FakeLeases([]), grace_s=-1)

    patient.realise(SPEC)
    patient.realise(SPEC)
    assert port.node_links["fl9"].up
    quick.realise(SPEC)
    assert not port.node_links["fl9"].up


@pytest.mark.parametrize(("name", "alias"), [("fl9", ""), ("flannel.1", "overlay"), ("eth0", ALIAS)])
def test_links_that_only_look_like_ours_are_never_touched(name: str, alias: str) -> None:
    port = FakeKernel(node_links={name: link(name, 9, alias=alias)})

    Links(port, FakeLeases([]), grace_s=-1).realise(SPEC)

    assert port.node_links[name].up


def test_a_lease_whose_link_is_gone_is_swept_and_told() -> None:
    leases, told = FakeLeases(), list[Lease]()

    Links(FakeKernel(), leases, 60, told.append).realise(SPEC)

    assert told == [LEASE]


def test_at_the_start_a_lease_without_a_link_goes_at_once_and_one_with_a_link_stays() -> None:
    rebooted, restarted = FakeLeases(), FakeLeases()

    Links(FakeKernel(), rebooted, 60).sweep_at_start()
    Links(kernel(), restarted, 60).sweep_at_start()

    assert rebooted.held == []
    assert restarted.held == [LEASE]


def test_a_kernel_that_does_not_answer_sweeps_nothing() -> None:
    leases = FakeLeases()

    with pytest.raises(PortError):
        Links(FakeKernel(fails={"links": "netlink receive: timed out"}), leases, 60).realise(SPEC)

    assert leases.held == [LEASE]


@dataclass
class FakeSettings:
    """Sysctls in memory."""

    values: dict[str, str]

    def get(self, parts: tuple[str, ...]) -> str:
        return self.values.get("/".join(parts), "0")

    def put(self, parts: tuple[str, ...], value: str) -> None:
        self.values["/".join(parts)] = value


def test_forwarding_is_switched_on_without_losing_the_router_that_advertises() -> None:
    port = FakeSettings({"net/ipv6/conf/eth0/accept_ra": "1"})

    Sysctls(port, FakeKernel(node_links={"eth0": link("eth0", 2)})).realise(SPEC)

    assert port.values == {
        "net/ipv6/conf/eth0/accept_ra": "2",
        "net/ipv4/ip_forward": "1",
        "net/ipv6/conf/all/forwarding": "1",
    }


def test_an_uplink_without_advertisements_stays_without() -> None:
    port = FakeSettings({"net/ipv6/conf/eth0/accept_ra": "0"})

    Sysctls(port, FakeKernel(node_links={"eth0": link("eth0", 2)})).realise(SPEC)

    assert port.values["net/ipv6/conf/eth0/accept_ra"] == "0"
