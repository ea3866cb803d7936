"""C4: addresses given per second with a durable journal, against the host-local plugin.

Both give one IPv4 and one IPv6 address per call, out of 4,096 of each family, on the same disk, on a node
that already has 180 pods. Ours answers after fdatasync; host-local writes files and does not sync.
host-local is started once per address, as a runtime does; ours is called inside the agent, as the agent
does (C1 has what the plugin and the socket add).
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path
from threading import Thread

from fairlead_agent.ipam import NodeIPAM, open_ipam
from fairlead_core.lease import Lease, Owner
from sandbox import cache
from tests.bench.caller import call_plugin
from tests.bench.netns import empty_netns
from tests.bench.plugins import reference_plugins
from tests.bench.rounds import Block, Rounds, bootstrap, interleave, pooled, ratios
from tests.bench.rows import Result, Row
from tests.fakes.ipam import pool, spec

REFERENCE, AGAIN, BARE = "host-local", "host-local again", "bare fdatasync (ours to it)"
BLOCK_S = 0.45
THREADS = 16
SPEED_TARGET = 50.0
P99_TARGET_S = 0.001
STAYING = 180
MOVING_MAX = 3600


class Ours:
    """NodeIPAM with four blocks of 1,024 addresses per family."""

    def __init__(self, folder: Path) -> None:
        self._ipam: NodeIPAM = open_ipam(folder / "ipam.journal", "bench")
        four = [(f"10.244.{n * 4}.0/22", "four") for n in range(4)]
        six = [(f"fd00:244::{n * 1024:x}/118", "six") for n in range(4)]
        pools = [pool("four", cooldown_s=0), pool("six", "IPv6", cooldown_s=0)]
        self._ipam.reconfigure(spec(*four, *six, pools=pools))
        for number in range(STAYING):
            self.add(f"staying-{number}")

    def add(self, container_id: str) -> None:
        owner = Owner("default", "web-0", "6f1e0d3c-58a1-4f6e-9f0b-6c1d1f5f0a11", container_id, "eth0")
        lease = self._ipam.take(owner, "fl0123456789a", "02:00:00:00:00:01", "02:00:00:00:00:02")
        if not isinstance(lease, Lease) or len(lease.addresses) != 2:
            raise RuntimeError(f"take {container_id}: {lease}")

    def clear(self) -> None:
        moving = [
            lease for lease in self._ipam.leases() if not lease.owner.container_id.startswith("staying")
        ]
        _in_threads(self._release, moving)

    def _release(self, leases: Sequence[Lease]) -> None:
        for lease in leases:
            self._ipam.release(*lease.owner.key)


class BareDisk:
    """What durability alone costs: a line of the same length over zero bytes, and fdatasync; one caller."""

    LINE = b"x" * 399  # as long as the journal line of a take

    def __init__(self, folder: Path) -> None:
        self._fd = os.open(folder / "bare", os.O_RDWR | os.O_CREAT, 0o600)
        os.pwrite(self._fd, bytes(8 << 20), 0)
        os.fsync(self._fd)
        self._end = 0

    def add(self, _container_id: str) -> None:
        os.pwrite(self._fd, self.LINE, self._end)
        os.fdatasync(self._fd)
        self._end = (self._end + len(self.LINE)) % (7 << 20)

    def clear(self) -> None:
        pass


class HostLocal:
    """The plugin's binary with its own data directory."""

    def __init__(self, folder: Path, netns: str) -> None:
        self._netns = netns
        self._data = folder / "host-local"
        self._plugin = str(reference_plugins() / "host-local")
        ranges = [[{"subnet": "10.244.0.0/20"}], [{"subnet": "fd00:244::/116"}]]
        ipam = {"type": "host-local", "dataDir": str(self._data), "ranges": ranges}
        self._conf = folder / "host-local.json"
        self._conf.write_text(
            json.dumps({"cniVersion": "1.0.0", "name": "bench", "type": "ptp", "ipam": ipam})
        )
        for number in range(STAYING):
            self.add(f"staying-{number}")
        self._staying = set(self._data.rglob("*"))

    def add(self, container_id: str) -> None:
        env = {
            "CNI_COMMAND": "ADD",
            "CNI_CONTAINERID": container_id,
            "CNI_NETNS": self._netns,
            "CNI_IFNAME": "eth0",
            "CNI_PATH": "/",
        }
        _, status, answer = call_plugin(self._plugin, str(self._conf), env)
        if status or len(json.loads(answer)["ips"]) != 2:
            raise RuntimeError(f"host-local ADD {container_id}: {answer!r}")

    def clear(self) -> None:
        for path in set(self._data.rglob("*")) - self._staying:
            path.unlink()


