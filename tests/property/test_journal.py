"""A journal cut at any byte still says what was answered before."""

from collections.abc import Iterator
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead_core.journal import decode, encode
from fairlead_core.lease import Key, Lease
from fairlead_core.ledger import Ledger
from tests.fakes.ipam import free_record, hold_record, ledger_of, owner, pool, take

POOLS = (pool("blue", cooldown_s=2), pool("red", "IPv6", cooldown_s=2))
OPERATIONS = 16
SECTOR_BYTES = 512


def history(seed: int) -> Iterator[tuple[bytes, dict[Key, Lease]]]:
    """The line of each operation, and the leases that were answered when it had been written."""
    dice, ledger = Random(seed), ledger_of(("10.0.0.0/29", "blue"), ("fd00::/125", "red"), pools=POOLS)
    for step in range(OPERATIONS):
        held = ledger.leases()
        if held and dice.random() < 0.45:
            lease = dice.choice(held)
            line = encode(free_record(ledger, lease, float(step)))
            ledger.give_back(*lease.owner.key, float(step))
        else:
            taken = take(ledger, owner(f"c{step}", pod=f"web-{step}"), float(step))
            if not isinstance(taken, Lease):
                continue
            line = encode(hold_record(ledger, taken))
        yield line, {lease.owner.key: lease for lease in ledger.leases()}


def replayed(content: bytes) -> Ledger:
    replay = decode(content)
    assert replay.damaged == ()
    ledger = Ledger("node7")
    ledger.replay(replay.records, float(OPERATIONS))
    return ledger


@pytest.mark.parametrize("tail", [b"", bytes(700)], ids=["end of file", "zero bytes behind"])
@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_a_journal_cut_at_every_byte_has_all_that_was_answered_before_the_cut(seed: int, tail: bytes) -> None:
    content, answered, cuts = b"", {}, 0
    for line, after in history(seed):
        for cut in range(len(line)):
            ledger = replayed(content + line[:cut] + tail)
            assert {lease.owner.key: lease for lease in ledger.leases()} == answered
            cuts += 1
        content, answered = content + line, after
        assert {lease.owner.key: lease for lease in replayed(content + tail).leases()} == answered
    assert cuts > 2500


@given(st.integers(1, 5), st.integers(1, 12), st.randoms(use_true_random=False))
def test_of_a_write_that_no_sync_ended_any_sectors_may_be_on_disk_and_nothing_answered_is_lost(
    seed: int, batch: int, dice: Random
) -> None:
    steps = list(history(seed))
    answered = b"".join(line for line, _ in steps[:-batch])
    unanswered = b"".join(line for line, _ in steps[-batch:])
    disk = bytearray(answered + bytes(len(unanswered)))
    first = len(answered) // SECTOR_BYTES * SECTOR_BYTES
    for start in range(first, len(disk), SECTOR_BYTES):
        if dice.random() < 0.5:
            disk[start : start + SECTOR_BYTES] = (answered + unanswered)[start : start + SECTOR_BYTES]

    replay = decode(bytes(disk))

    known = decode(answered).records
    assert replay.records[: len(known)] == known
    assert set(replay.records) <= set(decode(answered + unanswered).records)


@pytest.mark.parametrize("seed", [3])
def test_a_byte_that_rots_costs_at_most_its_own_line(seed: int) -> None:
    lines = [line for line, _ in history(seed)]
    content = b"".join(lines)
    whole = decode(content).records
    for position in range(0, len(content), 7):
        rotten = content[:position] + bytes([content[position] ^ 0x20]) + content[position + 1 :]
        kept = decode(rotten).records
        assert len(kept) >= len(whole) - 2  # a lost newline joins two lines
        assert set(kept) <= set(whole)


def test_replaying_a_compacted_journal_gives_the_same_ledger() -> None:
    for seed in range(20):
        content = b"".join(line for line, _ in history(seed))
        first = replayed(content)
        again = replayed(b"".join(encode(record) for record in first.records(float(OPERATIONS))))

        assert again.leases() == first.leases()
        assert set(again.held_blocks(20.0)) == set(first.held_blocks(20.0))
        assert again.records(20.0) == first.records(20.0)
