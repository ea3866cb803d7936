"""The real agent in a network namespace of its own, with a file in the place of the API server."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.cni.plugin import Outcome, Plugin
from tests.netns.node import until

ROOT = Path(__file__).parents[2]
MTU_BYTES = 1450
_START = "import sys; from fairlead_agent.main import main; sys.exit(main())"


def run(*command: str, check: bool = True) -> str:
    """A command's stdout; bounded in time."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    if check and done.returncode:
        raise AssertionError(f"{' '.join(command)}: {done.stderr or done.stdout}")
    return done.stdout


def stopped(task: Path) -> bool:
    """Whether a thread, given by its folder in /proc, is stopped."""
    return (task / "stat").read_text().rpartition(")")[2].split()[0] == "T"


def in_netns(netns: str, *command: str, check: bool = True) -> str:
    """A command's stdout from inside a namespace, without the remount of /sys that `ip netns exec` does."""
    return run("nsenter", f"--net=/run/netns/{netns}", *command, check=check)


@dataclass(frozen=True, slots=True)
class Pod:
    """A namespace and the container id that goes with it."""

    netns: str
    container_id: str

    @property
    def path(self) -> str:
        return f"/run/netns/{self.netns}"

    def env(self, ifname: str = "eth0") -> dict[str, str]:
        return {"CNI_CONTAINERID": self.container_id, "CNI_IFNAME": ifname, "CNI_NETNS": self.path}

    def ip(self, *command: str) -> str:
        return in_netns(self.netns, "ip", *command)

    def links(self) -> set[str]:
        return {link["ifname"].partition("@")[0] for link in json.loads(self.ip("-j", "link"))}


@contextlib.contextmanager
def pod_namespace() -> Iterator[Pod]:
    """A pod's namespace with nothing but lo in it."""
    token = uuid.uuid4().hex[:12]
    netns = f"flct-pod-{token}"
    run("ip", "netns", "add", netns)
    try:
        yield Pod(netns, f"c{token}")
    finally:
        run("ip", "netns", "del", netns, check=False)


