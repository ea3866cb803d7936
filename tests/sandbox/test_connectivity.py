"""Everything that shall reach everything, does, with its own source address."""

import ipaddress
import re
from collections.abc import Iterator

import pytest

from tests.sandbox.cluster import Cluster, wait_until
from tests.sandbox.workload import PORT, Pod, start_echo_pods

pytestmark = pytest.mark.sandbox

EXT = {4: "10.251.0.2", 6: "fd00:251::2"}

# Prints the address that the peer of a fresh TCP connection sees as its source.
LISTEN_ONCE = (
    "import socket,sys;"
    "f=socket.AF_INET6 if ':' in sys.argv[1] else socket.AF_INET;"
    "s=socket.create_server((sys.argv[1],0),family=f);s.settimeout(20);print(s.getsockname()[1],flush=True);c,a=s.accept();c.sendall(a[0].encode())"
)


@pytest.fixture(scope="module")
def space(cluster: Cluster) -> Iterator[str]:
    cluster.kubectl("create", "namespace", "t-connectivity")
    yield "t-connectivity"
    cluster.kubectl("delete", "namespace", "t-connectivity", "--timeout=120s", timeout_s=150)


@pytest.fixture(scope="module")
def pods(cluster: Cluster, space: str) -> dict[str, Pod]:
    """a and b share node1, c is on node2."""
    return start_echo_pods(cluster, space, {"a": "node1", "b": "node1", "c": "node2"})


def ping_from_pod(cluster: Cluster, space: str, pod: Pod, address: str) -> None:
    probe = (
        "import socket,sys;s=socket.create_connection((sys.argv[1],int(sys.argv[2])),timeout=5);"
        "s.sendall(b'x\\n');assert s.recv(2)==b'x\\n'"
    )
    cluster.kubectl("exec", "-n", space, pod.name, "--", "python3", "-c", probe, address, str(PORT))


@pytest.mark.parametrize("family", [0, 1])
@pytest.mark.parametrize(("source", "target"), [("a", "b"), ("b", "a"), ("a", "c"), ("c", "a"), ("a", "a")])
def test_a_pod_reaches_pods_on_its_node_and_on_others(
    cluster: Cluster, space: str, pods: dict[str, Pod], source: str, target: str, family: int
) -> None:
    ping_from_pod(cluster, space, pods[source], pods[target].addresses[family])


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


@pytest.mark.parametrize("family", [0, 1])
@pytest.mark.parametrize(("source", "target"), [("a", "b"), ("a", "c")])
def test_a_pod_sees_the_true_source_address_of_a_pod(
    cluster: Cluster, space: str, pods: dict[str, Pod], source: str, target: str, family: int
) -> None:
    address = pods[target].addresses[family]
    script = f'python3 -c "{LISTEN_ONCE}" {address} > /tmp/port & sleep 1; cat /tmp/port'
    port = cluster.kubectl("exec", "-n", space, target, "--", "sh", "-c", script).split()[0]

    client = (
        f"import socket;print(socket.create_connection(('{address}',{port}),timeout=5).recv(99).decode())"
    )
    seen = cluster.kubectl("exec", "-n", space, source, "--", "python3", "-c", client).strip()

    assert seen == pods[source].addresses[family]


@pytest.mark.parametrize("family", [4, 6])
def test_a_pod_reaches_a_client_outside_with_its_own_address(
    cluster: Cluster, space: str, pods: dict[str, Pod], family: int
) -> None:
    own = pods["a"].addresses[0 if family == 4 else 1]
    address = EXT[family]
    listen = f'timeout 20 python3 -c "{LISTEN_ONCE}" {address}'
    wait = f"{listen} > /tmp/fairlead-ext-port & sleep 1; cat /tmp/fairlead-ext-port"
    port = cluster.inside("ext", "sh", "-c", wait).split()[0]

    client = (
        f"import socket;print(socket.create_connection(('{address}',{port}),timeout=5).recv(99).decode())"
    )
    seen = cluster.kubectl("exec", "-n", space, "a", "--", "python3", "-c", client).strip()

    assert seen == own


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
