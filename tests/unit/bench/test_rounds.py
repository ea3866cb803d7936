"""What may be concluded from interleaved rounds."""

from __future__ import annotations

import pytest

from tests.bench.rounds import Block, Rounds, bootstrap, interleave, percentile, pooled
from tests.bench.rows import Row, table


def rounds(**rates: list[float]) -> Rounds:
    return Rounds({name: [Block(rate, [1 / rate]) for rate in found] for name, found in rates.items()})


def test_every_contender_runs_once_per_round_and_tidies_before_the_next() -> None:
    log: list[str] = []

    def contender(name: str) -> Block:
        log.append(name)
        return Block(1.0, [1.0], lambda: log.append(f"{name} tidied"))

    found = interleave({name: lambda name=name: contender(name) for name in ("a", "b")}, 5)

    assert [len(blocks) for blocks in found.blocks.values()] == [5, 5]
    assert log[1::2] == [f"{name} tidied" for name in log[::2]]
    assert all(sorted(log[start : start + 4 : 2]) == ["a", "b"] for start in range(0, 20, 4))


def test_the_interval_of_equal_ratios_is_that_ratio() -> None:
    assert bootstrap([2.0] * 20) == (2.0, 2.0)


def test_the_interval_grows_with_the_spread() -> None:
    low, high = bootstrap([1.0, 2.0, 3.0] * 10)

    assert 1.0 <= low < 2.0 < high <= 3.0 or (low, high) == (1.0, 3.0)


@pytest.mark.parametrize(("share", "value"), [(0.5, 50), (0.99, 99), (1.0, 100), (0.001, 1)])
def test_a_percentile_is_a_value_that_was_measured(share: float, value: int) -> None:
    assert percentile(list(range(1, 101)), share) == value


def test_pooled_percentiles_take_all_blocks_together() -> None:
    assert pooled([[1.0] * 50, [2.0] * 50], 0.5)[0] == 1.0


def test_a_reference_that_differs_from_itself_voids_the_run() -> None:
    void = rounds(ref=[1.0] * 20, again=[1.2] * 20)
    sound = rounds(ref=[1.0] * 20, again=[1.01] * 20)

    assert void.note("ref", "again").startswith("not valid: A/A interval 1.200 .. 1.200")
    assert sound.note("ref", "again") == ""


def test_disturbed_rounds_are_left_out_while_enough_clean_ones_remain() -> None:
    found = rounds(ref=[1.0] * 20)
    for block in found.blocks["ref"][:4]:
        block.foreign = 0.5
    assert found.used == list(range(4, 20))

    for block in found.blocks["ref"][:10]:
        block.foreign = 0.5
    assert len(found.used) == 20
    assert found.conditions()["disturbed"] is True


def test_a_table_puts_what_is_void_into_brackets() -> None:
    row = Row("C9", "what", "ours", 1.0, "ms", 0.4, (0.3, 0.5), "<= 0.5 x", True, "not valid: A/A")

    assert "(met)" in table([row])
    assert "  C9: not valid: A/A" in table([row])
