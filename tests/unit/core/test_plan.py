"""What a plan does with blocks, over a cluster of values whose agents follow the rules."""

from __future__ import annotations

from datetime import timedelta

import msgspec.structs
import pytest

from fairlead_core.api import Block, HeldBlock, NodeNetworkSpec, NodeNetworkStatus
from fairlead_core.conditions import timestamp
from fairlead_core.snapshot import GONE_SINCE
from tests.fakes.cluster import NOW, Agent, Cluster, node, pool

replace = msgspec.structs.replace


def blocks(cluster: Cluster, name: str) -> dict[str, str]:
    """CIDR to state in the node's spec."""
    return {block.cidr: block.state for block in cluster.node_networks[name].spec.blocks}


def conditions(cluster: Cluster, name: str) -> dict[str, tuple[str, str]]:
    return {one.type: (one.status, one.reason) for one in cluster.pools[name].status.conditions}


def ready_message(cluster: Cluster, name: str) -> str:
    return next(one.message for one in cluster.pools[name].status.conditions if one.type == "Ready")


@pytest.fixture
def cluster() -> Cluster:
    return Cluster().add(node("n1", "10.1.0.1"), node("n2", "10.1.0.2"), pool("blue", ["10.0.0.0/24"]))


@pytest.fixture
def agents(cluster: Cluster) -> list[Agent]:
    found = [Agent("n1"), Agent("n2")]
    cluster.settle(found)
    return found


def test_each_node_gets_one_block_per_family(cluster: Cluster) -> None:
    cluster.add(pool("six", ["fd00::/104"]))

    cluster.settle()

    assert blocks(cluster, "n1") == {"10.0.0.0/26": "Active", "fd00::/122": "Active"}
    assert blocks(cluster, "n2") == {"10.0.0.64/26": "Active", "fd00::40/122": "Active"}


def test_a_plan_that_was_carried_out_is_followed_by_an_empty_one(
    cluster: Cluster, agents: list[Agent]
) -> None:
    plan = cluster.plan()

    assert plan.writes == 0
    assert cluster.plan(NOW + timedelta(hours=1)).writes == 0


def test_a_pool_grants_only_once_its_finalizer_is_there(cluster: Cluster) -> None:
    cluster.add(pool("blue", ["10.0.0.0/24"], finalizer=False))

    plan = cluster.plan()

    assert [(one.pool, one.present) for one in plan.finalizers] == [("blue", True)]
    assert [write.spec.blocks for write in plan.node_writes] == [(), ()]


def test_a_node_below_its_watermark_gets_one_more_block_and_only_its_object_is_written(
    cluster: Cluster, agents: list[Agent]
) -> None:
    agents[0].used = {"10.0.0.0/26": 50}
    cluster.report(agents[0])

    plan = cluster.plan()

    assert [write.name for write in plan.node_writes] == ["n1"]
    assert [block.cidr for block in plan.node_writes[0].spec.blocks] == ["10.0.0.0/26", "10.0.0.128/26"]


def test_a_grant_that_the_agent_has_not_seen_yet_is_not_repeated(
    cluster: Cluster, agents: list[Agent]
) -> None:
    agents[0].used = {"10.0.0.0/26": 50}
    cluster.report(agents[0])
    cluster.carry_out(cluster.plan())

    assert not cluster.plan().node_writes


def test_an_empty_block_returns_in_two_steps(cluster: Cluster, agents: list[Agent]) -> None:
    agents[0].used = {"10.0.0.0/26": 50}
    cluster.settle(agents)
    agents[0].used = {}
    cluster.report(agents[0])

    cluster.carry_out(cluster.plan())
    assert blocks(cluster, "n1") == {"10.0.0.0/26": "Active", "10.0.0.128/26": "Draining"}
    cluster.carry_out(cluster.plan())
    assert "10.0.0.128/26" in blocks(cluster, "n1"), "the agent has not confirmed yet"
    cluster.report(agents[0])
    cluster.carry_out(cluster.plan())

    assert blocks(cluster, "n1") == {"10.0.0.0/26": "Active"}


