"""A node and its top-of-rack router in two network namespaces: the ground that test_bgp stands on.

    node 10.250.0.11 fd00:250::11 --- up0 / node --- 10.250.0.1 fd00:250::1 tor

The node's BIRD runs under the image's supervisor with a directory of its own; the router's configuration is
tor.conf. Everything made here is taken away by `close`.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).parent
SUPERVISOR = HERE.parents[2] / "image" / "bird-supervisor.sh"
RTPROTO = "76"
TABLE = "200"


def run(*command: str, timeout_s: float = 10.0) -> str:
    """The standard output of a command that must succeed."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout_s, check=False)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr or done.stdout}"
    return done.stdout


def eventually(question: Callable[[], object], what: str, within_s: float = 15.0) -> float:
    """Seconds until the question was answered with something true. Fails after `within_s`."""
    started_s = time.monotonic()
    while time.monotonic() - started_s < within_s:
        if question():
            return time.monotonic() - started_s
        time.sleep(0.01)
    raise AssertionError(f"not within {within_s} s: {what}")


@dataclass
class Machine:
    """One network namespace and the processes started in it."""

    namespace: str
    processes: list[subprocess.Popen[str]] = field(default_factory=list)

    def start(self, *command: str, log: Path, env: dict[str, str] | None = None) -> subprocess.Popen[str]:
        # nsenter and not `ip netns exec`, which would remount /sys.
        with log.open("a") as out:
            process = subprocess.Popen(
                ("nsenter", f"--net=/run/netns/{self.namespace}", *command),
                stdout=out,
                stderr=out,
                text=True,
                env={**os.environ, **(env or {})},
            )
        self.processes.append(process)
        return process

    def ip(self, *arguments: str) -> str:
        return run("ip", "-n", self.namespace, *arguments)

    def silence(self, link: str) -> None:
        """Nothing leaves any more, while the link stays up: no packet fits into a bucket of one byte."""
        bucket = ("tbf", "rate", "8bit", "burst", "1", "limit", "1")
        run("tc", "-n", self.namespace, "qdisc", "add", "dev", link, "root", *bucket)

    def unsilence(self, link: str) -> None:
        run("tc", "-n", self.namespace, "qdisc", "del", "dev", link, "root")

    def stop(self) -> None:
        for process in reversed(self.processes):
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
        for process in reversed(self.processes):
            end(process)
        self.processes.clear()


def end(process: subprocess.Popen[str], within_s: float = 5.0) -> None:
    """Wait for a process that was told to end; kill it when it does not."""
    try:
        process.wait(within_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(within_s)


@dataclass
class Fabric:
    """`directory` is what the chart calls /run/fairlead/bird; the router's files stand beside it."""

    node: Machine
    tor: Machine
    root: Path

    @property
    def directory(self) -> Path:
        return self.root / "bird"

    def start_supervisor(self) -> subprocess.Popen[str]:
        environment = {"FAIRLEAD_BIRD_DIR": str(self.directory)}
        # With the capabilities that the chart grants and no other.
        confined = ("setpriv", "--bounding-set", "-all,+net_admin,+net_raw,+net_bind_service")
        process = self.node.start(*confined, str(SUPERVISOR), log=self.root / "node.log", env=environment)
        eventually(lambda: self.node_birdc("show", "status", check=False), "BIRD of the node answers")
        return process

    def start_tor(self, password: str = "") -> None:
        text = (HERE / "tor.conf").read_text()
        config = self.root / "tor.conf"
        config.write_text(text.replace("#password", f'password "{password}";') if password else text)
        socket, log = str(self.root / "tor.ctl"), self.root / "tor.log"
        self.tor.start("bird", "-f", "-c", str(config), "-s", socket, log=log)
        eventually(lambda: self.tor_birdc("show", "status", check=False), "BIRD of the router answers")

    def node_birdc(self, *command: str, check: bool = True) -> str:
        return birdc(self.directory / "bird.ctl", *command, check=check)

    def tor_birdc(self, *command: str, check: bool = True) -> str:
        return birdc(self.root / "tor.ctl", *command, check=check)

    def announce(self, *prefixes: str) -> None:
        """What the agent's routes target does: a blackhole in table 200 with our rtproto."""
        for prefix in prefixes:
            self.node.ip(
                *family(prefix), "route", "replace", "blackhole", prefix, "table", TABLE, "proto", RTPROTO
            )

    def withdraw(self, *prefixes: str) -> None:
        for prefix in prefixes:
            self.node.ip(
                *family(prefix), "route", "del", "blackhole", prefix, "table", TABLE, "proto", RTPROTO
            )

    def learned(self) -> set[str]:
        """Every prefix that the router's kernel has from BGP, in both families."""
        lines = [
            line
            for flag in ("-4", "-6")
            for line in self.tor.ip(flag, "route", "show", "proto", "bird").splitlines()
        ]
        return {line.split()[0] for line in lines}

    def bird_pid(self) -> int:
        """The node's BIRD: the one that was started with this directory's socket."""
        for entry in Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):
                arguments = entry.read_bytes().split(b"\0")
                if arguments[0] == b"bird" and str(self.directory / "bird.ctl").encode() in arguments:
                    return int(entry.parent.name)
        raise AssertionError(f"no BIRD runs in {self.directory}")

    def kill_bird(self) -> None:
        os.kill(self.bird_pid(), signal.SIGKILL)

    def close(self) -> None:
        self.node.stop()
        self.tor.stop()
        with contextlib.suppress(AssertionError):
            os.kill(self.bird_pid(), signal.SIGKILL)
        for machine in (self.node, self.tor):
            run("ip", "netns", "del", machine.namespace)


