"""C4: addresses given per second with a durable journal, against the host-local plugin.

Both give one IPv4 and one IPv6 address per call, out of 4,096 of each family, on the same disk. Ours answers
after fdatasync; host-local writes files and does not sync. host-local is started once per address, as a runtime
does; ours is called inside the agent, as the agent does (what the plugin and the socket add is in C1).
"""

from __future__ import annotations

import json
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from itertools import count
from pathlib import Path
from threading import Thread

from fairlead_agent.ipam import NodeIPAM, open_ipam
from fairlead_core.lease import Lease, Owner
from sandbox import cache
from tests.bench.netns import empty_netns
from tests.bench.plugins import reference_plugins
from tests.bench.rounds import Block, Rounds, bootstrap, interleave, pooled, ratios
from tests.bench.rows import Result, Row
from tests.fakes.ipam import pool, spec

BLOCK_S = 0.45
THREADS = 16
SPEED_TARGET = 50.0
P99_TARGET_S = 0.001
HELD_MAX = 3800


class Ours:
    """NodeIPAM with 64 blocks of 64 addresses per family."""

    def __init__(self, folder: Path) -> None:
        self._ipam: NodeIPAM = open_ipam(folder / "ipam.journal", "bench")
        four = [(f"10.244.{n // 4}.{n % 4 * 64}/26", "four") for n in range(64)]
        six = [(f"fd00:244::{n * 64:x}/122", "six") for n in range(64)]
        pools = [pool("four", cooldown_s=0), pool("six", "IPv6", cooldown_s=0)]
        self._ipam.reconfigure(spec(*four, *six, pools=pools))

    def add(self, container_id: str) -> None:
        owner = Owner("default", "web-0", "6f1e0d3c-58a1-4f6e-9f0b-6c1d1f5f0a11", container_id, "eth0")
        lease = self._ipam.take(owner, "fl0123456789a", "02:00:00:00:00:01", "02:00:00:00:00:02")
        if not isinstance(lease, Lease) or len(lease.addresses) != 2:
            raise RuntimeError(f"take {container_id}: {lease}")

    def clear(self) -> None:
        _in_threads(self._release, self._ipam.leases())

    def _release(self, leases: Sequence[Lease]) -> None:
        for lease in leases:
            self._ipam.release(*lease.owner.key)


class HostLocal:
    """The plugin's binary with its own data directory."""

    def __init__(self, folder: Path, netns: str) -> None:
        self._netns = netns
        self._data = folder / "host-local"
        self._plugin = str(reference_plugins() / "host-local")
        ranges = [[{"subnet": "10.244.0.0/20"}], [{"subnet": "fd00:244::/116"}]]
        ipam = {"type": "host-local", "dataDir": str(self._data), "ranges": ranges}
        self._conf = json.dumps(
            {"cniVersion": "1.0.0", "name": "bench", "type": "ptp", "ipam": ipam}
        ).encode()

    def add(self, container_id: str) -> None:
        env = {
            "CNI_COMMAND": "ADD",
            "CNI_CONTAINERID": container_id,
            "CNI_NETNS": self._netns,
            "CNI_IFNAME": "eth0",
            "CNI_PATH": "/",
        }
        done = subprocess.run(
            [self._plugin], input=self._conf, env=env, capture_output=True, timeout=60, check=False
        )
        if done.returncode or len(json.loads(done.stdout)["ips"]) != 2:
            raise RuntimeError(f"host-local ADD {container_id}: {done.stdout!r}")

    def clear(self) -> None:
        shutil.rmtree(self._data, ignore_errors=True)


def run(quick: bool) -> Result:
    """Sequential, and from 16 threads."""
    folder = Path(tempfile.mkdtemp(prefix="bench-ipam-", dir=_on_disk()))
    try:
        rounds = 15 if quick else 40
        with empty_netns() as netns:
            ours, theirs = Ours(folder), HostLocal(folder, netns)
            alone = interleave(_contenders(ours, theirs, 1), rounds)
            crowd = interleave(_contenders(ours, theirs, THREADS), rounds)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    rows = [*_rows("one caller", alone), *_rows(f"{THREADS} callers", crowd)]
    return Result(rows, {"one caller": alone.conditions(), f"{THREADS} callers": crowd.conditions()})


def _contenders(ours: Ours, theirs: HostLocal, threads: int) -> dict[str, Callable[[], Block]]:
    return {
        "ours": lambda: _block(ours, threads),
        "host-local": lambda: _block(theirs, threads),
        "host-local again": lambda: _block(theirs, threads),
    }


def _block(giver: Ours | HostLocal, threads: int) -> Block:
    names, latencies = count(), []
    began = time.perf_counter()

    def work() -> None:
        while time.perf_counter() - began < BLOCK_S and (number := next(names)) < HELD_MAX:
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
    giver.clear()
    return Block(len(latencies) / elapsed, latencies)


def _rows(what: str, rounds: Rounds) -> list[Row]:
    ours, theirs, again = map(rounds.rates, ("ours", "host-local", "host-local again"))
    faster, same = ratios(ours, theirs), ratios(again, theirs)
    interval, p99 = bootstrap(faster), pooled(rounds.latencies_s("ours"), 0.99)
    host_local_p99 = pooled(rounds.latencies_s("host-local"), 0.99)
    note = "disturbed by other work on the machine" if rounds.conditions()["disturbed"] else ""
    return [
        Row("C4", f"addresses per second, {what}", "ours", statistics.median(ours), "/s",
            statistics.median(faster), interval, f">= {SPEED_TARGET:.0f} x", interval[0] >= SPEED_TARGET, note),
        Row("C4", f"addresses per second, {what}", "host-local", statistics.median(theirs), "/s", 1.0),
        Row("C4", f"addresses per second, {what}", "host-local again (A/A)", statistics.median(again), "/s",
            statistics.median(same), bootstrap(same)),
        Row("C4", f"p99, {what}", "ours", p99[0] * 1e3, "ms", None, (p99[1][0] * 1e3, p99[1][1] * 1e3),
            f"<= {P99_TARGET_S * 1e3:.0f} ms", p99[1][1] <= P99_TARGET_S, note),
        Row("C4", f"p99, {what}", "host-local", host_local_p99[0] * 1e3, "ms", None,
            (host_local_p99[1][0] * 1e3, host_local_p99[1][1] * 1e3)),
    ]  # fmt: skip


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
