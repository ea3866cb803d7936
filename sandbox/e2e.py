"""Kubernetes' own end-to-end tests, unmodified, against the sandbox."""

from __future__ import annotations

import subprocess

from sandbox import cluster, images, programs
from sandbox.progress import SandboxError, say
from sandbox.state import State
from sandbox.topology import Topology

TIMEOUT_S = 5400


def run(place: State, plan: Topology, focus: str, skip: str) -> int:
    """Build the suite once, give the nodes its images, run what `focus` matches; the suite's exit code."""
    programs.build(["e2e.test"])
    programs.link_all(place)
    images.load(place, plan, images.for_e2e())
    reports = place.root / "e2e"
    reports.mkdir(exist_ok=True)
    say(f"e2e: focus {focus!r} skip {skip!r}; reports in {reports}")
    # From core, as a machine of the cluster's own network: some tests speak to nodes directly.
    words = flags(place, plan, focus, skip, str(reports))
    argv = cluster.inside(place, plan.core, [place.bin / "e2e.test", *words])
    try:
        return subprocess.run(argv, timeout=TIMEOUT_S, check=False).returncode
    except subprocess.TimeoutExpired as error:
        message = f"the end-to-end tests did not end within {TIMEOUT_S} s: choose fewer with FOCUS"
        raise SandboxError(message) from error


def flags(place: State, plan: Topology, focus: str, skip: str, reports: str) -> list[str]:
    """The suite's command line."""
    return [
        f"--kubeconfig={place.kubeconfig}",
        "--provider=skeleton",
        f"--num-nodes={len(plan.nodes)}",
        f"--ginkgo.focus={focus}",
        *([f"--ginkgo.skip={skip}"] if skip else []),
        "--ginkgo.no-color",
        f"--ginkgo.timeout={TIMEOUT_S - 60}s",
        "--disable-log-dump",
        f"--report-dir={reports}",
    ]