@dataclass(slots=True)
class RealAgent:
    """One node: its namespace, its directories, and the agent's process."""

    netns: str
    home: Path
    binary: Path
    pass_interval_s: float
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def plugin(self) -> Plugin:
        return Plugin(self.binary, self.home / "run/cni.sock", self.home / "state/cni/del")

    def call(self, verb: str, env: dict[str, str], **conf: object) -> Outcome:
        """The plugin's answer, called on the node; without prevResult unless `conf` has one."""
        return self.plugin.call(verb, env, self.plugin.conf(**{"prevResult": None} | conf))

    def add(self, pod: Pod, ifname: str = "eth0", **conf: object) -> dict[str, object]:
        outcome = self.call("ADD", pod.env(ifname), **conf)
        assert outcome.status == 0, outcome
        return outcome.document()

    def delete(self, pod: Pod, ifname: str = "eth0") -> None:
        outcome = self.call("DEL", pod.env(ifname))
        assert (outcome.status, outcome.stdout) == (0, b"")

    def start(self) -> None:
        """Starts the agent and waits until the plugin's STATUS is anything but "no agent"."""
        log = (self.home / "agent.log").open("ab")
        command = ["nsenter", f"--net=/run/netns/{self.netns}", sys.executable, "-c", _START]
        self.processes.append(
            subprocess.Popen(
                command, env=self._environment(), stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        )
        deadline = time.monotonic() + 20
        while self.call("STATUS", {}).status != 0:
            assert self.process.poll() is None, self.log()
            assert time.monotonic() < deadline, self.log()
            time.sleep(0.05)

    @property
    def process(self) -> subprocess.Popen[bytes]:
        return self.processes[-1]

    def signal(self, number: int) -> None:
        """Sends it; SIGSTOP also waits until every thread stands still, which the kernel does not."""
        self.process.send_signal(number)
        if number == signal.SIGSTOP:
            tasks = Path(f"/proc/{self.process.pid}/task")
            until("all threads of the agent stand still", lambda: all(map(stopped, tasks.iterdir())))

    def kill(self) -> None:
        """kill -9, as a crash would."""
        self.signal(signal.SIGKILL)
        self.process.wait(timeout=10)

    def stop(self) -> None:
        if self.processes and self.process.poll() is None:
            self.signal(signal.SIGCONT)
            self.signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(timeout=10)
            self.kill()

    def log(self) -> str:
        return (self.home / "agent.log").read_text(errors="replace")[-4000:]

    def traces(self) -> dict[str, list[str]]:
        """Everything that an attachment leaves on the node, to compare before and after."""
        addresses = ("10.99.0.", "fd00:99::")
        routes = (
            in_netns(self.netns, "ip", family, "route", "show", "table", "all") for family in ("-4", "-6")
        )
        neighbours = in_netns(self.netns, "ip", "neigh", "show", "nud", "permanent")
        return {
            "routes": sorted(
                line
                for line in "\n".join(routes).splitlines()
                if line.startswith(addresses) and "blackhole" not in line
            ),
            "neighbours": sorted(line for line in neighbours.splitlines() if line.startswith(addresses)),
        }

    def has_link(self, name: str) -> bool:
        return bool(in_netns(self.netns, "ip", "-o", "link", "show", "dev", name, check=False))

    def _environment(self) -> dict[str, str]:
        folders = ("core", "kube", "nodeagent")
        return dict(os.environ) | {
            "PYTHONPATH": ":".join(str(ROOT / folder) for folder in folders),
            "NODE_NAME": "node1",
            "FAIRLEAD_DESIRED_FILE": str(self.home / "spec.json"),
            "FAIRLEAD_STATE_DIR": str(self.home / "state"),
            "FAIRLEAD_RUN_DIR": str(self.home / "run"),
            "FAIRLEAD_CNI_CONF_DIR": str(self.home / "net.d"),
            "FAIRLEAD_BLOCK_WAIT_SECONDS": "0.2",
            "FAIRLEAD_PASS_SECONDS": str(self.pass_interval_s),
        }


def spec(prefixes: tuple[int, int] = (26, 122), cooldown_seconds: int = 0) -> dict[str, object]:
    """A NodeNetworkSpec with one block of each family of these prefix lengths."""
    return {
        "revision": 1,
        "blocks": [
            {"cidr": f"10.99.0.0/{prefixes[0]}", "pool": "v4"},
            {"cidr": f"fd00:99::/{prefixes[1]}", "pool": "v6"},
        ],
        "pools": [
            {"name": "v4", "family": "IPv4", "cooldownSeconds": cooldown_seconds},
            {"name": "v6", "family": "IPv6", "cooldownSeconds": cooldown_seconds},
        ],
    }


@contextlib.contextmanager
def real_agent(binary: Path, content: dict[str, object], pass_interval_s: float) -> Iterator[RealAgent]:
    """A started agent; process, namespace and directories are gone afterwards."""
    netns = f"flct-node-{uuid.uuid4().hex[:8]}"
    with tempfile.TemporaryDirectory(prefix="flct") as home:
        agent = RealAgent(netns, Path(home), binary, pass_interval_s)
        (agent.home / "spec.json").write_text(json.dumps(content))
        run("ip", "netns", "add", netns)
        try:
            _uplink(netns)
            agent.start()
            yield agent
        finally:
            agent.stop()
            run("ip", "netns", "del", netns, check=False)


def _uplink(netns: str) -> None:
    """A default route over a link of its own that leads nowhere: pods take their MTU from it."""
    for command in (
        f"link add up0 mtu {MTU_BYTES} type veth peer name up1 mtu {MTU_BYTES}",
        "addr add 192.0.2.1/24 dev up0",
        "addr add 2001:db8::1/64 dev up0 nodad",
        "link set lo up",
        "link set up0 up",
        "link set up1 up",
        "route add default via 192.0.2.254 dev up0",
    ):
        in_netns(netns, "ip", *command.split())
