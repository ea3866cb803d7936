"""A sandbox beside the default one comes and goes without a trace."""

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.sandbox.cluster import ROOT, Cluster, run, wait_until

pytestmark = [pytest.mark.sandbox, pytest.mark.slow]
NAME = "gone"
UP_TIMEOUT_S = 240


def traces() -> dict[str, set[str]]:
    """Everything of a sandbox that the host could keep, by kind."""
    mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    return {
        "links": {
            line.split(":")[1].split("@")[0].strip() for line in run(["ip", "-o", "link"]).splitlines()
        },
        "namespaces": set(run(["ip", "netns", "list"]).split()),
        "mounts": {line.split()[4] for line in mounts},
        "cgroups": {str(path) for path in Path("/sys/fs/cgroup").glob("*/fl-*")},
        "processes": {path.parent.name for path in Path("/proc").glob("[0-9]*/cmdline") if ours(path)},
        "routes": set(run(["ip", "route"]).splitlines()),
    }


def ours(cmdline: Path) -> bool:
    try:
        return f".sandbox/{NAME}/".encode() in cmdline.read_bytes()
    except OSError:
        return False


def left_over(before: dict[str, set[str]]) -> dict[str, set[str]]:
    """What is there now, was not there before, and carries the sandbox's name: others may work beside us."""
    now = traces()
    return {
        kind: found
        for kind in now
        if (found := {one for one in now[kind] - before[kind] if NAME in one or kind == "processes"})
    }


@pytest.fixture
def other() -> Cluster:
    return Cluster(NAME)


def test_down_leaves_nothing_of_a_cluster_that_ran_pods(other: Cluster) -> None:
    before = traces()

    other.sandbox("up", "--nodes", "1", timeout_s=UP_TIMEOUT_S)
    other.kubectl("run", "web", "--image=registry.k8s.io/e2e-test-images/agnhost:2.63.0")
    other.kubectl("wait", "--for=condition=Ready", "pod/web", "--timeout=60s", timeout_s=90)
    during = left_over(before)
    other.sandbox("down")

    assert set(during) >= {"links", "namespaces", "cgroups", "processes"}
    wait_until("nothing is left", lambda: not left_over(before), timeout_s=10)


@pytest.mark.parametrize("after_s", [0.7, 1.5])
def test_a_start_that_was_interrupted_blocks_neither_the_next_start_nor_down(
    other: Cluster, after_s: float
) -> None:
    before = traces()

    starting = subprocess.Popen(
        [*other.command, "up", "--nodes", "1", "--bare"], cwd=ROOT, start_new_session=True
    )
    time.sleep(after_s)
    os.killpg(starting.pid, signal.SIGINT)
    starting.wait(timeout=60)
    other.sandbox("up", "--bare", timeout_s=UP_TIMEOUT_S)
    nodes = other.nodes()
    other.sandbox("down")

    assert nodes == ["node1"]
    wait_until("nothing is left", lambda: not left_over(before), timeout_s=10)


def test_down_of_one_sandbox_leaves_the_other_alone(cluster: Cluster, other: Cluster) -> None:
    other.sandbox("up", "--nodes", "1", "--bare", timeout_s=UP_TIMEOUT_S)
    other.sandbox("down")

    assert " DOWN" not in cluster.sandbox("status")
