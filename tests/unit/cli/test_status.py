"""What `fairlead status` calls healthy, and what it says otherwise."""

from fairlead_cli.status_view import status_view
from tests.unit.cli.clusters import OBJECTS, cluster, network, node, own_pod, peer, pool, ready


def test_a_cluster_without_complaints_is_healthy() -> None:
    view = status_view(cluster())

    assert view.healthy
    assert view.problems == ()
    assert view.summary == "2 of 2 nodes ready, 2 of 2 pools ready, 4 of 4 BGP sessions established"


def test_a_node_that_has_no_object_yet_is_a_problem() -> None:
    view = status_view(cluster(nodes=[node("node1"), node("node2"), node("node3")]))

    assert not view.healthy
    assert view.problems == ("node node3: its agent is Missing",)


def test_a_node_without_object_is_named_when_its_agent_runs() -> None:
    agents = [*OBJECTS["pods"], own_pod("agent", "node3")]

    view = status_view(cluster(nodes=[*OBJECTS["nodes"], node("node3")], pods=agents))

    assert view.problems == ("node node3: has no NodeNetwork yet: does the operator run?",)


def test_an_agent_that_is_not_ready_is_a_problem_whatever_its_last_report_says() -> None:
    agents = [own_pod("agent", "node1"), own_pod("agent", "node2", "False"), own_pod("operator", "node1")]

    view = status_view(cluster(pods=agents))

    assert view.problems == ("node node2: its agent is NotReady",)


def test_a_refused_spec_speaks_in_the_agents_words() -> None:
    told = "spec revision 4 takes away 1 of 2 blocks before they are drained: 10.244.0.0/26"
    stalled = network("node1", 0, conditions=[ready("fine"), ready(told, type_="Stalled")])

    view = status_view(cluster(networks=[stalled, network("node2", 64)]))

    assert view.problems == (f"node node1: {told}",)


def test_pools_and_peers_speak_in_the_words_of_their_conditions() -> None:
    exhausted = pool("pods-v4", "10.244.0.0/16", ready("pool pods-v4: no block left for node2", "False"))
    down = peer("tor-v4", "10.250.0.1", ready("peer tor-v4: 1 of 2 sessions established", "False"))

    view = status_view(cluster(pools=[exhausted], peers=[down]))

    assert view.problems == (
        "pool pods-v4: no block left for node2",
        "peer tor-v4: 1 of 2 sessions established",
    )


def test_a_status_of_an_older_generation_is_not_believed() -> None:
    changed = pool("pods-v4", "10.244.0.0/16")
    changed["metadata"]["generation"] = 2

    view = status_view(cluster(pools=[changed]))

    assert view.problems == ("pool pods-v4: the operator has not looked at it yet",)


def test_a_cluster_whose_operator_is_gone_is_degraded() -> None:
    view = status_view(cluster(pods=[own_pod("agent", "node1"), own_pod("agent", "node2")]))

    assert view.problems == ("operator: none of 0 pods is ready, so nothing changes until one is",)


def test_who_may_not_read_pods_still_gets_an_answer() -> None:
    view = status_view(cluster(pods=None))

    assert view.healthy
    assert {row.agent for row in view.nodes} == {"Unknown"}


def test_who_may_not_list_nodes_sees_those_that_have_an_object() -> None:
    view = status_view(cluster(nodes=None))

    assert view.healthy
    assert [row.name for row in view.nodes] == ["node1", "node2"]


def test_the_object_of_a_node_that_is_gone_is_shown_as_such() -> None:
    view = status_view(cluster(nodes=[node("node1")]))

    assert view.nodes[1].reason == "the node is gone"
