"""Every process that Fairlead or the cluster runs may be killed; traffic that flows, flows on."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.sandbox.cluster import Cluster, wait_until
from tests.sandbox.test_bursts import addresses_of_running_pods, pause_pod
from tests.sandbox.workload import Pod, broken, lost, read_flows, start_echo_pods, start_probes

pytestmark = [pytest.mark.sandbox, pytest.mark.slow, pytest.mark.timeout(600)]

SPACE = "t-faults"


@pytest.fixture(scope="module")
def pods(cluster: Cluster) -> Iterator[dict[str, Pod]]:
    """One pod per node, each with a TCP and a UDP flow to every other one in both families."""
    cluster.kubectl("create", "namespace", SPACE)
    started = start_echo_pods(cluster, SPACE, {f"flow-{node}": node for node in cluster.nodes()})
    start_probes(cluster, SPACE, started)
    yield started
    cluster.kubectl("delete", "namespace", SPACE, "--timeout=120s", timeout_s=150)


def ready(cluster: Cluster) -> bool:
    """The API server answers, all nodes are Ready and all of Fairlead's pods are."""
    try:
        nodes = cluster.kubectl("get", "nodes", "--request-timeout=5s", check=False)
        own = cluster.get("pods", "-n", "fairlead-system")["items"]
    except AssertionError:
        return False
    lines = [line.split() for line in nodes.splitlines()[1:]]
    conditions = [
        {c["type"]: c["status"] for c in pod["status"].get("conditions", [])}.get("Ready") == "True"
        for pod in own
    ]
    return bool(lines) and all(line[1] == "Ready" for line in lines) and bool(conditions) and all(conditions)


def settle(cluster: Cluster) -> float:
    return wait_until("the cluster is whole again", lambda: ready(cluster), 180, 1)


@contextmanager
def undisturbed(cluster: Cluster, pods: dict[str, Pod]) -> Iterator[None]:
    """What happens inside breaks no TCP connection and loses no UDP message between the pods."""
    settle(cluster)
    before = read_flows(cluster, SPACE, pods)
    yield
    settle(cluster)
    after = read_flows(cluster, SPACE, pods)
    assert broken(after) == []
    # On a busy machine an echo may be seconds late; what is lost stays lost, however long one waits.
    deadline = time.monotonic() + 15
    while lost(before, after) and time.monotonic() < deadline:
        time.sleep(1)
        after = read_flows(cluster, SPACE, pods)
    assert lost(before, after) == []


FAULTS = [
    ("node1", "fairlead-agent"),
    ("node1", "bird"),
    ("core", "kube-apiserver"),
    ("core", "etcd"),
    ("node1", "containerd"),
    ("node1", "kubelet"),
]


@pytest.mark.parametrize(("place", "component"), FAULTS, ids=[component for _, component in FAULTS])
def test_no_flow_breaks_and_no_packet_is_lost_when_a_process_is_killed(
    cluster: Cluster, pods: dict[str, Pod], place: str, component: str
) -> None:
    with undisturbed(cluster, pods):
        cluster.sandbox("kill", place, component)
        time.sleep(10)
        cluster.sandbox("start", place, component, check=False)  # what runs in a pod is kubelet's to start


def test_no_flow_breaks_when_both_operators_are_killed(cluster: Cluster, pods: dict[str, Pod]) -> None:
    with undisturbed(cluster, pods):
        for node in cluster.nodes():
            cluster.sandbox("kill", node, "fairlead-operator", check=False)
        time.sleep(5)


def test_no_flow_breaks_when_agent_and_bird_are_killed_at_once(
    cluster: Cluster, pods: dict[str, Pod]
) -> None:
    with undisturbed(cluster, pods):
        cluster.sandbox("kill", "node2", "fairlead-agent", "bird")
        time.sleep(15)


def test_a_pod_created_and_one_deleted_while_the_agent_is_down_end_right(
    cluster: Cluster, pods: dict[str, Pod], namespace: str
) -> None:
    settle(cluster)
    cluster.apply(pause_pod("old", namespace, "node1"))
    cluster.kubectl(
        "wait", "-n", namespace, "--for=condition=Ready", "pod/old", "--timeout=60s", timeout_s=70
    )
    old = addresses_of_running_pods(cluster, namespace)

    cluster.sandbox("pause", "node1", "fairlead-agent")
    cluster.kubectl("delete", "pod", "old", "-n", namespace, "--wait=false")
    cluster.apply(pause_pod("new", namespace, "node1"))
    time.sleep(5)
    cluster.sandbox("resume", "node1", "fairlead-agent")

    cluster.kubectl(
        "wait", "-n", namespace, "--for=condition=Ready", "pod/new", "--timeout=120s", timeout_s=130
    )
    cluster.kubectl("wait", "-n", namespace, "--for=delete", "pod/old", "--timeout=120s", timeout_s=130)
    assert not set(old) & set(addresses_of_running_pods(cluster, namespace))


