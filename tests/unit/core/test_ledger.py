"""Which address a pod gets, and which it never gets."""

import pytest

from fairlead_core.lease import Lease
from fairlead_core.ledger import Ledger
from fairlead_core.outcome import Rejected, Waiting
from tests.fakes.ipam import addresses, free_record, hold_record, ledger_of, owner, pool, spec, take

BLUE = pool("blue")
RED = pool("red", "IPv6")


def test_a_dual_stack_pod_gets_one_address_of_each_family_ipv4_first() -> None:
    ledger = ledger_of(("fd00::/122", "red"), ("10.0.0.0/26", "blue"), pools=[RED, BLUE])

    assert addresses(take(ledger, owner("a"), 1.0)) == ["10.0.0.0", "fd00::1"]


def test_every_address_of_an_ipv4_block_is_given_and_all_but_the_anycast_one_of_an_ipv6_block() -> None:
    ledger = ledger_of(("10.0.0.0/30", "blue"), pools=[BLUE])
    six = ledger_of(("fd00::/126", "red"), pools=[RED])

    assert [addresses(take(ledger, owner(str(n)), 1.0))[0] for n in range(4)] == [
        "10.0.0.0",
        "10.0.0.1",
        "10.0.0.2",
        "10.0.0.3",
    ]
    assert [addresses(take(six, owner(str(n)), 1.0))[0] for n in range(3)] == [
        "fd00::1",
        "fd00::2",
        "fd00::3",
    ]
    assert isinstance(take(six, owner("3"), 1.0), Waiting)


@pytest.mark.parametrize(("block", "first"), [("fd00::4/127", "fd00::4"), ("fd00::4/128", "fd00::4")])
def test_the_smallest_ipv6_blocks_have_no_anycast_address(block: str, first: str) -> None:
    ledger = ledger_of((block, "red"), pools=[RED])

    assert addresses(take(ledger, owner("a"), 1.0)) == [first]


def test_a_pod_gets_nothing_when_one_family_is_exhausted() -> None:
    ledger = ledger_of(("10.0.0.0/26", "blue"), ("fd00::/128", "red"), pools=[BLUE, RED])
    take(ledger, owner("a"), 1.0)

    refused = take(ledger, owner("b"), 1.0)

    assert isinstance(refused, Waiting)
    assert refused.message == "pool red: 0 of 1 free, 0 cooling; node7 waits for another block"
    assert ledger.usage(1.0)["blue"].used == 1


def test_a_second_take_of_one_owner_neither_leaks_nor_gives_a_second_address() -> None:
    ledger = ledger_of(("10.0.0.0/26", "blue"), pools=[BLUE])
    take(ledger, owner("a"), 1.0)

    again = take(ledger, owner("a"), 2.0)

    assert again == Rejected("AlreadyHeld", "container a eth0 already holds 10.0.0.0")
    assert ledger.usage(2.0)["blue"].used == 1


def test_two_interfaces_of_one_container_are_two_owners() -> None:
    ledger = ledger_of(("10.0.0.0/26", "blue"), pools=[BLUE])

    first, second = take(ledger, owner("a", "eth0"), 1.0), take(ledger, owner("a", "eth1"), 1.0)

    assert addresses(first) != addresses(second)
    assert len(ledger.give_back("a", None, 2.0)) == 2


def test_release_by_the_old_container_does_not_free_the_new_one_of_the_same_pod() -> None:
    ledger = ledger_of(("10.0.0.0/26", "blue"), pools=[BLUE])
    take(ledger, owner("old", pod="web-1"), 1.0)
    ledger.give_back("old", "eth0", 2.0)
    take(ledger, owner("new", pod="web-1"), 3.0)

    assert ledger.give_back("old", "eth0", 4.0) == ()
    assert ledger.lease("new", "eth0") is not None


@pytest.mark.parametrize("other", ["web-1", "web-", "eb-10", "web-10 ", "WEB-10", ""])
def test_container_ids_are_compared_exactly(other: str) -> None:
    ledger = ledger_of(("10.0.0.0/26", "blue"), pools=[BLUE])
    take(ledger, owner("web-10"), 1.0)

    assert ledger.give_back(other, None, 2.0) == ()
    assert ledger.lease("web-10", "eth0") is not None


