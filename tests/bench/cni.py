"""C1 and C2: CNI ADD and DEL, against ptp and bridge with host-local.

Each contender has a network and a mount namespace of its own, 180 pods that stay, and 20 (C2: 32) more that
come and go in every block. All are called the same way: posix_spawn, configuration on stdin, answer on
stdout, wait. Ours gives every pod two addresses (IPv4 and IPv6) that are on disk before the answer; the
others give IPv4 only, as with IPv6 their answers wait for duplicate address detection.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import Any

from sandbox import cache
from tests.bench.plugins import reference_plugins
from tests.bench.rounds import Block, Rounds, bootstrap, interleave, pooled, ratios
from tests.bench.rows import Result, Row
from tests.cni.plugin import build
from tests.netns.real_agent import real_agent, spec

STAYING, MOVING, THREADS = 180, 20, 16
PARALLEL_PODS = 32
ADD_TARGET, DEL_TARGET, PARALLEL_TARGET, P99_TARGET_S = 0.5, 0.15, 3.0, 0.050
SETTLE_S = 10.0
REFERENCE, AGAIN = "ptp + host-local", "ptp + host-local again"


@dataclass
class Contender:
    """A caller process in its namespaces, and the commands that it understands."""

    name: str
    process: subprocess.Popen[str]
    numbers: Iterator[int] = field(default_factory=count)
    quiet_links: int = 0

    def ask(self, do: str, **arguments: object) -> dict[str, Any]:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps({"do": do, **arguments}) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.name}: the caller ended")
        answer: dict[str, Any] = json.loads(line)
        if answer.get("errors"):
            raise RuntimeError(f"{self.name}: {answer['errors'][0]}")
        return answer

    def settle(self, how_many: int) -> None:
        """Ends the moving pods' namespaces, as a runtime does after DEL, and waits for their links to go."""
        self.ask("create", first=STAYING, count=how_many)
        give_up = time.monotonic() + SETTLE_S
        while self.ask("links")["links"] > self.quiet_links:
            if time.monotonic() > give_up:
                raise RuntimeError(f"{self.name}: links are left behind after {SETTLE_S:.0f} s")
            time.sleep(0.01)

    def pods(self, how_many: int) -> list[tuple[int, str]]:
        """`how_many` of the moving pods' namespaces with new container ids."""
        return [(STAYING + index, f"moving-{next(self.numbers)}") for index in range(how_many)]


def sequential(quick: bool) -> Result:
    """C1: 20 ADDs, then 20 DELs, one after the other, on a node with 180 more pods."""
    with _contenders(MOVING) as contenders:
        deletes: dict[str, list[Block]] = {}
        blocks = {name: _sequential_block(c, deletes.setdefault(name, [])) for name, c in contenders.items()}
        rounds = interleave(blocks, 15 if quick else 40, _pids(contenders))
    gone = Rounds(deletes)
    for name, found in rounds.blocks.items():
        for add, delete in zip(found, deletes[name], strict=True):
            delete.foreign, delete.steal = add.foreign, add.steal
    rows = [*_rows("C1", "ADD", rounds, ADD_TARGET), *_rows("C1", "DEL", gone, DEL_TARGET)]
    return Result(rows, rounds.conditions())


def parallel(quick: bool) -> Result:
    """C2: 32 pods, each added and deleted, by 16 callers at once."""
    with _contenders(PARALLEL_PODS) as contenders:
        adds: dict[str, list[Block]] = {}
        blocks = {name: _parallel_block(c, adds.setdefault(name, [])) for name, c in contenders.items()}
        rounds = interleave(blocks, 15 if quick else 30, _pids(contenders))
        leaked = contenders["ours"].ask("links")["links"] - contenders["ours"].quiet_links
    rows = [*_rate_rows(rounds), *_p99_rows(adds, rounds.note(REFERENCE, AGAIN))]
    rows.append(Row("C2", "links left behind", "ours", leaked, "", target="0", met=leaked == 0))
    return Result(rows, rounds.conditions())


def _rate_rows(rounds: Rounds) -> list[Row]:
    faster = ratios(rounds.rates("ours"), rounds.rates(REFERENCE))
    interval = bootstrap(faster)
    ours = Row(
        id="C2",
        what="pods per second",
        contender="ours",
        value=statistics.median(rounds.rates("ours")),
        unit="/s",
        ratio=statistics.median(faster),
        interval=interval,
        target=f">= {PARALLEL_TARGET:.0f} x",
        met=interval[0] >= PARALLEL_TARGET,
        note=rounds.note(REFERENCE, AGAIN),
    )
    return [ours, *_others("C2", "pods per second", rounds)]


def _p99_rows(adds: dict[str, list[Block]], note: str) -> list[Row]:
    rows = []
    for name, blocks in adds.items():
        p99, interval = pooled([block.latencies_s for block in blocks], 0.99)
        millis = (interval[0] * 1e3, interval[1] * 1e3)
        row = Row("C2", "p99 ADD", name, p99 * 1e3, "ms", interval=millis)
        if name == "ours":
            met = interval[1] <= P99_TARGET_S
            row = replace(row, target=f"<= {P99_TARGET_S * 1e3:.0f} ms", met=met, note=note)
        rows.append(row)
    return rows


