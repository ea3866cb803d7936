"""The command line against the real cluster: what it says is what kubectl and the pods say."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.sandbox.cluster import ROOT, Cluster, wait_until
from tests.sandbox.workload import start_echo_pods

pytestmark = pytest.mark.sandbox

PACKAGES = os.pathsep.join(str(ROOT / part) for part in ("core", "kube", "cli"))
PROGRAM = [sys.executable, "-c", "from fairlead_cli.main import main; main()"]


def fairlead(cluster: Cluster, *words: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PYTHONPATH": PACKAGES, "KUBECONFIG": str(cluster.state / "kubeconfig")}
    return subprocess.run(
        [*PROGRAM, *words], env=env, capture_output=True, text=True, timeout=60, check=False
    )


def told(cluster: Cluster, *words: str) -> Any:
    return json.loads(fairlead(cluster, *words, "-o", "json").stdout)


def test_status_is_healthy_and_counts_what_kubectl_counts(cluster: Cluster) -> None:
    wait_until("a healthy status", lambda: fairlead(cluster, "status").returncode == 0)

    view = told(cluster, "status")

    assert [row["name"] for row in view["nodes"]] == cluster.nodes()
    assert {row["agent"] for row in view["nodes"]} == {"Ready"}
    assert view["leader"]


def test_every_node_announces_its_blocks_and_nothing_else(cluster: Cluster) -> None:
    view = told(cluster, "bgp")

    assert view["differences"] == []
    assert all(row["announced"] for row in view["sessions"])
    assert len(view["sessions"]) == 2 * len(cluster.nodes())


def test_a_pod_is_found_by_each_of_its_addresses(cluster: Cluster, namespace: str) -> None:
    holder = start_echo_pods(cluster, namespace, {"holder": "node2"})["holder"]

    for address in holder.addresses:
        view = told(cluster, "ipam", "show", address)
        assert [one["pod"] for one in view["holders"]] == [f"{namespace}/holder"]
        assert view["node"] == "node2"
        assert view["told"] in fairlead(cluster, "ipam", "show", f"{namespace}/holder").stdout


def test_kubectl_finds_it_as_a_plugin(cluster: Cluster, tmp_path: Path) -> None:
    plugin = tmp_path / "kubectl-fairlead"
    words = (
        f'PYTHONPATH={PACKAGES} exec {sys.executable} -c "from fairlead_cli.main import main; main()" "$@"'
    )
    plugin.write_text(f"#!/bin/sh\n{words}\n")
    plugin.chmod(0o755)
    config = str(cluster.state / "kubeconfig")
    env = {**os.environ, "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}", "KUBECONFIG": config}

    kubectl = [str(cluster.state / "bin/kubectl"), "fairlead", "ipam", "why", "node1"]
    said = subprocess.run(kubectl, env=env, capture_output=True, text=True, timeout=60, check=False)

    assert said.stdout.startswith("pool pods-v4: "), said.stderr


def test_the_built_in_role_view_is_enough(cluster: Cluster, namespace: str, tmp_path: Path) -> None:
    account = f"system:serviceaccount:{namespace}:default"
    binding = ["clusterrolebinding", f"view-{namespace}"]
    cluster.kubectl("create", *binding, "--clusterrole=view", f"--serviceaccount={namespace}:default")
    token = cluster.kubectl("create", "token", "default", "-n", namespace).strip()
    config = yaml.safe_load((cluster.state / "kubeconfig").read_text())
    config["users"][0]["user"] = {"token": token}
    (tmp_path / "kubeconfig").write_text(yaml.safe_dump(config))

    try:
        wait_until(
            "rights of view",
            lambda: (
                "yes" in cluster.kubectl("auth", "can-i", "list", "ippools", f"--as={account}", check=False)
            ),
        )
        said = fairlead(cluster, "status", "--kubeconfig", str(tmp_path / "kubeconfig"))
    finally:
        cluster.kubectl("delete", *binding)

    assert said.stderr == ""
    count = len(cluster.nodes())
    assert f"{count} of {count} nodes ready" in said.stdout


def test_a_stopped_api_server_is_one_line_and_exit_code_2(cluster: Cluster, tmp_path: Path) -> None:
    """Not by stopping it, which would disturb other tests: an address of the fabric where nothing listens."""
    config = (cluster.state / "kubeconfig").read_text()
    lost = tmp_path / "kubeconfig"
    lost.write_text(config.replace(":6443", ":6444"))

    said = fairlead(cluster, "status", "--kubeconfig", str(lost))

    assert (said.returncode, said.stdout) == (2, "")
    assert said.stderr.startswith("fairlead: cannot reach the API server: ")
    assert said.stderr.count("\n") == 1
