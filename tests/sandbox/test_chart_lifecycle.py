"""The life of a release: upgrade, rollback, uninstall, and back again, on a cluster of its own."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.sandbox.cluster import ROOT, Cluster, run

pytestmark = [pytest.mark.sandbox, pytest.mark.slow, pytest.mark.timeout(900)]

CHART = str(ROOT / "charts/fairlead")
NAMESPACE = "fairlead-system"
KEPT = ("crd", "ippools", "bgppeers", "nodenetworks")


def helm(cluster: Cluster, *args: str) -> str:
    program = [str(cluster.state / "bin/helm"), f"--kubeconfig={cluster.state / 'kubeconfig'}"]
    return run([*program, "-n", NAMESPACE, *args], timeout_s=240)


@pytest.fixture(scope="module")
def own() -> Iterator[Cluster]:
    """A second sandbox beside the default one: an uninstall would take the network from everybody's pods."""
    second = Cluster("release")
    second.sandbox("up", "--nodes", "1", timeout_s=600)
    yield second
    second.sandbox("down", timeout_s=180)


@pytest.fixture(scope="module")
def values(own: Cluster) -> str:
    """The values that the sandbox has installed with, as JSON, which Helm takes for a values file."""
    return helm(own, "get", "values", "fairlead", "-o", "json")


def install(cluster: Cluster, values: str, *more: str) -> None:
    file = cluster.state / "run" / "values.json"
    file.write_text(values)
    helm(cluster, "upgrade", "--install", "fairlead", CHART, "-f", str(file), *more)
    rolled_out(cluster)


def rolled_out(cluster: Cluster) -> None:
    rollout = ["rollout", "status", "ds/fairlead-agent", "-n", NAMESPACE, "--timeout=150s"]
    cluster.kubectl(*rollout, timeout_s=180)


def uids(cluster: Cluster) -> dict[str, dict[str, str]]:
    """Every object that an uninstall has to leave: the same uid means that it was never deleted."""
    return {
        kind: {one["metadata"]["name"]: one["metadata"]["uid"] for one in cluster.get(kind)["items"]}
        for kind in KEPT
    }


def touched(cluster: Cluster) -> str | None:
    agent: dict[str, Any] = cluster.get("daemonset", "fairlead-agent", "-n", NAMESPACE)
    annotations = agent["spec"]["template"]["metadata"].get("annotations", {})
    found: str | None = annotations.get("touched")
    return found


def test_an_upgrade_rolls_the_agents_and_a_rollback_rolls_them_back(own: Cluster, values: str) -> None:
    install(own, values)
    before = uids(own)

    install(own, values, "--set", "agent.podAnnotations.touched=yes")
    upgraded = touched(own)
    helm(own, "rollback", "fairlead")
    rolled_out(own)

    assert (upgraded, touched(own)) == ("yes", None)
    assert uids(own) == before


def test_an_upgrade_without_a_change_restarts_nothing(own: Cluster, values: str) -> None:
    install(own, values)
    before = own.get("daemonset", "fairlead-agent", "-n", NAMESPACE)["metadata"]["generation"]

    install(own, values)

    assert own.get("daemonset", "fairlead-agent", "-n", NAMESPACE)["metadata"]["generation"] == before


def test_an_upgrade_brings_new_schemas(own: Cluster, values: str) -> None:
    """What Helm itself would not do for a chart's crds/ folder."""
    install(own, values)
    column = [{"op": "remove", "path": "/spec/versions/0/additionalPrinterColumns"}]
    own.kubectl("patch", "crd", "ippools.fairlead.dev", "--type=json", "-p", json.dumps(column))

    install(own, values)

    crd = own.get("crd", "ippools.fairlead.dev")
    assert "additionalPrinterColumns" in crd["spec"]["versions"][0]


def test_an_uninstall_keeps_every_pool_and_a_new_install_takes_over(own: Cluster, values: str) -> None:
    install(own, values)
    before = uids(own)

    helm(own, "uninstall", "fairlead", "--wait", "--timeout", "120s")
    left = uids(own)
    install(own, values)

    assert left == before
    assert uids(own) == before
