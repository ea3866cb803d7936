"""Pods that tests run, and the flows between them."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.sandbox.cluster import Cluster, wait_until

FLOWS = Path(__file__).with_name("flows.py")
PORT = 7000
REPORT = "/tmp/flows.json"
UNDER_WAY = 2


@dataclass(frozen=True, slots=True)
class Pod:
    """A running test pod with its addresses of both families."""

    name: str
    node: str
    addresses: tuple[str, ...]


def echo_pod(name: str, namespace: str, node: str, image: str) -> dict[str, Any]:
    """A pod pinned to `node` that echoes TCP and UDP on PORT and can probe others."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "labels": {"app": "echo"}},
        "spec": {
            "nodeName": node,
            "terminationGracePeriodSeconds": 0,
            "tolerations": [{"operator": "Exists"}],
            "containers": [
                {
                    "name": "echo",
                    "image": image,
                    "imagePullPolicy": "IfNotPresent",
                    "command": ["python3", "/flows/flows.py", "serve", str(PORT)],
                    "volumeMounts": [{"name": "flows", "mountPath": "/flows"}],
                }
            ],
            "volumes": [{"name": "flows", "configMap": {"name": "flows"}}],
        },
    }


def start_echo_pods(cluster: Cluster, namespace: str, placed: dict[str, str]) -> dict[str, Pod]:
    """Starts a pod per entry of `placed` (name -> node) and waits until all run."""
    image = cluster.image()
    program = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "flows", "namespace": namespace},
        "data": {"flows.py": FLOWS.read_text()},
    }
    cluster.apply(program, *(echo_pod(name, namespace, node, image) for name, node in placed.items()))
    cluster.kubectl(
        "wait",
        "-n",
        namespace,
        "--for=condition=Ready",
        "pod",
        "-l",
        "app=echo",
        "--timeout=90s",
        timeout_s=100,
    )
    return {name: running_pod(cluster, namespace, name) for name in placed}


def running_pod(cluster: Cluster, namespace: str, name: str) -> Pod:
    found = cluster.get("pod", name, "-n", namespace)
    addresses = tuple(entry["ip"] for entry in found["status"]["podIPs"])
    return Pod(name, found["spec"]["nodeName"], addresses)


def start_probes(cluster: Cluster, namespace: str, pods: dict[str, Pod]) -> None:
    """Every pod holds a TCP and a UDP flow to every other one, in both families."""
    for pod in pods.values():
        others = [address for other in pods.values() if other != pod for address in other.addresses]
        command = (
            f"nohup python3 /flows/flows.py probe {REPORT} {PORT} {' '.join(others)} >/tmp/probe.log 2>&1 &"
        )
        cluster.kubectl("exec", "-n", namespace, pod.name, "--", "sh", "-c", command)
    wait_until(
        "all flows answer", lambda: all(flow["answered"] > 5 for flow in read_flows(cluster, namespace, pods))
    )


def read_flows(cluster: Cluster, namespace: str, pods: dict[str, Pod]) -> list[dict[str, Any]]:
    flows: list[dict[str, Any]] = []
    for pod in pods.values():
        text = cluster.kubectl("exec", "-n", namespace, pod.name, "--", "cat", REPORT, check=False)
        flows += [{"from": pod.name, **flow} for flow in json.loads(text or "[]")]
    return flows


def broken(flows: list[dict[str, Any]]) -> list[str]:
    """One line per TCP connection that broke, naming its ends and the cause."""
    return [f"{f['from']} -> {f['address']} {f['kind']}: {f['cause']}" for f in flows if f["broken"]]


def lost(before: list[dict[str, Any]], after: list[dict[str, Any]]) -> list[str]:
    """One line per UDP flow that lost messages in between; two may be under way when a report is written."""
    missing = {(f["from"], f["address"]): f["sent"] - f["answered"] for f in before if f["kind"] == "udp"}
    found = []
    for flow in after:
        grown = flow["sent"] - flow["answered"] - missing.get((flow["from"], flow["address"]), 0)
        if flow["kind"] == "udp" and grown > UNDER_WAY:
            found.append(
                f"{flow['from']} -> {flow['address']}: {grown} of {flow['sent']} messages unanswered"
            )
    return found