def test_a_block_that_is_leaving_is_free_for_others_only_after_the_agent_let_go(
    cluster: Cluster, agents: list[Agent]
) -> None:
    cluster.add(pool("blue", ["10.0.0.0/25"]))
    agents[0].used = {"10.0.0.0/26": 60}
    agents[1].used = {"10.0.0.64/26": 60}
    for agent in agents:
        cluster.report(agent)
    cluster.add(pool("blue", ["10.0.0.0/25", "10.9.0.0/26"]))
    cluster.settle(agents)
    assert "10.9.0.0/26" in blocks(cluster, "n1")
    agents[0].used = {"10.0.0.0/26": 10}
    cluster.report(agents[0])

    seen = []
    for _ in range(6):
        plan = cluster.plan()
        cluster.carry_out(plan)
        holders = [name for name in ("n1", "n2") if "10.9.0.0/26" in blocks(cluster, name)]
        held = [agent.name for agent in agents if any(b.cidr == "10.9.0.0/26" for b in agent.blocks())]
        seen.append(holders)
        assert not ("n2" in holders and "n1" in held)
        for agent in agents:
            cluster.report(agent)

    assert seen[-1] == ["n2"]


def test_use_just_above_the_watermark_does_not_flap(cluster: Cluster, agents: list[Agent]) -> None:
    agents[0].used = {"10.0.0.0/26": 50}
    cluster.settle(agents)
    agents[0].used = {"10.0.0.0/26": 40}
    cluster.report(agents[0])

    assert not cluster.plan().node_writes


def test_a_draining_block_is_taken_back_before_a_new_one_is_granted(
    cluster: Cluster, agents: list[Agent]
) -> None:
    agents[0].used = {"10.0.0.0/26": 50}
    cluster.settle(agents)
    agents[0].used = {}
    cluster.report(agents[0])
    cluster.carry_out(cluster.plan())
    agents[0].used = {"10.0.0.0/26": 55}
    cluster.report(agents[0])

    cluster.carry_out(cluster.plan())

    assert blocks(cluster, "n1") == {"10.0.0.0/26": "Active", "10.0.0.128/26": "Active"}


def test_a_drained_pool_keeps_blocks_with_live_addresses(cluster: Cluster, agents: list[Agent]) -> None:
    agents[0].used = {"10.0.0.0/26": 3}
    cluster.report(agents[0])
    cluster.add(pool("blue", ["10.0.0.0/24"], state="Draining"), pool("green", ["10.2.0.0/24"]))

    cluster.settle(agents)

    assert blocks(cluster, "n1") == {"10.0.0.0/26": "Draining", "10.2.0.0/26": "Active"}
    assert blocks(cluster, "n2") == {"10.2.0.64/26": "Active"}
    assert conditions(cluster, "blue")["Draining"] == ("True", "Draining")
    assert "n1 (3 addresses)" in ready_message(cluster, "blue")
    agents[0].used = {}
    cluster.report(agents[0])
    cluster.settle(agents)
    assert blocks(cluster, "n1") == {"10.2.0.0/26": "Active"}
    assert conditions(cluster, "blue") == {"Ready": ("True", "Drained")}


def test_a_pool_set_back_to_active_takes_blocks_in_use_back(cluster: Cluster, agents: list[Agent]) -> None:
    agents[0].used = {"10.0.0.0/26": 3}
    cluster.report(agents[0])
    cluster.add(pool("blue", ["10.0.0.0/24"], state="Draining"))
    cluster.settle(agents)
    cluster.add(pool("blue", ["10.0.0.0/24"]))

    cluster.settle(agents)

    assert blocks(cluster, "n1") == {"10.0.0.0/26": "Active"}


def test_a_disabled_pool_leaves_granted_blocks_where_they_are(cluster: Cluster, agents: list[Agent]) -> None:
    cluster.add(pool("blue", ["10.0.0.0/24"], state="Disabled"), node("n3"))

    cluster.settle([*agents, Agent("n3")])

    assert blocks(cluster, "n1") == {"10.0.0.0/26": "Active"}
    assert blocks(cluster, "n3") == {}
    assert conditions(cluster, "blue") == {"Ready": ("True", "Disabled")}


def test_a_pool_deleted_while_in_use_stays_until_the_last_address_is_gone(
    cluster: Cluster, agents: list[Agent]
) -> None:
    agents[0].used = {"10.0.0.0/26": 2}
    cluster.report(agents[0])
    cluster.add(pool("blue", ["10.0.0.0/24"], deleted=True))

    cluster.settle(agents)

    assert conditions(cluster, "blue")["Draining"] == ("True", "Deleting")
    assert "1 blocks still held by 1 nodes, 2 addresses in use" in ready_message(cluster, "blue")
    agents[0].used = {}
    cluster.report(agents[0])
    cluster.settle(agents)
    assert "blue" not in cluster.pools


