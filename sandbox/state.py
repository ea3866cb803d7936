"""Where one sandbox keeps its files, and the lock that lets one command at a time change it."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sandbox.progress import wait_until
from sandbox.topology import Topology

LOCK_PATIENCE_S = 20
REPOSITORY = Path(__file__).resolve().parent.parent


@dataclass(frozen=True, slots=True)
class State:
    """The folder of one sandbox: .sandbox for the default one, .sandbox/NAME for another."""

    root: Path

    @property
    def kubeconfig(self) -> Path:
        return self.root / "kubeconfig"

    @property
    def bin(self) -> Path:
        return self.root / "bin"

    @property
    def etc(self) -> Path:
        return self.root / "etc"

    @property
    def pki(self) -> Path:
        return self.root / "pki"

    def disk(self, machine: str) -> Path:
        """What survives a power cut of that machine."""
        return self.root / "disk" / machine

    def log(self, machine: str, program: str) -> Path:
        return self.root / "log" / machine / f"{program}.log"

    def pidfile(self, machine: str, program: str) -> Path:
        return self.root / "run" / machine / f"{program}.pid"

    def nodes(self) -> int | None:
        """How many nodes the sandbox was started with; None when it was not."""
        try:
            return int(json.loads((self.root / "cluster.json").read_text())["nodes"])
        except (OSError, ValueError, KeyError):
            return None

    def remember(self, plan: Topology) -> None:
        text = json.dumps({"name": plan.name, "nodes": len(plan.nodes)})
        write(self.root / "cluster.json", text + "\n")


def state(name: str) -> State:
    root = REPOSITORY / ".sandbox"
    return State(root / name if name else root)


@contextmanager
def locked(place: State) -> Iterator[None]:
    """One command at a time. Raises SandboxError when another one is at work for too long."""
    place.root.mkdir(parents=True, exist_ok=True)
    lock = place.root / "lock"
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        busy = f"another sandbox command holds {lock}; let it end first"
        wait_until(lambda: _taken(descriptor), LOCK_PATIENCE_S, lambda: busy, 0.2)
        yield
    finally:
        os.close(descriptor)


def _taken(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def write(path: Path, text: str, mode: int = 0o644) -> None:
    """Put the whole text there at once, so that nobody reads half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(path.name + ".new")
    fresh.write_text(text)
    fresh.chmod(mode)
    fresh.rename(path)