def _sequential_block(contender: Contender, deletes: list[Block]) -> Callable[[], Block]:
    def block() -> Block:
        pods = contender.pods(MOVING)
        added = contender.ask("run", verb="ADD", pods=pods, threads=1)["ADD"]
        gone = contender.ask("run", verb="DEL", pods=pods, threads=1)["DEL"]
        deletes.append(Block(1 / statistics.median(gone), gone))
        return Block(1 / statistics.median(added), added, lambda: contender.settle(MOVING))

    return block


def _parallel_block(contender: Contender, adds: list[Block]) -> Callable[[], Block]:
    def block() -> Block:
        answer = contender.ask("cycle", pods=contender.pods(PARALLEL_PODS), threads=THREADS)
        adds.append(Block(0.0, answer["ADD"]))
        rate = PARALLEL_PODS / answer["elapsed_s"]
        return Block(rate, answer["DEL"], lambda: contender.settle(PARALLEL_PODS))

    return block


def _rows(which: str, verb: str, rounds: Rounds, target: float) -> list[Row]:
    ours = [1e3 / rate for rate in rounds.rates("ours")]
    share = ratios(ours, [1e3 / rate for rate in rounds.rates(REFERENCE)])
    interval = bootstrap(share)
    row = Row(
        id=which,
        what=f"{verb}, median",
        contender="ours",
        value=statistics.median(ours),
        unit="ms",
        ratio=statistics.median(share),
        interval=interval,
        target=f"<= {target} x",
        met=interval[1] <= target,
        note=rounds.note(REFERENCE, AGAIN),
    )
    return [row, *_others(which, f"{verb}, median", rounds, as_time=True)]


def _others(which: str, what: str, rounds: Rounds, as_time: bool = False) -> list[Row]:
    def figures(name: str) -> list[float]:
        return [1e3 / rate for rate in rounds.rates(name)] if as_time else rounds.rates(name)

    rows = []
    for name in (name for name in rounds.blocks if name != "ours"):
        share = ratios(figures(name), figures(REFERENCE))
        row = Row(which, what, name, statistics.median(figures(name)), "ms" if as_time else "/s", 1.0)
        if name != REFERENCE:
            label = f"{name} (A/A)" if name == AGAIN else name
            row = replace(row, contender=label, ratio=statistics.median(share), interval=bootstrap(share))
        rows.append(row)
    return rows


def _pids(contenders: dict[str, Contender]) -> Callable[[], Sequence[int]]:
    callers = {contender.process.pid for contender in contenders.values()}
    return lambda: [*callers, *_AGENTS]


_AGENTS: list[int] = []


@contextmanager
def _contenders(moving: int) -> Iterator[dict[str, Contender]]:
    """Ours, ptp, ptp again (the same one) and bridge, each with its staying pods."""
    home = Path(tempfile.mkdtemp(prefix="bench-cni-", dir=_on_disk()))
    before, tempfile.tempdir = tempfile.tempdir, str(home)
    try:
        with ExitStack() as stack:
            binary = build("all", "fairlead")
            agent = stack.enter_context(real_agent(binary, spec((23, 119)), 60.0))
            _AGENTS[:] = [agent.process.pid]
            stack.callback(_AGENTS.clear)
            conf = json.loads(agent.plugin.conf(prevResult=None))
            ours = _caller(stack, "ours", home, binary, conf, f"--net=/run/netns/{agent.netns}")
            ptp = _reference(stack, "ptp", home)
            bridge = _reference(stack, "bridge", home)
            for contender in (ours, ptp, bridge):
                contender.ask("create", first=0, count=STAYING + moving)
                pods = [(number, f"staying-{number}") for number in range(STAYING)]
                contender.ask("run", verb="ADD", pods=pods, threads=1)
                contender.quiet_links = contender.ask("links")["links"]
            yield {"ours": ours, REFERENCE: ptp, "bridge + host-local": bridge, AGAIN: ptp}
    finally:
        tempfile.tempdir = before
        shutil.rmtree(home, ignore_errors=True)


def _reference(stack: ExitStack, kind: str, home: Path) -> Contender:
    ipam = {
        "type": "host-local",
        "dataDir": str(home / f"{kind}-data"),
        "ranges": [[{"subnet": "10.98.0.0/23"}]],
        "routes": [{"dst": "0.0.0.0/0"}],
    }
    conf = {"cniVersion": "1.0.0", "name": "bench", "type": kind, "mtu": 1450, "ipam": ipam}
    if kind == "bridge":
        conf |= {"bridge": "br0", "isGateway": True}
    return _caller(stack, f"{kind} + host-local", home, reference_plugins() / kind, conf, "--net")


def _caller(
    stack: ExitStack, name: str, home: Path, plugin: Path, conf: dict[str, object], net: str
) -> Contender:  # fmt: skip
    folder = Path(tempfile.mkdtemp(prefix="caller-", dir=home))
    (folder / "netns").mkdir()
    (folder / "conf.json").write_text(json.dumps(conf))
    config = {"plugin": str(plugin), "conf": str(folder / "conf.json"), "netns": str(folder / "netns")}
    (folder / "caller.json").write_text(json.dumps(config))
    enter = ["unshare", "--net", "--mount"] if net == "--net" else ["nsenter", net, "unshare", "--mount"]
    command = [
        *enter,
        sys.executable,
        "-S",
        str(Path(__file__).with_name("caller.py")),
        str(folder / "caller.json"),
    ]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ}
    )
    stack.callback(_end, process)
    return Contender(name, process)


def _end(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.close()
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _on_disk() -> Path:
    cache.root().mkdir(parents=True, exist_ok=True)
    return cache.root()
