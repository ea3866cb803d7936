"""Which benchmarks there are. Each is a function (quick) -> Result; imports happen when one is run."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

from tests.bench.rows import Result, Row

Benchmark = Callable[[bool], Result]


def planner(quick: bool) -> Result:
    """P1: the plan of a large cluster; no contender, no target."""
    from tests.bench.planner import run  # noqa: PLC0415 - only the chosen benchmark's imports

    report = run(quick)
    cases = report.pop("cases")
    assert isinstance(cases, list)
    rows = [
        Row("P1", case["case"], "ours", case["seconds"], "s", note=f"{case['case']}: {case['writes']} writes")
        for case in cases
    ]
    return Result(rows, report)


def _in_module(module: str, function: str = "run") -> Benchmark:
    def run(quick: bool) -> Result:
        benchmark: Benchmark = getattr(import_module(f"tests.bench.{module}"), function)
        return benchmark(quick)

    return run


BENCHMARKS: dict[str, Benchmark] = {
    "P1": planner,
    "C1": _in_module("cni", "sequential"),
    "C2": _in_module("cni", "parallel"),
    "C4": _in_module("ipam"),
}
QUICK = ("P1", "C1", "C2", "C4")
