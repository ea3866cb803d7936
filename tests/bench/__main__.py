"""`python -m tests.bench [--quick] [--only ID ...]`: benchmarks with their contenders in the same run."""

from __future__ import annotations

import argparse
import os
import sys
import time
import traceback
from contextlib import suppress
from pathlib import Path

for package in ("core", "kube", "operator", "nodeagent", "cli"):
    sys.path.insert(0, str(Path(__file__).resolve().parents[2] / package))

from tests.bench.registry import BENCHMARKS, QUICK  # noqa: E402 - needs the path above
from tests.bench.rows import Row, table, write  # noqa: E402


def _favour_this_session() -> None:
    """A session of its own before all others, so that other work on the machine disturbs less; root only."""
    with suppress(OSError):
        os.setsid()
    with suppress(OSError):
        Path("/proc/self/autogroup").write_text("-20")


def main() -> int:
    """Runs what was asked for, writes bench/results/<id>.json, prints one table. 1 when one could not run."""
    arguments = _arguments()
    _favour_this_session()
    chosen = arguments.only or (QUICK if arguments.quick else tuple(BENCHMARKS))
    rows: list[Row] = []
    broken: list[str] = []
    for name in chosen:
        began = time.monotonic()
        try:
            result = BENCHMARKS[name](arguments.quick)
        except Exception:  # one benchmark that cannot run must not hide the others
            traceback.print_exc()
            broken.append(name)
            continue
        rows += result.rows
        print(f"{name}: {time.monotonic() - began:.0f} s, {write(name, result)}", flush=True)
    print(table(rows))
    for name in broken:
        print(f"{name}: could not run, see above")
    return 1 if broken else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer rounds, the short benchmarks only")
    parser.add_argument(
        "--only", nargs="+", choices=sorted(BENCHMARKS), metavar="ID", help=", ".join(BENCHMARKS)
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
