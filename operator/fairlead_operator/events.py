"""Events on objects: what turned, told once, in the words of the condition."""

from __future__ import annotations

import time
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, Final

from fairlead_core.api import API_VERSION, Condition

EVENTS: Final = (
    "/apis/events.k8s.io/v1/namespaces/default/events"  # where events on cluster-scoped objects live
)
NOTE_BYTES_MAX: Final = 1024
CONTROLLER: Final = "fairlead.dev/operator"


def events_of(
    kind: str, name: str, uid: str, turned: Iterable[Condition], instance: str
) -> list[dict[str, Any]]:
    """One event per message; Ready speaks first, so that the same words do not come twice."""
    told: dict[str, Condition] = {}
    for condition in sorted(turned, key=lambda one: one.type != "Ready"):
        told.setdefault(condition.message, condition)
    return [_event(kind, name, uid, condition, instance) for condition in told.values()]


def _event(kind: str, name: str, uid: str, condition: Condition, instance: str) -> dict[str, Any]:
    good = condition.type == "Ready" and condition.status == "True"
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {"name": f"{name[:200]}.{time.time_ns():x}", "namespace": "default"},
        "eventTime": now,
        "reportingController": CONTROLLER,
        "reportingInstance": instance[:128],
        "action": "Plan",
        "reason": condition.reason[:128],
        "regarding": {"apiVersion": API_VERSION, "kind": kind, "name": name, "uid": uid},
        "note": condition.message[:NOTE_BYTES_MAX],
        "type": "Normal" if good else "Warning",
    }
