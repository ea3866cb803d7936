"""The running sandbox cluster as tests see it: kubectl, commands inside its nodes, faults."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


class CommandFailedError(AssertionError):
    """A command ended with a status that the test did not expect."""


def run(argv: list[str], *, stdin: str | None = None, timeout_s: float = 60, check: bool = True) -> str:
    """Standard output of `argv`; raises CommandFailedError with both streams otherwise."""
    done = subprocess.run(
        argv, input=stdin, capture_output=True, text=True, timeout=timeout_s, check=False, cwd=ROOT
    )
    if check and done.returncode != 0:
        raise CommandFailedError(
            f"{' '.join(argv)} ended with {done.returncode}\n{done.stdout}\n{done.stderr}"
        )
    return done.stdout


def wait_until(what: str, ready: Callable[[], bool], timeout_s: float = 60, every_s: float = 0.5) -> float:
    """Seconds until `ready()` was true; names what was awaited when it never was."""
    start = time.monotonic()
    while time.monotonic() - start < timeout_s:
        if ready():
            return time.monotonic() - start
        time.sleep(every_s)
    raise AssertionError(f"{what}: not within {timeout_s:.0f} s")


@dataclass(frozen=True, slots=True)
class Cluster:
    """One sandbox; `name` is empty for the default one."""

    name: str = ""

    @property
    def state(self) -> Path:
        return ROOT / ".sandbox" / self.name

    @property
    def command(self) -> list[str]:
        return [sys.executable, "-m", "sandbox", "--name", self.name]

    def kubectl(self, *args: str, stdin: str | None = None, timeout_s: float = 60, check: bool = True) -> str:
        kubectl = [str(self.state / "bin/kubectl"), f"--kubeconfig={self.state / 'kubeconfig'}"]
        return run([*kubectl, *args], stdin=stdin, timeout_s=timeout_s, check=check)

    def get(self, *args: str) -> Any:
        return json.loads(self.kubectl("get", *args, "-o", "json"))

    def apply(self, *objects: dict[str, Any]) -> None:
        listed = {"apiVersion": "v1", "kind": "List", "items": list(objects)}
        self.kubectl("apply", "-f", "-", stdin=json.dumps(listed))

    def sandbox(self, *args: str, timeout_s: float = 120, check: bool = True) -> str:
        return run([*self.command, *args], timeout_s=timeout_s, check=check)

    def inside(self, place: str, *command: str, timeout_s: float = 60, check: bool = True) -> str:
        """Standard output of a command in node1, tor, ext or core."""
        return run([*self.command, "exec", place, "--", *command], timeout_s=timeout_s, check=check)

    def nodes(self) -> list[str]:
        return sorted(item["metadata"]["name"] for item in self.get("nodes")["items"])

    def image(self) -> str:
        """The image that the agents run; it carries Python, so it serves as test pod too."""
        daemonset = self.get("daemonset", "fairlead-agent", "-n", "fairlead-system")
        image: str = daemonset["spec"]["template"]["spec"]["containers"][0]["image"]
        return image

    def exec(self, pod: str, *command: str, timeout_s: float = 60, check: bool = True) -> str:
        return self.kubectl("exec", pod, "--", *command, timeout_s=timeout_s, check=check)


def current() -> Cluster:
    return Cluster(os.environ.get("SANDBOX", ""))
