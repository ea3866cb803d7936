"""Conditions as metav1.Condition wants them: the transition time moves only with the status.

Ready is always there. Abnormal ones (Stalled, Reconciling, Exhausted, ...) are there only while they hold,
which is what kstatus, Flux and Argo CD read.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from fairlead_core.api import Condition, ConditionStatus

MESSAGE_BYTES_MAX = 32768


@dataclass(frozen=True, slots=True)
class Finding:
    """One condition to be, without its history."""

    type: str
    status: ConditionStatus
    reason: str
    message: str


def settle(
    old: Iterable[Condition], findings: Iterable[Finding], generation: int, now: datetime
) -> tuple[Condition, ...]:
    """The conditions to write, by type; one whose status did not change keeps its transition time."""
    since = {(one.type, one.status): one.last_transition_time for one in old}
    return tuple(
        Condition(
            type=found.type,
            status=found.status,
            reason=found.reason,
            message=found.message[:MESSAGE_BYTES_MAX],
            last_transition_time=since.get((found.type, found.status)) or timestamp(now),
            observed_generation=generation,
        )
        for found in sorted(findings, key=lambda found: found.type)
    )


def turned(old: Iterable[Condition], new: Iterable[Condition]) -> tuple[Condition, ...]:
    """Conditions whose status or reason is not what it was: what an event should tell."""
    before = {one.type: (one.status, one.reason) for one in old}
    return tuple(one for one in new if before.get(one.type) != (one.status, one.reason))


def timestamp(now: datetime) -> str:
    """RFC 3339 in UTC with whole seconds, as metav1.Time writes it."""
    return now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def parse_timestamp(text: str) -> datetime | None:
    """The time of a metav1.Time; None for anything else."""
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError:
        return None
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)


def few(names: Iterable[str], most: int = 5) -> str:
    """ "a, b, c and 7 more": a list that a person can read at any scale."""
    known = list(names)
    if len(known) <= most:
        return ", ".join(known)
    return f"{', '.join(known[:most])} and {len(known) - most} more"