def test_a_released_address_cools_down_before_it_is_given_again() -> None:
    ledger = ledger_of(("10.0.0.0/32", "blue"), pools=[BLUE])
    take(ledger, owner("a"), 1.0)
    ledger.give_back("a", "eth0", 10.0)

    early, late = take(ledger, owner("b"), 39.9), take(ledger, owner("b"), 40.0)

    assert early == Waiting(
        "PoolExhausted", "pool blue: 0 of 1 free, 1 cooling; node7 waits for another block"
    )
    assert addresses(late) == ["10.0.0.0"]


def test_addresses_go_round_never_used_ones_first_then_the_longest_resting() -> None:
    blue = pool("blue", cooldown_s=0)
    ledger = ledger_of(("10.0.0.0/31", "blue"), ("10.0.1.0/31", "blue"), pools=[blue])
    given = []
    for turn in range(8):
        given += addresses(take(ledger, owner(str(turn)), float(turn)))
        ledger.give_back(str(turn), "eth0", turn + 0.5)

    assert given[:4] == ["10.0.0.0", "10.0.0.1", "10.0.1.0", "10.0.1.1"]
    assert given[4:] == given[:4]


def test_reserved_addresses_are_never_given_and_not_counted_as_free() -> None:
    blue = pool("blue", reserved=["10.0.0.0/30", "10.0.0.5", "192.0.2.0/24", "fd00::/8"])
    ledger = ledger_of(("10.0.0.0/29", "blue"), pools=[blue])

    given = [addresses(take(ledger, owner(str(n)), 1.0))[0] for n in range(3)]

    assert given == ["10.0.0.4", "10.0.0.6", "10.0.0.7"]
    assert ledger.usage(1.0)["blue"].free == 0


def test_an_address_reserved_while_held_stays_held_and_is_not_given_afterwards() -> None:
    ledger = ledger_of(("10.0.0.0/31", "blue"), pools=[BLUE])
    take(ledger, owner("a"), 1.0)
    ledger.reconfigure(spec(("10.0.0.0/31", "blue"), pools=[pool("blue", reserved=["10.0.0.0"])]), 2.0)

    assert ledger.lease("a", "eth0") is not None
    ledger.give_back("a", "eth0", 3.0)
    assert [
        addresses(take(ledger, owner("b"), 100.0)),
        isinstance(take(ledger, owner("c"), 100.0), Waiting),
    ] == [
        ["10.0.0.1"],
        True,
    ]


def test_a_reservation_lifted_does_not_cut_a_cool_down_short() -> None:
    ledger = ledger_of(("10.0.0.0/32", "blue"), pools=[BLUE])
    take(ledger, owner("a"), 1.0)
    reserved = pool("blue", reserved=["10.0.0.0"])
    ledger.reconfigure(spec(("10.0.0.0/32", "blue"), pools=[reserved]), 2.0)
    ledger.give_back("a", "eth0", 10.0)
    ledger.reconfigure(spec(("10.0.0.0/32", "blue"), pools=[BLUE]), 11.0)

    assert isinstance(take(ledger, owner("b"), 39.0), Waiting)
    assert addresses(take(ledger, owner("b"), 40.0)) == ["10.0.0.0"]


def test_a_draining_block_gives_nothing_and_is_drained_when_all_has_cooled() -> None:
    ledger = ledger_of(("10.0.0.0/26", "blue"), ("10.0.1.0/26", "blue"), pools=[BLUE])
    take(ledger, owner("a"), 1.0)
    draining = spec(("10.0.0.0/26", "blue", "Draining"), ("10.0.1.0/26", "blue"), pools=[BLUE])
    ledger.reconfigure(draining, 2.0)

    assert addresses(take(ledger, owner("b"), 3.0)) == ["10.0.1.0"]
    assert [(block.state, block.used) for block in ledger.held_blocks(3.0)] == [
        ("Draining", 1),
        ("Active", 1),
    ]
    ledger.give_back("a", "eth0", 4.0)
    assert ledger.held_blocks(33.9)[0].state == "Draining"
    assert ledger.held_blocks(34.0)[0].state == "Drained"


