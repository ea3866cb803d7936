"""Which desired states a node takes over, and which it refuses."""

import pytest

from fairlead_core.accept import accept
from fairlead_core.api import HeldBlock, NodeNetworkSpec
from fairlead_core.outcome import Rejected
from tests.fakes.ipam import pool, spec

BLUE = pool("blue")
LAST = spec(("10.0.0.0/26", "blue"), pools=[BLUE], revision=7)
HELD = (HeldBlock("10.0.0.0/26", "blue", "Active", used=3, cooling=2, free=59),)


def test_a_newer_spec_that_keeps_every_block_is_accepted() -> None:
    offered = spec(("10.0.0.0/26", "blue"), ("10.0.1.0/26", "blue"), pools=[BLUE], revision=8)

    assert accept(LAST, offered, HELD) == offered


def test_a_node_without_a_last_good_state_accepts_any_revision() -> None:
    assert accept(None, LAST, ()) == LAST


@pytest.mark.parametrize("revision", [0, 6, 7])
def test_an_older_or_equal_revision_with_another_content_is_refused(revision: int) -> None:
    offered = spec(("10.0.0.0/26", "blue"), ("10.0.1.0/26", "blue"), pools=[BLUE], revision=revision)

    assert accept(LAST, offered, HELD) == Rejected(
        "SpecRefused", f"spec revision {revision} differs from revision 7 in force and is not newer"
    )


def test_the_same_content_with_an_older_revision_changes_nothing() -> None:
    again = spec(("10.0.0.0/26", "blue"), pools=[BLUE], revision=1)

    assert accept(LAST, again, HELD) == LAST


def test_an_emptied_spec_is_refused_with_the_block_and_its_numbers() -> None:
    refused = accept(LAST, NodeNetworkSpec(revision=8), HELD)

    assert refused == Rejected(
        "SpecRefused",
        "spec revision 8 takes away 1 of 1 blocks before they are drained: "
        "10.0.0.0/26 of pool blue (Active, 3 used, 2 cooling)",
    )


def test_an_unused_block_is_not_taken_away_in_one_step() -> None:
    idle = (HeldBlock("10.0.0.0/26", "blue", "Active", free=64),)

    assert isinstance(accept(LAST, spec(pools=[BLUE], revision=8), idle), Rejected)


def test_a_drained_block_may_go() -> None:
    drained = (HeldBlock("10.0.0.0/26", "blue", "Drained"),)
    offered = spec(pools=[BLUE], revision=8)

    assert accept(LAST, offered, drained) == offered


def test_a_block_in_use_does_not_change_its_pool() -> None:
    offered = spec(("10.0.0.0/26", "green"), pools=[pool("green")], revision=8)

    assert isinstance(accept(LAST, offered, HELD), Rejected)


def test_what_the_journal_alone_knows_to_be_in_use_is_not_taken_away() -> None:
    orphan = (HeldBlock("10.9.0.0/26", "blue", "Draining", used=1),)

    assert isinstance(accept(None, LAST, orphan), Rejected)


@pytest.mark.parametrize(
    ("offered", "complaint"),
    [
        (
            spec(("10.0.0.0/26", "blue"), ("10.0.0.0/24", "blue"), pools=[BLUE]),
            "has blocks 10.0.0.0/24 and 10.0.0.0/26, which overlap",
        ),
        (spec(("10.0.0.0/26", "blue"), ("10.0.0.0/26", "blue"), pools=[BLUE]), "which overlap"),
        (spec(("10.0.0.1/26", "blue"), pools=[BLUE]), "has block '10.0.0.1/26', which is no network address"),
        (spec(("", "blue"), pools=[BLUE]), "has block '', which is no network address"),
        (
            spec(("10.0.0.0/26", "red"), pools=[BLUE]),
            "has block 10.0.0.0/26 of pool red, which it does not describe",
        ),
        (spec(("fd00::/122", "blue"), pools=[BLUE]), "has block fd00::/122 in pool blue, which is IPv4"),
        (spec(pools=[BLUE, BLUE]), "names a pool twice"),
        (
            spec(pools=[pool("blue", reserved=["10.0.0.300"])]),
            "reserves '10.0.0.300' in pool blue, which is neither an address nor a network",
        ),
    ],
)
def test_a_spec_that_contradicts_itself_is_refused(offered: NodeNetworkSpec, complaint: str) -> None:
    refused = accept(None, offered, ())

    assert isinstance(refused, Rejected)
    assert complaint in refused.message


def test_a_long_list_of_lost_blocks_is_counted_not_spelled_out() -> None:
    held = tuple(HeldBlock(f"10.0.{n}.0/26", "blue", "Active", used=1) for n in range(9))

    refused = accept(None, NodeNetworkSpec(revision=1), held)

    assert isinstance(refused, Rejected)
    assert "takes away 9 of 9 blocks" in refused.message
    assert refused.message.endswith("10.0.4.0/26 of pool blue (Active, 1 used, 0 cooling) and 4 more")
