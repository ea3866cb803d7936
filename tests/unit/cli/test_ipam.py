"""Who holds an address, and why a node has none."""

from ipaddress import ip_address

from fairlead_cli.ipam_view import address_view, ipam_view, shortage_view
from fairlead_cli.pod_view import pod_view
from tests.unit.cli.clusters import OBJECTS, cluster, network, pod, pods, pool, ready


def told(address: str, *holders: dict[str, object], **changed: list[dict[str, object]]) -> str:
    return address_view(cluster(**changed), ip_address(address), pods(*holders)).told


def test_the_holder_of_an_address_is_named_with_block_pool_and_node() -> None:
    assert told("10.244.0.5", pod("web", "node1", "10.244.0.5", "fd00:244::5")) == (
        "10.244.0.5 is held by pod default/web on node1; "
        "block 10.244.0.0/26 of pool pods-v4 is node1's (Active)"
    )


def test_an_ipv6_address_is_found_in_any_notation() -> None:
    assert "is held by pod default/web" in told(
        "fd00:244:0::5", pod("web", "node1", "10.244.0.5", "fd00:244::5")
    )


def test_an_address_that_two_pods_report_names_both() -> None:
    both = told("10.244.0.5", pod("web", "node1", "10.244.0.5"), pod("job", "node2", "10.244.0.5"))

    assert both.startswith("10.244.0.5 is held by 2 pods: default/web on node1, default/job on node2")


def test_a_pod_on_another_node_than_its_block_is_told() -> None:
    assert told("10.244.0.5", pod("web", "node2", "10.244.0.5")).endswith("but the pod runs on node2")


def test_pods_that_ended_or_use_the_nodes_network_hold_nothing() -> None:
    ended = pod("job", "node1", "10.244.0.5", status={"phase": "Succeeded", "podIPs": [{"ip": "10.244.0.5"}]})
    host = pod("agent", "node1", "10.244.0.5", spec={"nodeName": "node1", "hostNetwork": True})

    assert told("10.244.0.5", ended, host).startswith("10.244.0.5 is held by no pod; block 10.244.0.0/26")


def test_addresses_outside_blocks_and_pools_are_told_apart() -> None:
    assert told("10.244.9.1").endswith("it lies in pool pods-v4, in a block that no node holds")
    assert told("192.0.2.1").endswith("it lies in no pool")


def test_a_reserved_address_is_told_to_be_nobodys() -> None:
    reserved = pool("pods-v4", "10.244.0.0/16", reserved=["10.244.0.0/30"])

    assert told("10.244.0.1", pools=[reserved]).endswith("pool pods-v4 reserves it, so nobody gets it")


def test_a_pod_without_address_says_why() -> None:
    host = pods(pod("agent", "node1", spec={"nodeName": "node1", "hostNetwork": True}))[0]
    pending = pods(pod("web", "node1", status={"phase": "Pending"}))[0]

    assert pod_view(cluster(), host).told == (
        "pod default/agent uses the network of node1 and holds no address",
    )
    assert pod_view(cluster(), pending).told == ("pod default/web holds no address; its phase is Pending",)


def test_a_node_with_free_addresses_gets_its_numbers() -> None:
    view = shortage_view(cluster(), "node1")

    assert view is not None
    assert not view.short
    assert view.reasons == (
        "pool pods-v4: 56 of 64 free, 2 cooling; node1 has enough",
        "pool pods-v6: 55 of 64 free, 2 cooling; node1 has enough",
    )


def test_a_shortage_is_told_in_the_words_of_node_and_pool() -> None:
    none_left = "pool pods-v4: 0 of 1024 blocks free, 65536 of 65536 addresses used; no block left for node1"
    empty = {"used": 60, "cooling": 4, "free": 0, "wanted": 16}
    full = network("node1", 0, ipam={"pods-v4": empty})
    exhausted = pool("pods-v4", "10.244.0.0/16", ready(none_left, type_="Exhausted"))

    view = shortage_view(cluster(networks=[full], pools=[exhausted, OBJECTS["pools"][1]]), "node1")

    assert view is not None
    assert view.short
    assert view.reasons[:2] == (
        "pool pods-v4: 0 of 64 free, 4 cooling; node1 waits for another block",
        none_left,
    )


def test_a_node_that_no_pool_selects_is_told_so() -> None:
    bare = network("node1", 0, ipam={}, blocks=[])
    bare["spec"] = {"revision": 1}

    view = shortage_view(cluster(networks=[bare]), "node1")

    assert view is not None
    assert view.short
    assert view.reasons == ("no address pool selects node node1",)


def test_a_node_that_nobody_knows_has_no_answer() -> None:
    assert shortage_view(cluster(), "node9") is None


def test_a_block_that_the_node_has_not_taken_yet_is_granted() -> None:
    fresh = network("node1", 0, blocks=[])

    rows = ipam_view(cluster(networks=[fresh])).blocks

    assert [(row.cidr, row.state, row.total) for row in rows] == [
        ("10.244.0.0/26", "Granted", 64),
        ("fd00:244::/122", "Granted", 64),
    ]
