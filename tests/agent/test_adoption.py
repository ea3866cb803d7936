"""Running pods outlive the loss of the journal."""

from __future__ import annotations

from ipaddress import ip_network
from pathlib import Path

from fairlead_agent.adoption import adopt_survivors
from fairlead_agent.ipam import NodeIPAM, open_ipam
from fairlead_agent.ports.kernel import KernelRoute
from fairlead_agent.ports.netlink import DEAD_GROUP
from fairlead_agent.wiring import wiring
from fairlead_core.cni import AttachmentKey, veth_names
from fairlead_core.lease import Lease, Owner
from tests.fakes.ipam import addresses, owner, pool, spec
from tests.fakes.kernel import FakeKernel, link

SPEC = spec(("10.0.0.0/26", "blue"), ("fd00::/122", "red"), pools=[pool("blue"), pool("red", "IPv6")])


def node(path: Path) -> NodeIPAM:
    ipam = open_ipam(path, "node7")
    ipam.reconfigure(SPEC)
    return ipam


def attach(ipam: NodeIPAM, kernel: FakeKernel, who: Owner) -> Lease:
    names = veth_names(AttachmentKey(*who.key))
    lease = ipam.take(who, names.host_ifname, names.host_mac, names.pod_mac)
    assert isinstance(lease, Lease)
    made = kernel.wire(wiring(lease, 1500), len(kernel.pods) + 10)
    for address in lease.addresses:
        kernel.node_routes.append(KernelRoute(ip_network(address), 254, made.index, 0, 76, None))
    return lease


def test_pods_whose_journal_is_lost_keep_their_addresses_and_nobody_else_gets_them(tmp_path: Path) -> None:
    kernel, before = FakeKernel(), node(tmp_path / "j")
    kept = [
        attach(before, kernel, owner("a")),
        attach(before, kernel, Owner("", "", "", "tool", "eth7")),
        attach(before, kernel, Owner("", "", "", "box", "eth0", "podman")),
        attach(before, kernel, Owner("n" * 63, "p" * 253, "", "c" * 64, "net1")),
    ]

    after = node(tmp_path / "empty")
    adopted, refused = adopt_survivors(kernel, after)

    assert refused == []
    assert {(one.owner.key, one.owner.network, one.addresses, one.pod_mac) for one in adopted} == {
        (one.owner.key, one.owner.network, one.addresses, one.pod_mac) for one in kept
    }
    fresh = after.take(owner("b"), "fl0", "", "")
    assert addresses(fresh) == ["10.0.0.4", "fd00::5"]
    assert len(node(tmp_path / "empty").leases()) == 5


def test_with_a_whole_journal_nothing_is_adopted(tmp_path: Path) -> None:
    kernel, ipam = FakeKernel(), node(tmp_path / "j")
    attach(ipam, kernel, owner("a"))

    assert adopt_survivors(kernel, ipam) == ([], [])


def test_dead_links_foreign_links_and_links_without_addresses_are_nobodys(tmp_path: Path) -> None:
    kernel, ipam = FakeKernel(), node(tmp_path / "j")
    name = veth_names(AttachmentKey("a", "eth0")).host_ifname
    alias = "fairlead:a eth0 default/web-0"
    host = KernelRoute(ip_network("10.0.0.5"), 254, 1, 0, 76, None)

    for links, routes in (
        ([link(name, alias=alias, group=DEAD_GROUP)], [host]),
        ([link(name, alias="of somebody else")], [host]),
        ([link("fl00000000000", alias=alias)], [host]),
        ([link(name, alias=alias)], []),
    ):
        kernel.node_links = {one.name: one for one in links}
        kernel.node_routes = routes
        assert adopt_survivors(kernel, ipam) == ([], [])


def test_an_address_outside_the_nodes_blocks_or_of_another_pod_is_refused_with_the_reason(
    tmp_path: Path,
) -> None:
    kernel, ipam = FakeKernel(), node(tmp_path / "j")
    held = ipam.take(owner("x"), "fl0", "", "")
    name = veth_names(AttachmentKey("a", "eth0")).host_ifname
    kernel.node_links = {name: link(name, alias="fairlead:a eth0 default/web-0")}

    for address, reason in (
        ("10.9.9.9", "lies in no block of node7"),
        (addresses(held)[0], "is held by container x eth0"),
    ):
        kernel.node_routes = [KernelRoute(ip_network(address), 254, 1, 0, 76, None)]
        assert adopt_survivors(kernel, ipam) == ([], [f"{name}: address {address} {reason}"])
