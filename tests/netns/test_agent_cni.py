"""CNI calls to a real agent with real namespaces."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.netns.node import Node, interfaces, ping, run, until

pytestmark = pytest.mark.root


def test_two_pods_of_one_node_reach_each_other_in_both_families(node: Node) -> None:
    one, two = node.add_pod(), node.add_pod()

    node.cni("ADD", one)
    second = node.cni("ADD", two)

    assert len(second.addresses) == 2
    assert all(ping(one, address) for address in second.addresses)


def test_the_node_reaches_its_pod_and_the_pod_its_node(node: Node) -> None:
    pod = node.add_pod()

    addresses = node.cni("ADD", pod).addresses

    assert all(ping(node.name, address) for address in addresses)
    assert ping(pod, "10.98.0.1")
    assert ping(pod, "fd98::1")


def test_the_result_describes_what_is_in_the_namespace(node: Node) -> None:
    pod = node.add_pod()

    document = node.cni("ADD", pod).document

    host, inside = document["interfaces"]
    link = json.loads(run("ip", "-n", pod, "-j", "link", "show", "eth0"))[0]
    assert (link["address"], link["mtu"]) == (inside["mac"], inside["mtu"]) == (inside["mac"], 1450)
    assert inside["sandbox"] == f"/run/netns/{pod}"
    assert host["name"] in node.pod_links()
    assert {route["dst"] for route in document["routes"]} == {"0.0.0.0/0", "::/0"}


def test_after_del_the_interface_is_gone_at_once_and_the_next_add_works(node: Node) -> None:
    pod, other = node.add_pod(), node.add_pod()
    node.cni("ADD", other)

    for _ in range(5):
        added = node.cni("ADD", pod)
        assert all(ping(other, address) for address in added.addresses)
        assert node.cni("DEL", pod).exit_code == 0
        assert "eth0" not in interfaces(pod)
        assert not any(ping(other, address) for address in added.addresses[:1])


def test_a_deleted_link_disappears_from_node_and_pod(node: Node) -> None:
    pod = node.add_pod()
    node.cni("ADD", pod)

    node.cni("DEL", pod)

    until("the dead link is deleted", lambda: node.pod_links() == [])
    assert interfaces(pod) == ["lo"]


def test_del_succeeds_twice_without_namespace_and_for_a_stranger(node: Node) -> None:
    pod = node.add_pod()
    node.cni("ADD", pod)

    codes = [
        node.cni("DEL", container=pod).exit_code,
        node.cni("DEL", pod).exit_code,
        node.cni("DEL", container="never-seen").exit_code,
    ]

    assert codes == [0, 0, 0]
    until("the address is back", lambda: node.leases() == 0)


def test_an_add_works_right_after_a_del_without_the_namespace(node: Node) -> None:
    pod = node.add_pod()
    node.cni("ADD", pod)

    node.cni("DEL", container=pod)
    added = node.cni("ADD", pod)

    assert all(ping(node.name, address) for address in added.addresses)


def test_an_add_for_an_attached_pod_fails_and_leaves_it_working(node: Node) -> None:
    pod = node.add_pod()
    first = node.cni("ADD", pod)

    second = node.cni("ADD", pod)

    assert second.exit_code == 1
    assert "already attached" in second.document["msg"]
    assert all(ping(node.name, address) for address in first.addresses)


def test_an_add_that_fails_leaves_nothing(node: Node) -> None:
    pod = node.add_pod()
    run("ip", "-n", pod, "link", "add", "eth0", "type", "veth", "peer", "name", "other")

    answer = node.cni("ADD", pod)

    assert answer.exit_code == 1
    assert "already has one" in answer.document["msg"]
    assert node.pod_links() == []
    assert sorted(interfaces(pod)) == ["eth0", "lo", "other"]
    until("no address is held", lambda: node.leases() == 0)


def test_del_leaves_a_foreign_interface_of_that_name_alone(node: Node) -> None:
    pod = node.add_pod()
    run("ip", "-n", pod, "link", "add", "eth0", "type", "veth", "peer", "name", "other")

    assert node.cni("DEL", pod).exit_code == 0

    assert "eth0" in interfaces(pod)


def test_the_nodes_own_namespace_is_no_pod(node: Node) -> None:
    answer = node.cni("ADD", node.name)

    assert answer.exit_code == 1
    assert answer.document["code"] == 8


@pytest.mark.parametrize(
    ("what", "breakage"),
    [
        ("interface", lambda node, pod, _: run("ip", "-n", pod, "link", "set", "eth0", "name", "eth9")),
        ("address", lambda node, pod, ip: run("ip", "-n", pod, "addr", "del", f"{ip}/32", "dev", "eth0")),
        ("default route", lambda node, pod, _: run("ip", "-n", pod, "route", "del", "default")),
        ("route", lambda node, pod, ip: node.ip("route", "del", ip)),
    ],
)
def test_check_notices(bare_node: Node, what: str, breakage: object) -> None:
    bare_node.env["FAIRLEAD_PASS_SECONDS"] = "60"  # or the agent would repair it first
    bare_node.start_agent()
    pod = bare_node.add_pod()
    added = bare_node.cni("ADD", pod)
    conf = {"prevResult": added.document}
    assert bare_node.cni("CHECK", pod, conf=conf).exit_code == 0

    breakage(bare_node, pod, added.addresses[0])  # type: ignore[operator]
    checked = bare_node.cni("CHECK", pod, conf=conf)

    assert checked.exit_code == 1
    assert what in checked.document["msg"]


def test_check_compares_with_the_result_that_the_runtime_kept(node: Node) -> None:
    pod = node.add_pod()
    result = node.cni("ADD", pod).document
    result["ips"][0]["address"] = "10.99.0.63/32"

    checked = node.cni("CHECK", pod, conf={"prevResult": result})

    assert "prevResult lacks address" in checked.document["msg"]


def test_gc_ends_what_the_runtime_does_not_list(node: Node) -> None:
    kept, lost = node.add_pod(), node.add_pod()
    addresses = node.cni("ADD", kept).addresses
    node.cni("ADD", lost)

    valid = {"cni.dev/valid-attachments": [{"containerID": kept, "ifname": "eth0"}]}
    answer = node.cni("GC", conf=valid)

    assert answer.exit_code == 0
    assert all(ping(node.name, address) for address in addresses)
    until("only the listed pod holds addresses", lambda: node.leases() == 2)


def test_status_tells_a_node_without_blocks_from_one_that_serves(bare_node: Node) -> None:
    bare_node.start_agent()

    assert bare_node.cni("STATUS").exit_code == 0


def test_fifty_pods_at_once_come_and_go_without_a_leak(node: Node) -> None:
    pods = [node.add_pod() for _ in range(50)]

    with ThreadPoolExecutor(16) as callers:
        for _ in range(2):
            added = list(callers.map(lambda pod: node.cni("ADD", pod), pods))
            addresses = [address for answer in added for address in answer.addresses]
            assert len(set(addresses)) == 100
            assert all(
                answer.exit_code == 0 for answer in callers.map(lambda pod: node.cni("DEL", pod), pods)
            )

    until("no link is left", lambda: node.pod_links() == [])
    assert node.leases() == 0
    left = [
        r
        for r in json.loads(node.ip("-j", "route", "show", "table", "all", "proto", "76"))
        if r.get("dev", "lo") != "lo"
    ]
    assert left == []
