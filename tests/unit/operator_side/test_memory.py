"""What a leader knows beyond its watches, rule by rule."""

from __future__ import annotations

import msgspec.structs

from fairlead_core.api import Block, HeldBlock, Metadata, NodeNetwork, NodeNetworkSpec, NodeNetworkStatus
from fairlead_core.plan import plan_cluster
from fairlead_core.snapshot import ClusterSnapshot
from fairlead_operator.memory import GHOST_S, SETTLE_S, Memory
from tests.fakes.cluster import NOW, node, pool

X, Y = Block("10.0.0.0/26", "blue"), Block("10.0.0.64/26", "blue")
NODES = {"n1": node("n1"), "n2": node("n2")}


def network(name: str, version: int, *blocks: Block, revision: int = 1, accepted: int = 0) -> NodeNetwork:
    meta = Metadata(name, uid=f"uid-{name}", resource_version=str(version))
    return NodeNetwork(meta, NodeNetworkSpec(revision, blocks), NodeNetworkStatus(1, accepted))


def test_an_own_write_counts_until_the_watch_brings_it() -> None:
    memory = Memory()
    old, new = network("n1", 5), network("n1", 7, X)
    memory.merge({"n1": old}, 0)
    memory.wrote(new)

    assert memory.merge({"n1": old}, 1)["n1"] is new
    newest = network("n1", 9)
    assert memory.merge({"n1": newest}, 2)["n1"] is newest


def test_a_granted_block_is_not_granted_again_before_the_watch_shows_it() -> None:
    memory = Memory()
    memory.merge({"n1": network("n1", 5)}, 0)
    memory.wrote(network("n1", 7, X))

    networks = memory.merge({"n1": network("n1", 5)}, 1)

    snapshot = ClusterSnapshot(
        tuple(NODES.values()), tuple(networks.values()), (pool("blue", ["10.0.0.0/25"]),)
    )
    writes = {write.name: write.spec.blocks for write in plan_cluster(snapshot, NOW).node_writes}
    assert writes["n2"] == (Y,)


def test_a_created_object_that_somebody_deletes_is_not_believed_for_ever() -> None:
    memory = Memory()
    mine = network("n1", 5)
    memory.wrote(mine)
    assert memory.merge({}, 0) == {"n1": mine}
    memory.merge({"n1": network("n1", 6)}, 1)

    assert memory.merge({}, 2) == {}


def test_a_conflict_makes_the_watch_right() -> None:
    memory = Memory()
    memory.wrote(network("n1", 7, X))
    memory.conflicted("n1")

    old = network("n1", 5)
    assert memory.merge({"n1": old}, 0) == {"n1": old}


def test_blocks_of_a_write_with_unknown_outcome_are_claimed_until_the_object_names_them() -> None:
    memory = Memory()
    memory.uncertain("n1", (X,), 0)

    memory.merge({"n1": network("n1", 5)}, 1)
    assert memory.claims() == {"n1": (X,)}
    memory.merge({"n1": network("n1", 6, X)}, 2)
    assert memory.claims() == {}


def test_a_doubt_ends_when_no_request_can_be_on_its_way_any_more() -> None:
    memory = Memory()
    memory.uncertain("n1", (X,), 0)

    memory.merge({"n1": network("n1", 5)}, 61)

    assert memory.claims() == {}


def test_an_object_deleted_under_a_living_node_leaves_its_blocks_claimed() -> None:
    memory = Memory()
    memory.merge({"n1": network("n1", 5, X)}, 0)

    memory.merge({}, 1)

    assert memory.claims() == {"n1": (X,)}
    memory.merge({}, GHOST_S + 2)
    assert memory.claims() == {}


def test_an_object_that_we_deleted_leaves_nothing() -> None:
    memory = Memory()
    item = network("n1", 5, X)
    memory.merge({"n1": item}, 0)
    memory.deleted("n1", "uid-n1")

    assert memory.merge({"n1": item}, 1) == {}
    assert memory.merge({}, 2) == {}
    assert memory.claims() == {}


def test_an_object_that_went_back_in_time_leaves_its_newer_blocks_claimed() -> None:
    memory = Memory()
    held = HeldBlock(Y.cidr, "blue", "Active")
    item = network("n1", 5, X, revision=4)
    item = msgspec.structs.replace(item, status=msgspec.structs.replace(item.status, blocks=(held,)))
    memory.merge({"n1": item}, 0)

    memory.merge({"n1": network("n1", 6, revision=3)}, 1)

    assert set(memory.claims()["n1"]) == {X, Y}


def test_agents_ahead_of_their_specs_hold_grants_for_a_minute_and_not_again_at_once() -> None:
    memory = Memory()
    restored = {name: network(name, 5, revision=1, accepted=4) for name in NODES}

    memory.merge(restored, 0)
    assert "restored" in memory.hold_grants
    memory.merge(restored, SETTLE_S + 1)
    assert memory.hold_grants == ""


def test_one_agent_that_lies_about_its_revision_holds_nobody_up() -> None:
    memory = Memory()

    memory.merge({"n1": network("n1", 5, accepted=10**9), "n2": network("n2", 5)}, 0)

    assert memory.hold_grants == ""
