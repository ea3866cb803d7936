"""A pool is drained and removed under running nodes."""

from collections.abc import Iterator

import pytest

from tests.sandbox.cluster import Cluster, wait_until
from tests.sandbox.workload import start_echo_pods

pytestmark = pytest.mark.sandbox

SPARE = {
    "apiVersion": "fairlead.dev/v1alpha1",
    "kind": "IPPool",
    "metadata": {"name": "spare-v4"},
    "spec": {"cidrs": ["10.245.0.0/24"], "blockSize": 26},
}
OVERLAPPING = {**SPARE, "metadata": {"name": "overlapping-v4"}, "spec": {"cidrs": ["10.244.252.0/24"]}}


def blocks(cluster: Cluster, pool: str) -> set[str]:
    networks = cluster.get("nodenetworks")["items"]
    return {b["cidr"] for item in networks for b in item["spec"]["blocks"] if b["pool"] == pool}


def set_state(cluster: Cluster, pool: str, state: str) -> None:
    cluster.kubectl("patch", "ippool", pool, "--type=merge", "-p", f'{{"spec":{{"state":"{state}"}}}}')


def condition(cluster: Cluster, pool: str, kind: str) -> str:
    found = cluster.get("ippool", pool)["status"].get("conditions", [])
    return next((entry["message"] for entry in found if entry["type"] == kind), "")


@pytest.fixture
def spare(cluster: Cluster) -> Iterator[str]:
    """A second pool beside the first, in a range that the router does not take: it serves within a node."""
    cluster.apply(SPARE)
    yield "spare-v4"
    set_state(cluster, "pods-v4", "Active")
    cluster.kubectl("delete", "ippool", "spare-v4", "--ignore-not-found", "--timeout=90s", timeout_s=100)


def test_an_overlapping_pool_is_in_conflict_and_the_older_one_goes_on(cluster: Cluster) -> None:
    cluster.apply(OVERLAPPING)
    try:
        wait_until("the conflict is said", lambda: condition(cluster, "overlapping-v4", "Conflict") != "", 30)

        assert "pods-v4" in condition(cluster, "overlapping-v4", "Conflict")
        cluster.kubectl("wait", "ippool/pods-v4", "--for=condition=Ready", "--timeout=10s")
    finally:
        cluster.kubectl("delete", "ippool", "overlapping-v4", "--timeout=60s", timeout_s=70)


@pytest.mark.timeout(300)
def test_a_drained_pool_gives_way_to_another_and_a_deleted_one_goes_when_nobody_uses_it(
    cluster: Cluster, namespace: str, spare: str
) -> None:
    before = start_echo_pods(cluster, namespace, {"old": "node1"})["old"].addresses

    set_state(cluster, "pods-v4", "Draining")
    nodes = len(cluster.nodes())
    wait_until("every node has a block of the other pool", lambda: len(blocks(cluster, spare)) >= nodes, 60)
    fresh = start_echo_pods(cluster, namespace, {"new": "node1"})["new"].addresses
    assert fresh[0].startswith("10.245.0.")
    assert "node1" in condition(cluster, "pods-v4", "Draining"), "it says who still uses it"

    set_state(cluster, "pods-v4", "Active")
    cluster.kubectl("delete", "ippool", spare, "--wait=false")
    wait_until("the deletion is held", lambda: "node1" in condition(cluster, spare, "Draining"), 30)
    cluster.kubectl("delete", "pod", "new", "-n", namespace, "--wait=true")
    wait_until(
        "its blocks go back and the pool is gone",
        lambda: not blocks(cluster, spare) and spare not in cluster.kubectl("get", "ippools", "-o", "name"),
        120,
    )
    kept = cluster.get("pod", "old", "-n", namespace)["status"]["podIPs"]
    assert tuple(entry["ip"] for entry in kept) == before