def test_a_block_in_use_that_a_spec_lacks_stays_and_gives_nothing() -> None:
    ledger = ledger_of(("10.0.0.0/26", "blue"), pools=[BLUE])
    take(ledger, owner("a"), 1.0)
    ledger.reconfigure(spec(("10.0.1.0/26", "blue"), pools=[BLUE], revision=2), 2.0)

    held = {block.cidr: block for block in ledger.held_blocks(3.0)}
    assert held["10.0.0.0/26"].state == "Draining"
    assert addresses(take(ledger, owner("b"), 3.0)) == ["10.0.1.0"]
    ledger.give_back("a", "eth0", 4.0)
    assert [block.cidr for block in ledger.held_blocks(40.0)] == ["10.0.1.0/26"]


def test_a_family_whose_pools_all_close_is_no_longer_obligatory() -> None:
    ledger = ledger_of(("10.0.0.0/26", "blue"), ("fd00::/122", "red"), pools=[BLUE, RED])
    closing = spec(("10.0.0.0/26", "blue"), ("fd00::/122", "red", "Draining"), pools=[BLUE, RED], revision=2)
    ledger.reconfigure(closing, 1.0)

    assert addresses(take(ledger, owner("a"), 2.0)) == ["10.0.0.0"]


def test_shortages_name_each_family_that_would_get_nothing_and_no_closing_one() -> None:
    ledger = ledger_of(("10.0.0.0/32", "blue"), ("fd00::/128", "red"), pools=[BLUE, RED])
    assert ledger.shortages(1.0) == ()

    take(ledger, owner("a"), 1.0)
    assert ledger.shortages(1.0) == (
        "pool blue: 0 of 1 free, 0 cooling; node7 waits for another block",
        "pool red: 0 of 1 free, 0 cooling; node7 waits for another block",
    )
    closing = spec(("10.0.0.0/26", "blue"), ("fd00::/128", "red", "Draining"), pools=[BLUE, RED], revision=2)
    ledger.reconfigure(closing, 2.0)
    assert ledger.shortages(2.0) == ()


def test_a_pool_without_a_block_yet_still_makes_its_family_obligatory() -> None:
    ledger = ledger_of(("10.0.0.0/26", "blue"), pools=[BLUE, RED])

    refused = take(ledger, owner("a"), 1.0)

    assert refused == Waiting("PoolExhausted", "pool red: node7 has no block yet")


def test_with_every_pool_closing_the_message_says_so() -> None:
    ledger = ledger_of(("10.0.0.0/26", "blue"), pools=[BLUE])
    take(ledger, owner("a"), 1.0)
    ledger.reconfigure(spec(("10.0.0.0/26", "blue", "Draining"), pools=[BLUE]), 2.0)

    refused = take(ledger, owner("b"), 3.0)

    assert refused == Waiting("PoolExhausted", "pool blue: every block of node7 is Draining, 1 of 64 in use")


def test_a_node_without_pools_rejects() -> None:
    assert take(Ledger("node7"), owner("a"), 1.0) == Rejected("NoPool", "no address pool selects node node7")


def test_the_next_pool_of_a_family_helps_out_and_all_are_named_when_none_can() -> None:
    green = pool("green")
    ledger = ledger_of(("10.0.0.0/32", "blue"), ("10.9.0.0/32", "green"), pools=[BLUE, green])

    assert [addresses(take(ledger, owner(who), 1.0)) for who in "ab"] == [["10.0.0.0"], ["10.9.0.0"]]
    refused = take(ledger, owner("c"), 1.0)
    assert isinstance(refused, Waiting)
    assert refused.message.count("0 of 1 free") == 2


def test_a_cancelled_take_gives_the_same_address_to_the_next_one_without_cool_down() -> None:
    ledger = ledger_of(("10.0.0.0/32", "blue"), pools=[BLUE])
    lease = take(ledger, owner("a"), 1.0)
    assert isinstance(lease, Lease)

    ledger.cancel(lease)

    assert addresses(take(ledger, owner("b"), 1.0)) == ["10.0.0.0"]


def test_a_clock_set_back_neither_shortens_nor_stretches_a_cool_down_beyond_one_more() -> None:
    ledger = ledger_of(("10.0.0.0/32", "blue"), pools=[BLUE])
    take(ledger, owner("a"), 1000.0)
    ledger.give_back("a", "eth0", 1010.0)

    assert isinstance(take(ledger, owner("b"), 500.0), Waiting)
    assert isinstance(take(ledger, owner("b"), 529.0), Waiting)
    assert addresses(take(ledger, owner("b"), 530.0)) == ["10.0.0.0"]