def test_a_pool_that_is_wrong_drains_when_it_is_deleted(cluster: Cluster, agents: list[Agent]) -> None:
    cluster.add(pool("blue", ["nonsense"], deleted=True))

    cluster.settle(agents)

    assert "blue" not in cluster.pools
    assert blocks(cluster, "n1") == {}


def test_a_pool_that_vanished_takes_nothing_from_anybody(cluster: Cluster, agents: list[Agent]) -> None:
    del cluster.pools["blue"]

    assert not cluster.plan().node_writes


def test_a_node_that_is_no_longer_selected_gives_its_blocks_back(
    cluster: Cluster, agents: list[Agent]
) -> None:
    cluster.add(pool("blue", ["10.0.0.0/24"], labels={"rack": "1"}), node("n1", rack="1"))

    cluster.settle(agents)

    assert blocks(cluster, "n1") == {"10.0.0.0/26": "Active"}
    assert blocks(cluster, "n2") == {}


def test_a_range_taken_out_of_a_pool_is_drained(cluster: Cluster, agents: list[Agent]) -> None:
    cluster.add(pool("blue", ["10.0.1.0/24"]))

    cluster.settle(agents)

    assert blocks(cluster, "n1") == {"10.0.1.0/26": "Active"}


def test_exhaustion_names_the_numbers_and_the_nodes(cluster: Cluster) -> None:
    cluster.add(pool("blue", ["10.0.0.0/26"]))
    agents = [Agent("n1"), Agent("n2")]
    cluster.settle(agents)
    agents[0].used, agents[0].cooling = {"10.0.0.0/26": 20}, {"10.0.0.0/26": 4}
    cluster.report(agents[0])

    cluster.settle(agents)

    assert conditions(cluster, "blue")["Exhausted"] == ("True", "NoBlockLeft")
    assert ready_message(cluster, "blue") == (
        "pool blue: 0 of 1 blocks free, 20 of 64 addresses used, 4 cooling; "
        "no block left for n2 (lacks 16 addresses)"
    )


def test_a_node_without_blocks_is_served_before_one_that_wants_more(cluster: Cluster) -> None:
    cluster.add(pool("blue", ["10.0.0.0/25"]))
    del cluster.nodes["n2"]
    first = Agent("n1", used={"10.0.0.0/26": 60})
    cluster.carry_out(cluster.plan())
    first.hear(cluster.node_networks["n1"].spec)
    cluster.add(node("n2"))
    cluster.report(first)

    cluster.settle([first, Agent("n2")])

    assert blocks(cluster, "n2") == {"10.0.0.64/26": "Active"}


def test_idle_blocks_are_called_in_when_another_node_has_nothing(cluster: Cluster) -> None:
    cluster.add(pool("blue", ["10.0.0.0/27"], block_size=28))
    del cluster.nodes["n2"]
    rich, poor = Agent("n1", wanted=10), Agent("n2", wanted=10)
    cluster.settle([rich])
    rich.used = {"10.0.0.0/28": 10}
    cluster.settle([rich])
    rich.used = {}
    cluster.settle([rich])
    assert len(blocks(cluster, "n1")) == 2, "within the reserve: nothing to drain"
    cluster.add(node("n2"))

    cluster.settle([rich, poor])

    assert blocks(cluster, "n1") == {"10.0.0.0/28": "Active"}
    assert blocks(cluster, "n2") == {"10.0.0.16/28": "Active"}


def test_a_node_gives_nothing_that_it_needs_itself(cluster: Cluster) -> None:
    cluster.add(pool("blue", ["10.0.0.0/27"], block_size=28))
    del cluster.nodes["n2"]
    rich = Agent("n1", wanted=20)
    cluster.settle([rich])
    cluster.add(node("n2"))

    cluster.settle([rich, Agent("n2")])

    assert len(blocks(cluster, "n1")) == 2
    assert conditions(cluster, "blue")["Exhausted"][0] == "True"


