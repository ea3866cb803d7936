"""Puts Fairlead on a cluster with its chart: on the sandbox, or on any other by its kubeconfig."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from sandbox import cache, cluster, images, programs
from sandbox.oci import Image
from sandbox.progress import SandboxError, step, wait_until
from sandbox.shell import attempt, run
from sandbox.state import REPOSITORY, State, write
from sandbox.topology import API_PORT, Topology

CHART = REPOSITORY / "charts" / "fairlead"
EXAMPLES = REPOSITORY / "crds" / "examples"
NAMESPACE = "fairlead-system"
RELEASE = "fairlead"
UPGRADE = ("upgrade", "--install", RELEASE, CHART, "-n", NAMESPACE, "--create-namespace")
READY_TIMEOUT_S = 120


def up(place: State, plan: Topology) -> None:
    """Fairlead's image and chart on the sandbox, and the images that tests use. Safe to repeat."""
    with step("images"):
        # A folder of this sandbox: another one may stage its own at the same time.
        own = images.fairlead(place.root / "context")
        images.load(place, plan, [images.pause(), own])
    write_command_line(place)
    if not installed(place, own):
        with step(f"chart, image {own.reference}"):
            helm_on_sandbox(place, plan, own)
            cluster.kubectl(place, "apply", "--server-side", "--force-conflicts", "-f", str(EXAMPLES))
        write(place.root / "run" / "installed", stamp(own))
    with step("test images"):
        images.load(place, plan, [images.agnhost(), images.busybox()])


def write_command_line(place: State) -> None:
    """`fairlead`, and so `kubectl fairlead`, in the sandbox's bin folder, from the files of the image."""
    folders = f"{images.libraries()}:{images.own_packages()}"
    start = "import sys; from fairlead_cli.main import main; sys.argv[0] = 'fairlead'; main()"
    for name in ("fairlead", "kubectl-fairlead"):
        text = f'#!/bin/sh\nPYTHONPATH="{folders}" exec "{sys.executable}" -c "{start}" "$@"\n'
        write(place.bin / name, text, 0o755)


def stamp(own: Image) -> str:
    return cache.digest(own.reference, cache.tree_digest(CHART, EXAMPLES)) + "\n"


def installed(place: State, own: Image) -> bool:
    """Whether the release on the cluster is what the files say."""
    mark = place.root / "run" / "installed"
    if not mark.exists() or mark.read_text() != stamp(own):
        return False
    return attempt([*helm(place), "status", RELEASE, "-n", NAMESPACE]).returncode == 0


def helm(place: State) -> list[str | Path]:
    return [place.bin / "helm", f"--kubeconfig={place.kubeconfig}"]


def kubectl(place: State) -> list[str | Path]:
    return [place.bin / "kubectl", f"--kubeconfig={place.kubeconfig}"]


def helm_on_sandbox(place: State, plan: Topology, own: Image) -> None:
    tag = own.reference.rpartition(":")[2]
    # A tag of digits only must stay a string.
    values = ["--set-string", f"image.tag={tag}"]
    values += ["--set", f"k8sServiceHost={plan.core.v4},k8sServicePort={API_PORT}"]
    run([*helm(place), *UPGRADE, *values, "--timeout", "60s"], timeout_s=90)


def elsewhere(kubeconfig: str, words: Sequence[str]) -> None:
    """Install the chart on a cluster that is not ours; `words` are for helm, such as --set image.tag=..."""
    if not kubeconfig or not os.access(kubeconfig, os.R_OK):
        raise SandboxError(f"kubeconfig {kubeconfig!r} cannot be read: say KUBECONFIG=path/of/a/kubeconfig")
    programs.build(["helm"])
    helm_there = [programs.path("helm"), f"--kubeconfig={kubeconfig}"]
    print(run([*helm_there, *UPGRADE, *words], timeout_s=600).rstrip())


def wait_ready(place: State, plan: Topology) -> None:
    """Until every node has its new agent and is Ready. Raises SandboxError with what nodes and pods say."""
    agents = [
        "-n",
        NAMESPACE,
        "rollout",
        "status",
        "daemonset/fairlead-agent",
        f"--timeout={READY_TIMEOUT_S}s",
    ]
    rollout = attempt([*kubectl(place), *agents], timeout_s=READY_TIMEOUT_S + 10)
    if rollout.returncode:
        raise SandboxError(not_ready(place))
    path = '{range .items[*]}{.metadata.name}={.status.conditions[?(@.type=="Ready")].status} {end}'

    def ready() -> bool:
        pairs = cluster.kubectl(place, "get", "nodes", "-o", f"jsonpath={path}").split()
        said = dict(pair.split("=") for pair in pairs)
        return all(said.get(one.name) == "True" for one in plan.nodes)

    wait_until(ready, READY_TIMEOUT_S, lambda: not_ready(place), 0.3)


def not_ready(place: State) -> str:
    """Why nodes are not Ready, as far as the cluster tells."""
    pods = cluster.kubectl(place, "get", "pods", "-n", NAMESPACE, "-o", "wide")
    nodes = cluster.kubectl(place, "get", "nodes")
    of_all = ["-l", "app.kubernetes.io/name=fairlead", "--all-containers", "--tail=8", "--prefix"]
    logs = attempt([*kubectl(place), "-n", NAMESPACE, "logs", *of_all], timeout_s=30)
    said = f"{nodes}{pods}{logs.stdout}{logs.stderr}"
    return f"nodes are not Ready\n{said}  likely cause: an agent, BIRD or the operator does not start"
