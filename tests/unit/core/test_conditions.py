"""Conditions move their transition time with the status only; durations read as people write them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from fairlead_core.conditions import Finding, few, parse_timestamp, settle, timestamp, turned
from fairlead_core.durations import parse_seconds

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
LATER = NOON + timedelta(hours=1)


def test_a_new_message_does_not_move_the_transition_time() -> None:
    old = settle((), [Finding("Ready", "True", "Available", "1 of 4 granted")], 1, NOON)

    new = settle(old, [Finding("Ready", "True", "Available", "2 of 4 granted")], 2, LATER)

    assert new[0].last_transition_time == "2026-01-01T12:00:00Z"
    assert (new[0].message, new[0].observed_generation) == ("2 of 4 granted", 2)
    assert turned(old, new) == ()


def test_a_new_status_moves_it_and_is_told() -> None:
    old = settle((), [Finding("Ready", "True", "Available", "")], 1, NOON)

    new = settle(old, [Finding("Ready", "False", "Exhausted", "")], 1, LATER)

    assert new[0].last_transition_time == "2026-01-01T13:00:00Z"
    assert turned(old, new) == new


def test_an_abnormal_condition_is_removed_when_it_no_longer_holds() -> None:
    stalled = [Finding("Stalled", "True", "Invalid", ""), Finding("Ready", "False", "Invalid", "")]
    old = settle((), stalled, 1, NOON)

    new = settle(old, [Finding("Ready", "True", "Available", "")], 2, LATER)

    assert [one.type for one in old] == ["Ready", "Stalled"]
    assert [one.type for one in new] == ["Ready"]


def test_times_are_utc_with_whole_seconds() -> None:
    east = datetime(2026, 1, 1, 14, 0, 0, 999999, tzinfo=timezone(timedelta(hours=2)))

    assert timestamp(east) == "2026-01-01T12:00:00Z"
    assert parse_timestamp("2026-01-01T12:00:00Z") == NOON
    assert parse_timestamp("yesterday") is None


def test_long_lists_are_cut_with_their_count() -> None:
    assert few(["a", "b"]) == "a, b"
    assert few([f"n{number}" for number in range(9)], most=2) == "n0, n1 and 7 more"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("9s", 9), ("1m30s", 90), ("1h", 3600), ("0s", 0), ("", None), ("9", None), ("-1s", None),
     ("1.5s", None), ("1s1m", None), ("9s ", None)],
)  # fmt: skip
def test_durations_are_whole_seconds_or_nothing(text: str, seconds: int | None) -> None:
    assert parse_seconds(text) == seconds
