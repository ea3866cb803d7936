"""A node without a cluster: a network namespace with an uplink, a real agent in it, pods as more of them."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fairlead_core.cni_wire import Request, decode_response, encode_request, response_length

REPOSITORY = Path(__file__).resolve().parents[2]
PACKAGES = ":".join(str(REPOSITORY / part) for part in ("core", "kube", "nodeagent"))
V4, V6 = "10.99.0.0/26", "fd99::/122"
SPEC = {
    "revision": 1,
    "blocks": [{"cidr": V4, "pool": "four"}, {"cidr": V6, "pool": "six"}],
    "pools": [
        {"name": "four", "family": "IPv4", "cooldownSeconds": 1},
        {"name": "six", "family": "IPv6", "cooldownSeconds": 1},
    ],
}


def run(*command: str) -> str:
    """A command's output; its error text in the exception when it fails."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stdout}{done.stderr}"
    return done.stdout


def until(what: str, holds: Callable[[], object], timeout_s: float = 10.0) -> None:
    """Waits until `holds()` is true; fails with `what` when it does not become so."""
    give_up_s = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < give_up_s, f"after {timeout_s} s still not: {what}"
        time.sleep(0.02)


@dataclass
class Answer:
    """What the plugin would print and exit with."""

    exit_code: int
    stdout: bytes

    @property
    def document(self) -> dict[str, Any]:
        return dict(json.loads(self.stdout))

    @property
    def addresses(self) -> list[str]:
        assert self.exit_code == 0, self.stdout
        return [ip["address"].split("/")[0] for ip in self.document["ips"]]


