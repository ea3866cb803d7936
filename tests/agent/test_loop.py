"""The loop: what is accepted is kept and followed; whatever fails, the rest goes on."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest

from fairlead_agent.desired import LastGood
from fairlead_agent.ipam import open_ipam
from fairlead_agent.locks import KeyedLocks
from fairlead_agent.loop import Loop, Parts
from fairlead_agent.metrics import Metrics
from fairlead_agent.node import NodeState
from fairlead_agent.ports import PortError
from fairlead_agent.report import Reporter
from fairlead_agent.settings import Settings
from fairlead_agent.verbs import Verbs
from fairlead_agent.watch import Offer
from fairlead_core.api import NodeNetworkSpec, NodeNetworkStatus, SecretRef
from fairlead_core.cni import AttachmentKey
from fairlead_core.lease import Lease
from tests.fakes.ipam import owner, pool, spec
from tests.fakes.kernel import FakeKernel, FakeSpool, link

FIRST = spec(("10.0.0.0/26", "four"), pools=[pool("four")], revision=1)
SECOND = spec(("10.0.0.0/26", "four"), ("10.0.0.64/26", "four"), pools=[pool("four")], revision=2)
EMPTY = NodeNetworkSpec(revision=3)


@dataclass
class FakeSource:
    """Offers what a test says; keeps what is published."""

    offer: Offer | None = None
    broken: str = ""
    written: list[NodeNetworkStatus] = field(default_factory=list)

    def start(self, wake: Callable[[], None]) -> None: ...

    def offered(self) -> Offer | None:
        if self.broken:
            raise PortError(self.broken)
        return self.offer

    def publish(self, status: NodeNetworkStatus) -> None:
        self.written.append(status)

    def secret(self, ref: SecretRef) -> str | None:
        return None

    def age_s(self) -> float:
        return 0.0


@dataclass
class FakeTarget:
    """Remembers the revisions it was asked for; raises when told to."""

    error: Exception | None = None
    revisions: list[int] = field(default_factory=list)

    def realise(self, desired: NodeNetworkSpec) -> None:
        self.revisions.append(desired.revision)
        if self.error:
            raise self.error


class Bench:
    """A loop over fakes, a real journal and real files."""

    def __init__(self, directory: Path, **targets: FakeTarget) -> None:
        self.directory = directory
        self.settings = Settings(
            "node7", state_dir=directory, run_dir=directory, cni_conf_dir=directory / "net.d"
        )
        self.source, self.node, self.spool = FakeSource(), NodeState(), FakeSpool()
        self.kernel = FakeKernel(node_links={"eth0": link("eth0", 2)})
        self.ipam = open_ipam(self.settings.journal_path, "node7")
        self.reporter = Reporter(self.source.publish, 10)
        verbs = Verbs(
            self.ipam, self.kernel, self.node, self.spool,
            locks=KeyedLocks(), wake=lambda: None, block_wait_s=0,
        )  # fmt: skip
        parts = Parts(
            settings=self.settings, source=self.source, ipam=self.ipam, kernel=cast(Any, self.kernel),
            node=self.node, verbs=verbs, last_good=LastGood(self.settings.desired_path), targets=targets,
            peers=tuple, reporter=self.reporter, metrics=Metrics(lambda: None, lambda: 0.0, dict),
            serving=lambda: True, sweep_at_start=lambda: None,
        )  # fmt: skip
        self.loop = Loop(parts, threading.Event())

    def offer(self, desired: NodeNetworkSpec, generation: int = 1) -> None:
        self.source.offer = Offer(desired, generation)
        self.loop.run_pass()

    def conditions(self) -> dict[str, str]:
        assert self.reporter.latest is not None
        return {c.type: f"{c.status} {c.reason}: {c.message}" for c in self.reporter.latest.conditions}

    def take(self, container: str) -> Lease:
        taken = self.ipam.take(owner(container), f"fl{container}", "f2:00:00:00:00:01", "f6:00:00:00:00:02")
        assert isinstance(taken, Lease)
        return taken


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path, first=FakeTarget(), second=FakeTarget())
    yield made
    made.ipam.close()


def test_an_accepted_spec_is_on_disk_in_the_ledger_and_realised(bench: Bench) -> None:
    bench.offer(FIRST)

    assert LastGood(bench.settings.desired_path).load() == FIRST
    assert bench.take("c1").addresses
    assert bench.conditions()["Ready"].startswith("True Realised")


def test_an_emptied_or_older_spec_is_refused_and_the_last_good_one_stays(bench: Bench) -> None:
    bench.offer(SECOND)
    bench.take("c1")

    bench.offer(EMPTY, generation=9)

    assert bench.node.spec == SECOND
    assert "SpecRefused" in bench.conditions()["Stalled"]
    assert bench.conditions()["Ready"].startswith("True")
    bench.offer(SECOND, generation=10)
    assert "Stalled" not in bench.conditions()


def test_without_an_offer_the_agent_resumes_from_disk(bench: Bench) -> None:
    LastGood(bench.settings.desired_path).save(FIRST)

    bench.loop.resume()

    assert bench.node.spec == FIRST
    assert bench.loop.unready() == ""


def test_a_source_that_fails_does_not_stop_the_targets(tmp_path: Path) -> None:
    target = FakeTarget()
    bench = Bench(tmp_path, only=target)
    bench.offer(FIRST)

    bench.source.broken = "desired state decode: garbage"
    bench.loop.run_pass()

    assert target.revisions == [1, 1]
    assert "garbage" in bench.conditions()["Ready"]


@pytest.mark.parametrize("error", [PortError("route x put: no buffer space"), ZeroDivisionError("a bug")])
def test_a_failing_target_is_told_and_the_next_has_its_turn(tmp_path: Path, error: Exception) -> None:
    broken, sound = FakeTarget(error), FakeTarget()
    bench = Bench(tmp_path, routes=broken, bgp=sound)

    bench.offer(FIRST)

    assert sound.revisions == [1]
    assert str(error) in bench.conditions()["Ready"]
    broken.error = None
    bench.loop.run_pass()
    assert bench.conditions()["Ready"].startswith("True")


def test_after_a_failure_the_next_pass_comes_sooner(tmp_path: Path) -> None:
    target = FakeTarget(PortError("BIRD is away"))
    bench = Bench(tmp_path, bgp=target)

    pauses_s = []
    for _ in range(6):
        bench.offer(FIRST)
        pauses_s.append(bench.loop.pause_s())
    target.error = None
    bench.loop.run_pass()

    assert pauses_s == [2, 4, 8, 10, 10, 10]
    assert bench.loop.pause_s() == 10


def test_a_spec_that_cannot_be_kept_on_disk_is_not_followed(bench: Bench) -> None:
    (bench.directory / ".desired.json.tmp").mkdir()

    bench.offer(FIRST)

    assert bench.node.spec is None
    assert "NoSpec" in bench.conditions()["Ready"]
    assert "desired.json write" in bench.conditions()["Ready"]
    assert bench.reporter.due_s(0.0) == 0.0


def test_the_conflist_is_written_when_there_are_blocks_and_comes_back(bench: Bench) -> None:
    bench.loop.run_pass()
    assert not bench.settings.conflist_path.exists()

    bench.offer(FIRST)
    assert bench.settings.conflist_path.exists()

    bench.settings.conflist_path.unlink()
    bench.loop.run_pass()
    assert bench.settings.conflist_path.stat().st_mode & 0o777 == 0o644


def test_pods_get_the_uplinks_mtu(bench: Bench) -> None:
    bench.kernel.node_links["eth0"] = link("eth0", 2).__class__(2, "eth0", "", 9000, True, 0, "", 0)

    bench.offer(FIRST)

    assert bench.node.mtu_bytes == 9000


def test_remembered_dels_are_carried_out_before_anything_is_served(bench: Bench) -> None:
    bench.offer(FIRST)
    bench.take("c1")
    bench.spool.keys.add(AttachmentKey("c1", "eth0"))

    bench.loop.resume()

    assert bench.ipam.leases() == ()


def test_a_loop_that_runs_is_healthy_and_stops_when_told(bench: Bench) -> None:
    thread = threading.Thread(target=bench.loop.run)
    thread.start()

    assert bench.loop.unhealthy() == ""
    bench.loop.stop()
    thread.join(timeout=10)
    assert not thread.is_alive()