def test_a_clock_set_back_before_a_restart_does_not_keep_addresses_cooling_for_ever() -> None:
    ledger = ledger_of(("10.0.0.0/32", "blue"), pools=[BLUE])
    lease = take(ledger, owner("a"), 1000.0)
    assert isinstance(lease, Lease)
    records = [hold_record(ledger, lease), free_record(ledger, lease, 1010.0)]

    again = Ledger("node7")
    again.replay(records, 500.0)
    again.reconfigure(spec(("10.0.0.0/32", "blue"), pools=[BLUE]), 500.0)

    assert isinstance(take(again, owner("b"), 529.0), Waiting)
    assert addresses(take(again, owner("b"), 530.0)) == ["10.0.0.0"]


def test_replay_brings_back_leases_cool_downs_and_the_order_of_giving() -> None:
    ledger = ledger_of(("10.0.0.0/30", "blue"), pools=[BLUE])
    records = []
    for who in "ab":
        lease = take(ledger, owner(who), 1.0)
        assert isinstance(lease, Lease)
        records.append(hold_record(ledger, lease))
    records.append(free_record(ledger, ledger.leases()[0], 10.0))

    again = Ledger("node7")
    again.replay(records, 20.0)
    again.reconfigure(spec(("10.0.0.0/30", "blue"), pools=[BLUE]), 20.0)

    assert [lease.owner.container_id for lease in again.leases()] == ["b"]
    assert again.usage(20.0)["blue"].cooling == 1
    assert [addresses(take(again, owner(who), 39.0))[0] for who in "cd"] == ["10.0.0.2", "10.0.0.3"]
    assert isinstance(take(again, owner("e"), 39.0), Waiting)
    assert addresses(take(again, owner("e"), 40.0)) == ["10.0.0.0"]


def test_after_replay_alone_the_blocks_in_use_are_known() -> None:
    ledger = ledger_of(("10.0.0.0/30", "blue"), pools=[BLUE])
    lease = take(ledger, owner("a"), 1.0)
    assert isinstance(lease, Lease)

    again = Ledger("node7")
    again.replay([hold_record(ledger, lease)], 2.0)

    assert [(block.cidr, block.pool, block.used) for block in again.held_blocks(2.0)] == [
        ("10.0.0.0/30", "blue", 1)
    ]


def test_a_hold_whose_predecessor_lost_its_release_takes_the_address_over() -> None:
    ledger = ledger_of(("10.0.0.0/32", "blue"), pools=[BLUE])
    first = take(ledger, owner("a"), 1.0)
    assert isinstance(first, Lease)
    hold_a = hold_record(ledger, first)
    ledger.give_back("a", "eth0", 2.0)
    second = take(ledger, owner("b"), 50.0)
    assert isinstance(second, Lease)

    again = Ledger("node7")
    again.replay([hold_a, hold_record(ledger, second)], 60.0)

    assert [lease.owner.container_id for lease in again.leases()] == ["b"]


def test_a_block_cut_anew_keeps_what_is_held_in_it() -> None:
    ledger = ledger_of(("10.0.0.0/31", "blue"), pools=[BLUE])
    take(ledger, owner("a"), 1.0)
    ledger.reconfigure(spec(("10.0.0.0/30", "blue"), pools=[BLUE], revision=2), 2.0)

    given = [addresses(take(ledger, owner(who), 3.0))[0] for who in "bcd"]

    assert sorted(given) == ["10.0.0.1", "10.0.0.2", "10.0.0.3"]
    assert [(block.cidr, block.used) for block in ledger.held_blocks(3.0)] == [("10.0.0.0/30", 4)]


def test_a_huge_ipv6_block_costs_no_more_than_a_small_one() -> None:
    ledger = ledger_of(("fd00::/64", "red"), pools=[pool("red", "IPv6", reserved=["fd00::/96"])])

    assert addresses(take(ledger, owner("a"), 1.0)) == ["fd00::1:0:0"]
    assert ledger.usage(1.0)["red"].free == 2**31 - 1
