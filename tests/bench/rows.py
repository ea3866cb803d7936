"""What a benchmark answers: rows of a table, and files under bench/results."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

RESULTS = Path(__file__).resolve().parents[2] / "bench" / "results"
HEADER = ("id", "what", "contender", "value", "unit", "ratio", "95 % interval", "target", "met")


@dataclass(frozen=True, slots=True)
class Row:
    """One figure. `value` is absolute, for people; only `ratio` (ours to the contender) is claimed.

    `interval` is the 95 % interval of the ratio, or of the value where the target is absolute. `met` is None
    where there is no target. `note` says what limits it; "not valid ..." voids it.
    """

    id: str
    what: str
    contender: str
    value: float
    unit: str
    ratio: float | None = None
    interval: tuple[float, float] | None = None
    target: str = ""
    met: bool | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class Result:
    """All rows of one benchmark; `conditions` is what a reader must know to believe them."""

    rows: Sequence[Row]
    conditions: dict[str, object] = field(default_factory=dict)


def write(name: str, result: Result) -> Path:
    """Keeps a result as bench/results/<name>.json."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    path = RESULTS / f"{name}.json"
    rows = [asdict(row) for row in result.rows]
    path.write_text(json.dumps({"rows": rows, "conditions": result.conditions}, indent=2) + "\n")
    return path


def table(rows: Sequence[Row]) -> str:
    """The rows for a terminal; notes below."""
    lines = [HEADER, *(_cells(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEADER))]
    body = [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    ]
    notes = dict.fromkeys(f"  {row.id}: {row.note}" for row in rows if row.note)
    return "\n".join([*body, *notes])


def _cells(row: Row) -> tuple[str, ...]:
    ratio = "" if row.ratio is None else f"{row.ratio:.3g} x"
    interval = "" if row.interval is None else f"{row.interval[0]:.3g} .. {row.interval[1]:.3g}"
    met = {None: "", True: "met", False: "NOT met"}[row.met]
    if met and row.note.startswith("not valid"):
        met = f"({met})"
    return (row.id, row.what, row.contender, f"{row.value:.4g}", row.unit, ratio, interval, row.target, met)