def test_pods_and_local_cni_adds_go_on_while_the_api_server_is_away_for_a_minute(
    cluster: Cluster, pods: dict[str, Pod]
) -> None:
    with undisturbed(cluster, pods):
        cluster.sandbox("stop", "core", "kube-apiserver")
        try:
            started = time.monotonic()
            added = cluster.inside("node1", "sh", "-c", CNI_ROUND.format(name="api-away"), timeout_s=60)
            assert '"ips"' in added
            time.sleep(max(0, 60 - (time.monotonic() - started)))
        finally:
            cluster.sandbox("start", "core", "kube-apiserver")


# A runtime's ADD and DEL by hand, as containerd would do them without asking any API server.
CNI_ROUND = """set -e
ip netns add {name}
conf='{{"cniVersion":"1.1.0","name":"fairlead","type":"fairlead"}}'
export CNI_PATH=/opt/cni/bin CNI_CONTAINERID={name} CNI_IFNAME=eth0 CNI_NETNS=/run/netns/{name}
printf '%s' "$conf" | CNI_COMMAND=ADD /opt/cni/bin/fairlead
printf '%s' "$conf" | CNI_COMMAND=DEL /opt/cni/bin/fairlead
ip netns del {name}
"""


def operators(cluster: Cluster) -> list[str]:
    pods = cluster.kubectl("get", "pods", "-n", "fairlead-system", "-o", "name").split()
    return [pod for pod in pods if "/fairlead-operator-" in pod]


def condition(cluster: Cluster, node: str, kind: str) -> dict[str, str]:
    found = cluster.get("nodenetwork", node)["status"].get("conditions", [])
    return next((entry for entry in found if entry["type"] == kind), {})


@pytest.mark.parametrize("offered", ["emptied", "older"])
def test_an_emptied_or_older_nodenetwork_takes_nothing_away(
    cluster: Cluster, pods: dict[str, Pod], offered: str
) -> None:
    spec = cluster.get("nodenetwork", "node1")["spec"]
    revision = spec["revision"] + 1 if offered == "emptied" else 1
    with undisturbed(cluster, pods):
        cluster.kubectl("scale", "-n", "fairlead-system", "deployment/fairlead-operator", "--replicas=0")
        # An operator that still runs would mend the object before the agent has said anything.
        wait_until("the operators are gone", lambda: not operators(cluster), 60)
        try:
            patch = json.dumps({"spec": {"revision": revision, "blocks": []}})
            cluster.kubectl("patch", "nodenetwork", "node1", "--type=merge", "-p", patch)
            wait_until(
                "the agent says why it refuses", lambda: condition(cluster, "node1", "Stalled") != {}, 30
            )

            added = cluster.inside("node1", "sh", "-c", CNI_ROUND.format(name=f"refuse-{offered}"))
            assert '"ips"' in added
        finally:
            cluster.kubectl("scale", "-n", "fairlead-system", "deployment/fairlead-operator", "--replicas=2")

        wait_until("the refusal is over", lambda: condition(cluster, "node1", "Stalled") == {}, 60)
        granted = {block["cidr"] for block in cluster.get("nodenetwork", "node1")["spec"]["blocks"]}
        assert granted >= {block["cidr"] for block in spec["blocks"]}


def test_a_node_that_loses_power_comes_back_with_working_pods(cluster: Cluster, pods: dict[str, Pod]) -> None:
    settle(cluster)
    others = {name: pod for name, pod in pods.items() if pod.node != "node3"}

    cluster.sandbox("power-off", "node3")
    time.sleep(10)
    cluster.sandbox("power-on", "node3", timeout_s=180)
    settle(cluster)

    lost = pods["flow-node3"].addresses
    survivors = [flow for flow in read_flows(cluster, SPACE, others) if flow["address"] not in lost]
    assert broken(survivors) == []
    cluster.kubectl(
        "wait", "-n", SPACE, "--for=condition=Ready", "pod/flow-node3", "--timeout=120s", timeout_s=130
    )