@contextlib.contextmanager
def route_changes(fabric: Fabric) -> Iterator[list[str]]:
    """A list that holds, after the block, every change of a BGP route in the router's kernel meanwhile."""
    changes: list[str] = []
    log = fabric.root / "monitor.log"
    log.write_text("")
    monitor = fabric.tor.start("ip", "-ts", "monitor", "route", log=log)
    time.sleep(0.2)  # the monitor has no sign for "I listen now"
    try:
        yield changes
    finally:
        monitor.terminate()
        end(monitor)
        fabric.tor.processes.remove(monitor)
        changes += [line for line in log.read_text().splitlines() if "proto bird" in line]


def birdc(socket: Path, *command: str, check: bool) -> str:
    """birdc's words; "" when it fails and need not succeed."""
    done = subprocess.run(
        ("birdc", "-s", str(socket), *command), capture_output=True, text=True, timeout=5, check=False
    )
    assert not check or done.returncode == 0, done.stdout + done.stderr
    return done.stdout if done.returncode == 0 else ""


def family(prefix: str) -> tuple[str, ...]:
    return ("-6",) if ":" in prefix else ("-4",)


def build(tag: str, root: Path) -> Fabric:
    """Both namespaces, wired and addressed; no BIRD yet."""
    node, tor = Machine(f"{tag}n"), Machine(f"{tag}t")
    for machine in (node, tor):
        run("ip", "netns", "add", machine.namespace)
        machine.ip("link", "set", "lo", "up")
        # Link-local addresses at once: BIRD would announce IPv6 routes without one and replace them later.
        run(
            "nsenter",
            f"--net=/run/netns/{machine.namespace}",
            "sysctl",
            "-qw",
            "net.ipv6.conf.default.accept_dad=0",
        )
    run(
        "ip",
        "link",
        "add",
        "up0",
        "netns",
        node.namespace,
        "type",
        "veth",
        "peer",
        "name",
        "node",
        "netns",
        tor.namespace,
    )
    _address(node, "up0", "10.250.0.11", "10.250.0.1")
    _address(node, "up0", "fd00:250::11", "fd00:250::1")
    _address(tor, "node", "10.250.0.1", "10.250.0.11")
    _address(tor, "node", "fd00:250::1", "fd00:250::11")
    (root / "bird").mkdir(mode=0o700)
    return Fabric(node, tor, root)


def _address(machine: Machine, link: str, local: str, peer: str) -> None:
    machine.ip("link", "set", link, "up")
    if ":" in local:
        machine.ip("addr", "add", local, "peer", f"{peer}/128", "dev", link, "nodad")
        # Linux 6.18 installs no route to the peer of an IPv6 address.
        machine.ip("-6", "route", "replace", peer, "dev", link)
    else:
        machine.ip("addr", "add", local, "peer", f"{peer}/32", "dev", link)