def test_the_next_pool_serves_when_the_older_one_is_exhausted(cluster: Cluster) -> None:
    cluster.add(pool("blue", ["10.0.0.0/26"]), pool("green", ["10.2.0.0/26"], created="2026-02-01T00:00:00Z"))
    agents = [Agent("n1"), Agent("n2")]

    cluster.settle(agents)

    assert blocks(cluster, "n1") == {"10.0.0.0/26": "Active"}
    assert blocks(cluster, "n2") == {"10.2.0.0/26": "Active"}
    assert conditions(cluster, "blue") == {"Ready": ("True", "Available")}


def test_of_two_overlapping_pools_the_later_one_gets_no_blocks_and_says_why(cluster: Cluster) -> None:
    cluster.add(pool("azure", ["10.0.0.128/25"], created="2026-02-01T00:00:00Z"))

    cluster.settle()

    assert conditions(cluster, "blue") == {"Ready": ("True", "Available")}
    assert conditions(cluster, "azure")["Conflict"] == ("True", "Overlap")
    assert "azure overlaps the older pool blue" in ready_message(cluster, "azure")


def test_a_bad_pool_stops_no_other(cluster: Cluster) -> None:
    cluster.add(pool("bad", ["10.7.0.1/24"]), pool("tiny", ["10.8.0.0/28"]))

    cluster.settle()

    assert blocks(cluster, "n1") == {"10.0.0.0/26": "Active"}
    assert conditions(cluster, "bad") == {"Ready": ("False", "Invalid"), "Stalled": ("True", "Invalid")}
    assert "write 10.7.0.0/24" in ready_message(cluster, "bad")
    assert ready_message(cluster, "tiny") == (
        "pool tiny: 10.8.0.0/28 has 16 addresses, fewer than one block of 64"
    )


def test_reserved_blocks_are_never_granted(cluster: Cluster) -> None:
    cluster.add(pool("blue", ["10.0.0.0/24"], reserved=("10.0.0.0/26", "10.0.0.96/27", "10.0.0.64/27")))

    cluster.settle()

    assert blocks(cluster, "n1") == {"10.0.0.128/26": "Active"}


def test_blocks_smaller_than_the_watermark_come_by_several(cluster: Cluster) -> None:
    cluster.add(pool("blue", ["10.0.0.0/24"], block_size=30))
    agents = [Agent("n1"), Agent("n2")]

    cluster.settle(agents)

    assert len(blocks(cluster, "n1")) == 4


def test_one_word_of_a_node_cannot_empty_a_pool(cluster: Cluster) -> None:
    cluster.add(pool("blue", ["10.0.0.0/16"]))
    greedy = Agent("n1", wanted=2_000_000_000)

    cluster.settle([greedy])

    assert len(blocks(cluster, "n1")) == 16


# objects that come back from the past


def test_blocks_that_a_recreated_object_lost_are_taken_back(cluster: Cluster, agents: list[Agent]) -> None:
    agents[0].used = {"10.0.0.0/26": 5}
    old = cluster.node_networks["n1"]
    status = agents[0].report()
    cluster.node_networks["n1"] = replace(old, spec=NodeNetworkSpec(), status=status)

    cluster.carry_out(cluster.plan())

    assert blocks(cluster, "n1") == {"10.0.0.0/26": "Active"}
    assert cluster.node_networks["n1"].spec.revision > status.revision


def test_a_restored_spec_does_not_bring_back_a_block_that_another_node_has(
    cluster: Cluster, agents: list[Agent]
) -> None:
    past = Block("10.0.0.64/26", "blue")
    item = cluster.node_networks["n1"]
    cluster.node_networks["n1"] = replace(
        item,
        spec=replace(item.spec, revision=1, blocks=(*item.spec.blocks, past)),
        status=replace(item.status, revision=7),
    )

    cluster.carry_out(cluster.plan())

    assert blocks(cluster, "n1") == {"10.0.0.0/26": "Active"}
    assert cluster.node_networks["n1"].spec.revision == 8
    assert blocks(cluster, "n2") == {"10.0.0.64/26": "Active"}


def test_a_restored_spec_of_a_node_that_is_gone_is_not_believed_either(
    cluster: Cluster, agents: list[Agent]
) -> None:
    item = cluster.node_networks["n1"]
    spec = replace(item.spec, revision=1, blocks=(*item.spec.blocks, Block("10.0.0.64/26", "blue")))
    cluster.node_networks["n1"] = replace(item, spec=spec, status=replace(item.status, revision=7))
    del cluster.nodes["n1"]

    cluster.carry_out(cluster.plan())

    assert blocks(cluster, "n1") == {"10.0.0.0/26": "Active"}


