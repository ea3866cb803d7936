"""Pods come and go in bursts; every address has one owner at every instant."""

import json
import re
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.sandbox.cluster import ROOT, Cluster, wait_until

pytestmark = pytest.mark.sandbox

PODS = 200
BURSTS = 4

# What `ip -o monitor link route` prints of links and single addresses of ours.
LINK = re.compile(r"(?P<deleted>Deleted )?\d+: (?P<dev>fl[0-9a-f]{11})\S*: <(?P<flags>[^>]*)>")
ROUTE = re.compile(r"(?P<deleted>Deleted )?(?P<address>[0-9a-f.:]+) dev (?P<dev>fl[0-9a-f]{11})\b")


@dataclass(slots=True)
class History:
    """Routes to single addresses that links of all nodes gained and lost, in order of arrival.

    It is read from the kernel, not from what Fairlead believes: `ip monitor link route` in every node.
    An event without address is the end of all that the link had.
    """

    events: list[tuple[float, tuple[str, str], str, bool]] = field(default_factory=list)
    monitors: list[subprocess.Popen[str]] = field(default_factory=list)

    def watch(self, cluster: Cluster, node: str) -> None:
        for flag in ("-4", "-6"):
            command = [*cluster.command, "exec", node, "--", "ip", flag, "-o", "monitor", "link", "route"]
            monitor = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
            self.monitors.append(monitor)
            threading.Thread(target=self.follow, args=(node, monitor), daemon=True).start()

    def follow(self, node: str, monitor: subprocess.Popen[str]) -> None:
        for line in monitor.stdout or ():
            link, route = LINK.match(line), ROUTE.match(line)
            if link and (link["deleted"] or "UP" not in link["flags"].split(",")):
                # The kernel drops the IPv4 routes of a link that goes down without a word.
                self.events.append((time.monotonic(), (node, link["dev"]), "", False))
            elif route and "table" not in line:
                owner = (node, route["dev"])
                self.events.append((time.monotonic(), owner, route["address"], not route["deleted"]))

    def stop(self) -> None:
        for monitor in self.monitors:
            monitor.terminate()
            monitor.wait(5)

    def owned_twice(self) -> list[str]:
        """Addresses that two links, of one node or of two, held at one instant."""
        held: dict[str, set[tuple[str, str]]] = {}
        found = []
        for at, owner, address, gained in self.events:
            if not address:
                for owners in held.values():
                    owners.discard(owner)
                continue
            owners = held.setdefault(address, set())
            if gained and owners - {owner}:
                found.append(f"{address} on {owner} at {at:.3f} while {owners} held it")
            (owners.add if gained else owners.discard)(owner)
        return found


@pytest.fixture
def history(cluster: Cluster) -> Iterator[History]:
    recorded = History()
    for node in cluster.nodes():
        recorded.watch(cluster, node)
    time.sleep(1)
    yield recorded
    recorded.stop()


def pause_pod(name: str, namespace: str, node: str) -> dict[str, Any]:
    container = {"name": "pause", "image": "registry.k8s.io/pause:3.10.2", "imagePullPolicy": "IfNotPresent"}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "labels": {"app": "burst"}},
        "spec": {"nodeName": node, "terminationGracePeriodSeconds": 0, "containers": [container]},
    }


def addresses_of_running_pods(cluster: Cluster, namespace: str) -> list[str]:
    pods = cluster.get("pods", "-n", namespace)["items"]
    return [entry["ip"] for pod in pods for entry in pod["status"].get("podIPs", [])]


def used(cluster: Cluster) -> int:
    """Addresses that all agents report as used."""
    networks = cluster.get("nodenetworks")["items"]
    return sum(pool["used"] for item in networks for pool in item["status"].get("ipam", {}).values())


def pods_with_addresses(cluster: Cluster) -> int:
    """Addresses that the API server shows on pods that have their own network."""
    pods = cluster.get("pods", "-A")["items"]
    own = [pod for pod in pods if not pod["spec"].get("hostNetwork") and pod["status"]["phase"] == "Running"]
    return sum(len(pod["status"].get("podIPs", [])) for pod in own)


def leaked(cluster: Cluster) -> int:
    """Addresses that agents hold for nobody; negative when a pod has an address that no agent holds."""
    return used(cluster) - pods_with_addresses(cluster)


def sandboxes(cluster: Cluster, node: str) -> set[str]:
    """Pod sandboxes with their own network namespace that containerd of `node` holds."""
    listed = cluster.inside(node, "sh", "-c", "ls /run/netns /var/run/netns 2>/dev/null || true")
    return {line for line in listed.split() if line.startswith("cni-")}


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_two_hundred_pods_in_bursts_share_no_address_and_leak_none(
    cluster: Cluster, namespace: str, history: History
) -> None:
    nodes = cluster.nodes()
    for burst in range(BURSTS):
        names = [f"b{burst}-{i}" for i in range(PODS // BURSTS)]
        cluster.apply(*(pause_pod(name, namespace, nodes[i % len(nodes)]) for i, name in enumerate(names)))
        cluster.kubectl(
            "wait", "-n", namespace, "--for=condition=Ready", "pod", "--all", "--timeout=240s", timeout_s=250
        )
        seen = addresses_of_running_pods(cluster, namespace)
        assert len(seen) == 2 * len(names), "every pod has an address of both families"
        assert len(set(seen)) == len(seen), "no two running pods show one address"
        cluster.kubectl("delete", "pod", "-n", namespace, "--all", "--wait=true", timeout_s=240)

    wait_until("addresses in use equal the pods that have one", lambda: leaked(cluster) == 0, 120, 2)
    assert history.owned_twice() == []
    assert len([e for e in history.events if e[3]]) >= 2 * PODS, "the recorder saw every address come"


def test_the_runtimes_view_of_sandboxes_equals_the_links_of_every_node(cluster: Cluster) -> None:
    def differs(node: str) -> bool:
        links = json.loads(cluster.inside(node, "ip", "-j", "link", "show", "type", "veth"))
        ours = [link for link in links if link["ifname"].startswith("fl")]
        return len(ours) != len(sandboxes(cluster, node))

    wait_until("links equal sandboxes", lambda: not any(differs(node) for node in cluster.nodes()), 60, 2)
