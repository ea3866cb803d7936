"""Everything that shall reach everything, does, with its own source address."""

import ipaddress
import re
import subprocess
import time
from collections.abc import Iterator

import pytest

from tests.sandbox.cluster import Cluster, wait_until
from tests.sandbox.workload import FLOWS, PORT, Pod, start_echo_pods

pytestmark = pytest.mark.sandbox

EXT = ("10.251.0.2", "fd00:251::2")


@pytest.fixture(scope="module")
def space(cluster: Cluster) -> Iterator[str]:
    cluster.kubectl("create", "namespace", "t-connectivity")
    yield "t-connectivity"
    cluster.kubectl("delete", "namespace", "t-connectivity", "--timeout=120s", timeout_s=150)


@pytest.fixture(scope="module")
def pods(cluster: Cluster, space: str) -> dict[str, Pod]:
    """a and b share node1, c is on node2."""
    return start_echo_pods(cluster, space, {"a": "node1", "b": "node1", "c": "node2"})


@pytest.fixture(scope="module")
def server_outside(cluster: Cluster) -> Iterator[None]:
    """The echo server on the machine that is no part of the cluster."""
    server = subprocess.Popen(
        [*cluster.command, "exec", "ext", "--", "python3", str(FLOWS), "serve", str(PORT)]
    )
    time.sleep(1)
    yield
    server.terminate()
    server.wait(10)


def source_seen(cluster: Cluster, space: str, pod: str, address: str) -> str:
    """The source address that a server at `address` sees when `pod` connects."""
    return cluster.kubectl(
        "exec", "-n", space, pod, "--", "python3", "/flows/flows.py", "who", str(PORT), address
    ).strip()


@pytest.mark.parametrize("family", [0, 1])
@pytest.mark.parametrize(("source", "target"), [("a", "b"), ("b", "a"), ("a", "c"), ("c", "a"), ("a", "a")])
def test_a_pod_reaches_pods_on_its_node_and_on_others_with_its_own_address(
    cluster: Cluster, space: str, pods: dict[str, Pod], source: str, target: str, family: int
) -> None:
    seen = source_seen(cluster, space, source, pods[target].addresses[family])

    assert seen == pods[source].addresses[family]


@pytest.mark.parametrize("place", ["node1", "node2", "ext"])
@pytest.mark.parametrize("name", ["a", "c"])
@pytest.mark.parametrize("family", [0, 1])
def test_nodes_and_clients_outside_reach_pods(
    cluster: Cluster, pods: dict[str, Pod], place: str, name: str, family: int
) -> None:
    said = cluster.inside(
        place, "ping", "-n", "-c", "3", "-i", "0.2", "-W", "2", pods[name].addresses[family]
    )

    assert " 0% packet loss" in said


@pytest.mark.usefixtures("server_outside")
@pytest.mark.parametrize("family", [0, 1])
def test_a_pod_reaches_a_client_outside_with_its_own_address(
    cluster: Cluster, space: str, pods: dict[str, Pod], family: int
) -> None:
    assert source_seen(cluster, space, "a", EXT[family]) == pods["a"].addresses[family]


@pytest.mark.parametrize(("flag", "supernet"), [("-4", "10.244.0.0/16"), ("-6", "fd00:244::/104")])
def test_the_router_holds_one_route_per_block_through_its_node_and_nothing_else_of_ours(
    cluster: Cluster, flag: str, supernet: str
) -> None:
    version = 4 if flag == "-4" else 6

    def expected() -> set[tuple[str, str]]:
        found = set()
        for item in cluster.get("nodenetworks")["items"]:
            node = cluster.get("node", item["metadata"]["name"])
            addresses = [a["address"] for a in node["status"]["addresses"] if a["type"] == "InternalIP"]
            via = next(a for a in addresses if ipaddress.ip_address(a).version == version)
            blocks = [ipaddress.ip_network(b["cidr"]) for b in item["spec"]["blocks"]]
            found |= {(str(block), via) for block in blocks if block.version == version}
        return found

    def in_the_table() -> set[tuple[str, str]]:
        table = cluster.inside("tor", "ip", flag, "route", "show", "root", supernet)
        return {(m[1], m[2]) for m in re.finditer(r"^(\S+) via (\S+)", table, re.MULTILINE)}

    wait_until("the router's table equals the granted blocks", lambda: in_the_table() == expected(), 30)

    assert len(expected()) >= len(cluster.nodes())