def test_an_agent_with_another_history_of_the_same_revision_gets_a_newer_one(cluster: Cluster) -> None:
    agent = Agent("n1", accepted=NodeNetworkSpec(revision=1, blocks=()))
    cluster.carry_out(cluster.plan())
    cluster.report(agent)
    assert "not newer" in agent.refused

    cluster.settle([agent])

    assert blocks(cluster, "n1") == {"10.0.0.0/26": "Active"}
    assert agent.active() == {"10.0.0.0/26"}


def test_a_refusal_for_another_reason_is_not_answered_with_ever_newer_revisions(
    cluster: Cluster, agents: list[Agent]
) -> None:
    agents[0].refused = "spec revision 9 takes away 1 of 1 blocks before they are drained"
    item = cluster.node_networks["n1"]
    status = agents[0].report(item.metadata.generation)
    cluster.node_networks["n1"] = replace(item, status=replace(status, revision=item.spec.revision - 1))

    assert not cluster.plan().node_writes


def test_no_block_is_granted_while_grants_are_held(cluster: Cluster) -> None:
    plan = cluster.plan(hold_grants="restored backup")

    assert [write.spec.blocks for write in plan.node_writes] == [(), ()]


def test_a_claimed_block_goes_to_its_claimant(cluster: Cluster) -> None:
    plan = cluster.plan(
        claims={"n2": (Block("10.0.0.0/26", "blue"),), "lost": (Block("10.0.0.64/26", "blue"),)}
    )

    given = {write.name: [block.cidr for block in write.spec.blocks] for write in plan.node_writes}
    assert given == {"n1": ["10.0.0.128/26"], "n2": ["10.0.0.0/26"]}


def test_of_two_nodes_with_one_block_the_one_with_live_addresses_keeps_it(cluster: Cluster) -> None:
    block = Block("10.0.0.0/26", "blue")
    spec = NodeNetworkSpec(1, (block,))
    cluster.settle()
    for name, used in (("n1", 0), ("n2", 4)):
        held = HeldBlock(block.cidr, "blue", "Active", used, 0, 64 - used)
        status = NodeNetworkStatus(1, 1, blocks=(held,))
        cluster.node_networks[name] = replace(cluster.node_networks[name], spec=spec, status=status)

    cluster.carry_out(cluster.plan())

    assert blocks(cluster, "n1")["10.0.0.0/26"] == "Draining"
    assert blocks(cluster, "n2")["10.0.0.0/26"] == "Active"
    assert conditions(cluster, "blue")["Conflict"] == ("True", "BlockConflict")
    assert "n2 keeps it, n1 drains it" in ready_message(cluster, "blue")


# nodes that go


def test_a_gone_node_keeps_its_blocks_for_the_grace_and_loses_them_after(
    cluster: Cluster, agents: list[Agent]
) -> None:
    del cluster.nodes["n2"]

    cluster.carry_out(cluster.plan(NOW))
    assert cluster.node_networks["n2"].metadata.annotations == {GONE_SINCE: timestamp(NOW)}
    assert cluster.plan(NOW + timedelta(seconds=599)).writes == 0
    cluster.carry_out(cluster.plan(NOW + timedelta(seconds=600)))

    assert "n2" not in cluster.node_networks


def test_a_node_that_comes_back_in_time_keeps_everything(cluster: Cluster, agents: list[Agent]) -> None:
    before = blocks(cluster, "n2")
    gone = cluster.nodes.pop("n2")
    cluster.carry_out(cluster.plan(NOW))
    cluster.add(gone)

    cluster.carry_out(cluster.plan(NOW + timedelta(hours=2)))

    assert cluster.node_networks["n2"].metadata.annotations == {}
    assert blocks(cluster, "n2") == before


def test_the_order_of_objects_changes_nothing(cluster: Cluster, agents: list[Agent]) -> None:
    agents[0].used = {"10.0.0.0/26": 60}
    cluster.report(agents[0])
    cluster.add(node("n0"), pool("zoo", ["10.0.0.0/25"]), pool("ant", ["10.6.0.0/24"]))
    turned = Cluster(*(dict(reversed(part.items())) for part in (
        cluster.nodes, cluster.node_networks, cluster.pools, cluster.peers)))  # fmt: skip

    assert turned.plan() == cluster.plan()
