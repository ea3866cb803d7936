"""Pools are judged by themselves and against older ones."""

from __future__ import annotations

import pytest

from fairlead_core.api import Advertise, LabelSelector, Requirement
from fairlead_core.outcome import Rejected
from fairlead_core.pools import Pool, parse_pool, read_pools
from fairlead_core.selectors import Index, compile_selector
from fairlead_core.space import Occupied, Space
from fairlead_core.spans import Span, gaps, parse_span
from tests.fakes.cluster import pool


@pytest.mark.parametrize(
    ("cidrs", "more", "told"),
    [
        ([], {}, "cidrs is empty"),
        (["10.0.0.1/24"], {}, "has host bits set; write 10.0.0.0/24"),
        (["10.0.0.0/33"], {}, "cidrs:"),
        (["10.0.0.0/24", "fd00::/64"], {}, "mixes IPv4 and IPv6"),
        (["10.0.0.0/24"], {"block_size": 8}, "blockSize 8 is not in 16..32 for IPv4"),
        (["fd00::/104"], {"block_size": 64}, "blockSize 64 is not in 112..128 for IPv6"),
        (["10.0.0.0/28"], {}, "10.0.0.0/28 has 16 addresses, fewer than one block of 64"),
        (["fd00::/64"], {}, "blocks, more than 1048576"),
        (["10.0.0.0/24", "10.0.0.0/25"], {}, "10.0.0.0/25 and 10.0.0.0/24 overlap"),
        (["10.0.0.0/24"], {"reserved": ("10.1.0.1",)}, "reserved: 10.1.0.1 is outside 10.0.0.0/24"),
        (["10.0.0.0/24"], {"reserved": ("x",)}, "reserved: 'x'"),
        (["10.0.0.0/24"], {"cooldown_seconds": -1}, "cooldownSeconds is -1"),
        (
            ["10.0.0.0/24"],
            {"advertise": Advertise(24)},
            "blocks of /26 are longer than advertise.maxPrefixLength 24",
        ),
        (["10.0.0.0/24"], {"advertise": Advertise(None, ("64500:70000",))}, "is not two numbers up to 65535"),
    ],
)
def test_a_pool_that_is_wrong_says_where(cidrs: list[str], more: dict[str, object], told: str) -> None:
    outcome = parse_pool(pool("blue", cidrs, **more))  # type: ignore[arg-type]

    assert isinstance(outcome, Rejected)
    assert outcome.message.startswith("pool blue: ")
    assert told in outcome.message


def test_a_pool_counts_what_it_can_really_give() -> None:
    four = parse_pool(pool("four", ["10.0.0.0/24"], reserved=("10.0.0.0/28", "10.0.0.1")))
    six = parse_pool(pool("six", ["fd00::/120"]))

    assert isinstance(four, Pool)
    assert isinstance(six, Pool)
    assert four.addresses == 240
    assert six.addresses == 4 * 63, "the first address of an IPv6 block is the routers' anycast address"


def test_of_three_pools_in_a_chain_only_the_middle_one_is_in_conflict() -> None:
    book = read_pools([
        pool("c", ["10.0.2.0/23"], created="2026-01-03T00:00:00Z"),
        pool("b", ["10.0.0.0/22"], created="2026-01-02T00:00:00Z"),
        pool("a", ["10.0.0.0/23"], created="2026-01-01T00:00:00Z"),
    ])  # fmt: skip

    assert list(book.usable) == ["a", "c"]
    assert book.rejected["b"].reason == "Conflict"


def test_space_gives_the_lowest_block_that_nobody_touches() -> None:
    blue = parse_pool(pool("blue", ["10.0.0.0/24"]))
    assert isinstance(blue, Pool)
    odd = parse_span("10.0.0.32/28")
    assert odd is not None

    space = Space(blue, Occupied([odd]))

    assert space.free_blocks == 3
    assert [taken[0] for taken in iter(space.take, None)] == [
        "10.0.0.64/26",
        "10.0.0.128/26",
        "10.0.0.192/26",
    ]
    assert space.free_blocks == 0


def test_an_occupied_span_larger_than_the_pool_leaves_nothing() -> None:
    blue = parse_pool(pool("blue", ["10.0.1.0/24"]))
    wide = parse_span("10.0.0.0/16")
    assert isinstance(blue, Pool)
    assert wide is not None

    assert Space(blue, Occupied([wide])).take() is None


def test_gaps_are_what_is_left() -> None:
    assert list(gaps(range(10), [(2, 3), (3, 5), (9, 12)])) == [range(0, 2), range(6, 9)]
    assert list(gaps(range(3), [])) == [range(3)]
    assert list(gaps(range(3), [(0, 7)])) == []


def test_a_span_is_a_network_without_host_bits_or_nothing() -> None:
    assert parse_span("10.0.0.0/30") == Span(4, 0x0A000000, 0x0A000003)
    assert parse_span("10.0.0.1/30") is None
    assert parse_span("banana") is None


@pytest.mark.parametrize(
    ("selector", "labels", "selected"),
    [
        (None, {}, True),
        (LabelSelector(), {"a": "1"}, True),
        (LabelSelector({"a": "1"}), {"a": "1", "b": "2"}, True),
        (LabelSelector({"a": "1", "b": "2"}), {"a": "1"}, False),
        (LabelSelector({}, (Requirement("a", "In", ("1", "2")),)), {"a": "2"}, True),
        (LabelSelector({}, (Requirement("a", "In", ("1", "2")),)), {}, False),
        (LabelSelector({}, (Requirement("a", "NotIn", ("1",)),)), {}, True),
        (LabelSelector({}, (Requirement("a", "NotIn", ("1",)),)), {"a": "1"}, False),
        (LabelSelector({}, (Requirement("a", "Exists"),)), {"a": ""}, True),
        (LabelSelector({}, (Requirement("a", "DoesNotExist"),)), {"a": ""}, False),
        (LabelSelector({"b": "1"}, (Requirement("a", "Exists"),)), {"a": "", "b": "1"}, True),
    ],
)
def test_selectors_mean_what_kubernetes_means(
    selector: LabelSelector | None, labels: dict[str, str], selected: bool
) -> None:
    test = compile_selector(selector)
    blue = parse_pool(pool("blue", ["10.0.0.0/24"]))
    assert not isinstance(test, Rejected)
    assert isinstance(blue, Pool)

    assert test(labels) is selected


def test_an_index_finds_the_same_as_asking_everyone_in_the_same_order() -> None:
    selectors: list[dict[str, str]] = [{}, {"a": "1"}, {"b": "2"}, {"a": "1", "b": "2"}, {"a": "2"}, {}]
    pools = [
        parse_pool(pool(f"p{n}", [f"10.{n}.0.0/24"], labels=labels)) for n, labels in enumerate(selectors)
    ]
    usable = [one for one in pools if isinstance(one, Pool)]

    for labels in ({}, {"a": "1"}, {"b": "2", "a": "1"}, {"a": "2", "c": "9"}):
        assert Index(usable).of(labels) == [one for one in usable if one.selects(labels)]


def test_an_unknown_operator_is_rejected() -> None:
    outcome = compile_selector(LabelSelector({}, (Requirement("a", "Gt", ("1",)),)))

    assert isinstance(outcome, Rejected)
    assert "a Gt" in outcome.message