@dataclass
class Node:
    """One node; `name` is also the prefix of every namespace that belongs to it."""

    name: str
    directory: Path
    env: dict[str, str] = field(default_factory=dict)
    spec: dict[str, Any] = field(default_factory=lambda: json.loads(json.dumps(SPEC)))
    agent: subprocess.Popen[bytes] | None = None
    pods: list[str] = field(default_factory=list)

    def create(self) -> None:
        """The namespace: loopback, and an uplink with MTU 1450 that leads nowhere."""
        run("ip", "netns", "add", self.name)
        self.ip("link", "set", "lo", "up")
        self.ip("link", "add", "up0", "mtu", "1450", "type", "veth", "peer", "name", "up1")
        for link in ("up0", "up1"):
            self.ip("link", "set", link, "up")
        self.ip("addr", "add", "10.98.0.1/32", "dev", "up0")
        self.ip("addr", "add", "fd98::1/128", "dev", "up0", "nodad")
        self.ip("route", "add", "default", "dev", "up0")
        self.offer(self.spec)

    def destroy(self) -> None:
        """Ends the agent, removes every namespace."""
        self.kill_agent()
        for pod in [*self.pods, self.name]:
            subprocess.run(["ip", "netns", "del", pod], timeout=20, check=False)

    def offer(self, spec: dict[str, Any]) -> None:
        """The desired state that the agent shall find."""
        temporary = self.directory / "offered.tmp"
        temporary.write_text(json.dumps(spec))
        temporary.rename(self.directory / "offered.json")

    def start_agent(self) -> None:
        """Starts the agent and waits until it can serve."""
        paths = {
            "FAIRLEAD_STATE_DIR": "state", "FAIRLEAD_RUN_DIR": "run",
            "FAIRLEAD_CNI_CONF_DIR": "net.d", "FAIRLEAD_DESIRED_FILE": "offered.json",
        }  # fmt: skip
        env = {
            "NODE_NAME": self.name,
            "PYTHONPATH": PACKAGES,
            "FAIRLEAD_PASS_SECONDS": "0.3",
            "PATH": os.environ["PATH"],
        }
        env |= {key: str(self.directory / path) for key, path in paths.items()} | self.env
        command = ["nsenter", f"--net=/run/netns/{self.name}", sys.executable, "-m", "fairlead_agent.main"]
        with open(self.directory / "agent.log", "ab") as log:
            self.agent = subprocess.Popen(command, env=env, stdout=log, stderr=log)
        until("the agent writes its conflist and listens", self._serves, timeout_s=30)

    def kill_agent(self, number: signal.Signals = signal.SIGKILL) -> None:
        """Ends the agent, by default as a crash does."""
        if self.agent is not None:
            self.agent.send_signal(number)
            self.agent.wait(timeout=10)
        self.agent = None

    def add_pod(self) -> str:
        """A fresh network namespace; its name."""
        pod = f"{self.name}p{len(self.pods)}"
        run("ip", "netns", "add", pod)
        self.pods.append(pod)
        run("ip", "-n", pod, "link", "set", "lo", "up")
        return pod

    def cni(
        self, verb: str, pod: str = "", *, container: str = "", conf: dict[str, Any] | None = None
    ) -> Answer:
        """One CNI call through the agent's socket, as the plugin makes it."""
        env = {"CNI_COMMAND": verb, "CNI_PATH": "/opt/cni/bin"}
        if pod or container:
            env |= {"CNI_CONTAINERID": container or pod, "CNI_IFNAME": "eth0"}
        if pod:
            env["CNI_NETNS"] = f"/run/netns/{pod}"
        stdin = {"cniVersion": "1.1.0", "name": "fairlead", "type": "fairlead", **(conf or {})}
        frame = encode_request(Request(env, json.dumps(stdin).encode()))
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(20)
            connection.connect(str(self.directory / "run/cni.sock"))
            if pod:
                with open(f"/run/netns/{pod}") as namespace:
                    socket.send_fds(connection, [frame], [namespace.fileno()])
            else:
                connection.sendall(frame)
            return _receive(connection)

    def ip(self, *arguments: str) -> str:
        """`ip` inside the node."""
        return run("ip", "-n", self.name, *arguments)

    def pod_links(self) -> list[str]:
        """The node's links of pods, those that wait for their deletion too."""
        names = [link["ifname"] for link in json.loads(self.ip("-j", "link", "show"))]
        return [name for name in names if name.startswith("fl")]

    def http(self, path: str) -> tuple[int, str]:
        """Status and text of the agent's HTTP endpoint."""
        url = f"http://127.0.0.1:9965{path}"
        script = f"import urllib.request as u; print(u.urlopen('{url}', timeout=5).read().decode())"
        done = subprocess.run(
            ["nsenter", f"--net=/run/netns/{self.name}", sys.executable, "-c", script],
            capture_output=True, text=True, timeout=20, check=False,
        )  # fmt: skip
        return (200 if done.returncode == 0 else 503), done.stdout

    def leases(self) -> int:
        """Addresses in use, both families, from the metrics."""
        lines = self.http("/metrics")[1].splitlines()
        used = [
            line for line in lines if line.startswith("fairlead_ipam_addresses") and 'state="used"' in line
        ]
        return sum(int(float(line.split()[-1])) for line in used)

    def _serves(self) -> bool:
        assert self.agent is not None
        assert self.agent.poll() is None, (self.directory / "agent.log").read_text()
        if not (self.directory / "net.d/10-fairlead.conflist").exists():
            return False
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            return connection.connect_ex(str(self.directory / "run/cni.sock")) == 0


def ping(pod: str, address: str, count: int = 1) -> bool:
    """Whether `address` answers `pod`."""
    command = ["ip", "netns", "exec", pod, "ping", "-q", "-c", str(count), "-i", "0.05", "-W", "1", address]
    return subprocess.run(command, capture_output=True, timeout=60, check=False).returncode == 0


def interfaces(pod: str) -> list[str]:
    """Names of the interfaces in a pod's namespace."""
    return [link["ifname"] for link in json.loads(run("ip", "-n", pod, "-j", "link", "show"))]


def _receive(connection: socket.socket) -> Answer:
    frame = b""
    while (length := response_length(frame)) is None or len(frame) < length:
        more = connection.recv(65536)
        assert more, f"the agent hung up after {frame!r}"
        frame += more
    response = decode_response(frame)
    return Answer(response.exit_code, response.stdout)
