"""Calls the built plugin as a container runtime does: environment, stdin, stdout, exit status."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CNI_DIR = Path(__file__).parents[2] / "nodeagent/cni"
VERSIONS = ("0.4.0", "1.0.0", "1.1.0")
ATTACHMENT = {"CNI_CONTAINERID": "c0ffee", "CNI_IFNAME": "eth0"}


@dataclass(frozen=True, slots=True)
class Outcome:
    """`status` is negative when a signal ended the plugin."""

    status: int
    stdout: bytes
    stderr: bytes

    def document(self) -> dict[str, Any]:
        """stdout as the JSON object that it must be."""
        document = json.loads(self.stdout)
        assert isinstance(document, dict)
        return document


@dataclass(frozen=True, slots=True)
class Plugin:
    """One built binary, the socket it shall ask, and the spool it shall write to."""

    binary: Path
    socket: Path
    spool: Path

    def conf(self, **changes: object) -> bytes:
        """A configuration that is fine for every verb of 1.1; a None takes the key away."""
        members: dict[str, object] = {
            "cniVersion": "1.1.0",
            "name": "fairlead",
            "type": "fairlead",
            "socketPath": str(self.socket),
            "spoolDir": str(self.spool),
            "timeoutSeconds": 5,
            "prevResult": {},
            "cni.dev/valid-attachments": [],
        }
        members.update(changes)
        return json.dumps({key: value for key, value in members.items() if value is not None}).encode()

    def call(self, verb: str | None, env: Mapping[str, str], stdin: bytes) -> Outcome:
        """Runs the plugin with `env` and nothing else in its environment."""
        command = {} if verb is None else {"CNI_COMMAND": verb}
        done = subprocess.run(
            [self.binary], env=command | dict(env), input=stdin, capture_output=True, timeout=60, check=False
        )
        return Outcome(done.returncode, done.stdout, done.stderr)


def build(target: str, binary: str) -> Path:
    """Builds `target`, which leaves `binary`."""
    subprocess.run(["make", "-s", "-C", CNI_DIR, target], check=True, timeout=120)
    return CNI_DIR / "build" / binary