def run(quick: bool) -> Result:
    """Sequential, and from 16 threads."""
    folder = Path(tempfile.mkdtemp(prefix="bench-ipam-", dir=_on_disk()))
    try:
        rounds = 15 if quick else 40
        with empty_netns() as netns:
            ours, theirs, bare = Ours(folder), HostLocal(folder, netns), BareDisk(folder)
            alone = interleave({**_contenders(ours, theirs, 1), BARE: lambda: _block(bare, 1)}, rounds)
            crowd = interleave(_contenders(ours, theirs, THREADS), rounds)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    rows = [*_rows("one caller", alone), *_rows(f"{THREADS} callers", crowd)]
    return Result(rows, {"one caller": alone.conditions(), f"{THREADS} callers": crowd.conditions()})


def _contenders(ours: Ours, theirs: HostLocal, threads: int) -> dict[str, Callable[[], Block]]:
    return {
        "ours": lambda: _block(ours, threads),
        REFERENCE: lambda: _block(theirs, threads),
        AGAIN: lambda: _block(theirs, threads),
    }


def _block(giver: Ours | HostLocal | BareDisk, threads: int) -> Block:
    names, latencies = count(), []
    began = time.perf_counter()

    def work() -> None:
        while time.perf_counter() - began < BLOCK_S and (number := next(names)) < MOVING_MAX:
            start = time.perf_counter()
            giver.add(f"{number:064x}")
            latencies.append(time.perf_counter() - start)

    if threads == 1:
        work()
    else:
        crew = [Thread(target=work) for _ in range(threads)]
        for thread in crew:
            thread.start()
        for thread in crew:
            thread.join()
    elapsed = time.perf_counter() - began
    return Block(len(latencies) / elapsed, latencies, giver.clear)


def _rows(what: str, rounds: Rounds) -> list[Row]:
    rates = {name: rounds.rates(name) for name in rounds.blocks}
    faster = {name: ratios(rates["ours"], rates[name]) for name in rates}
    faster[AGAIN] = ratios(rates[AGAIN], rates[REFERENCE])
    rows = []
    for name, found in rates.items():
        row = Row("C4", f"addresses per second, {what}", name, statistics.median(found), "/s")
        if name == "ours":
            interval = bootstrap(faster[REFERENCE])
            row = replace(
                row,
                ratio=statistics.median(faster[REFERENCE]),
                interval=interval,
                target=f">= {SPEED_TARGET:.0f} x",
                met=interval[0] >= SPEED_TARGET,
                note=rounds.note(REFERENCE, AGAIN),
            )
        if name == BARE:
            share = ratios(rates["ours"], rates[BARE])
            row = replace(row, ratio=statistics.median(share), interval=bootstrap(share))
        if name == AGAIN:
            again = faster[AGAIN]
            row = replace(
                row, contender="host-local (A/A)", ratio=statistics.median(again), interval=bootstrap(again)
            )
        rows.append(row)
    return rows + [_p99_row(what, rounds, name) for name in ("ours", REFERENCE)]


def _p99_row(what: str, rounds: Rounds, name: str) -> Row:
    p99, interval = pooled(rounds.latencies_s(name), 0.99)
    row = Row("C4", f"p99, {what}", name, p99 * 1e3, "ms", interval=(interval[0] * 1e3, interval[1] * 1e3))
    if name != "ours":
        return row
    target, met = f"<= {P99_TARGET_S * 1e3:.0f} ms", interval[1] <= P99_TARGET_S
    return replace(row, target=target, met=met, note=rounds.note(REFERENCE, AGAIN))


def _in_threads(work: Callable[[Sequence[Lease]], object], leases: Sequence[Lease]) -> None:
    crew = [Thread(target=work, args=(leases[start::THREADS],)) for start in range(THREADS)]
    for thread in crew:
        thread.start()
    for thread in crew:
        thread.join()


def _on_disk() -> Path:
    # Not /tmp: it may be a tmpfs, and then a sync costs nothing.
    cache.root().mkdir(parents=True, exist_ok=True)
    return cache.root()
