"""What is announced, against what should be."""

from fairlead_cli.bgp_view import bgp_view
from tests.unit.cli.clusters import Object, cluster, network

V4, V6 = "10.244.0.0/26", "fd00:244::/122"


def with_sent(*prefixes: str, **session: str) -> Object:
    """node1 whose session to tor-v4 has sent `prefixes`."""
    other = {"name": "tor-v6", "session": "Established", "prefixesSent": [V6]}
    mine = {"name": "tor-v4", "session": "Established", "prefixesSent": list(prefixes), **session}
    return network("node1", 0, bgp={"peers": [mine, other]})


def test_a_node_that_announces_its_blocks_has_no_difference() -> None:
    view = bgp_view(cluster())

    assert view.differences == ()
    assert [row.announced for row in view.sessions if row.node == "node1"] == [(V4,), (V6,)]


def test_a_block_that_is_not_announced_is_named() -> None:
    view = bgp_view(cluster(networks=[with_sent()]))

    assert view.differences == (f"node1 to tor-v4: does not announce {V4}",)


def test_a_prefix_that_is_no_block_of_the_node_is_named() -> None:
    view = bgp_view(cluster(networks=[with_sent(V4, "0.0.0.0/0")]))

    assert view.differences == ("node1 to tor-v4: announces 0.0.0.0/0, which is none of its blocks",)


def test_a_session_that_is_down_says_why_and_not_what_it_misses() -> None:
    view = bgp_view(cluster(networks=[with_sent(session="Active", lastError="Connection refused")]))

    assert view.differences == ("node1 to tor-v4: session is Active: Connection refused",)


def test_blocks_that_the_fabric_does_not_accept_are_not_missed() -> None:
    strict = with_sent()
    strict["spec"]["bgp"]["peers"][0]["acceptedPrefixLengths"] = {"min": 24, "max": 24}

    assert bgp_view(cluster(networks=[strict])).differences == ()


def test_a_session_that_no_agent_has_reported_is_unknown() -> None:
    silent = network("node1", 0, bgp={"peers": []})

    view = bgp_view(cluster(networks=[silent]))

    assert [row.session for row in view.sessions] == ["Unknown", "Unknown"]
    assert len(view.differences) == 2


def test_one_node_can_be_asked_alone() -> None:
    assert {row.node for row in bgp_view(cluster(), "node2").sessions} == {"node2"}
