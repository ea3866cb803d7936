"""A machine's part of the cgroup tree, in every hierarchy of the host: version 1, version 2 or both."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")
CONTROLLERS = "+cpuset +cpu +io +memory +pids"


def hierarchies() -> list[Path]:
    """The mount points under /sys/fs/cgroup: one for a pure version 2 host, one per controller otherwise."""
    if (ROOT / "cgroup.controllers").exists():
        return [ROOT]
    mounted = (folder for folder in ROOT.iterdir() if not folder.is_symlink())
    return sorted(folder for folder in mounted if (folder / "cgroup.procs").exists())


def unified(name: str) -> Path:
    """The machine's folder in the version 2 hierarchy, where BPF programs attach."""
    for folder in hierarchies():
        if (folder / "cgroup.controllers").exists():
            return folder / name
    raise FileNotFoundError(f"{ROOT}: no cgroup version 2 hierarchy is mounted")


def create(name: str) -> Path:
    """Make the machine's groups. Returns the group in which the machine's own processes live."""
    for hierarchy in hierarchies():
        group = hierarchy / name
        group.mkdir(exist_ok=True)
        _inherit_cpuset(hierarchy, group)
    if hierarchies() == [ROOT]:
        # Version 2 gives a child only what its parent passes on; a missing controller is kubelet's to report.
        for folder in (ROOT, ROOT / name):
            with contextlib.suppress(OSError):
                (folder / "cgroup.subtree_control").write_text(CONTROLLERS)
    own = unified(name) / "machine"
    own.mkdir(exist_ok=True)
    return own


def _inherit_cpuset(parent: Path, child: Path) -> None:
    # A version 1 cpuset starts empty and then accepts no process at all.
    for knob in ("cpuset.cpus", "cpuset.mems"):
        if (child / knob).exists() and not (parent / "cgroup.controllers").exists():
            (child / knob).write_text((parent / knob).read_text())


def processes(name: str) -> set[int]:
    """Every process in the machine's groups."""
    found: set[int] = set()
    for hierarchy in hierarchies():
        for procs in (hierarchy / name).rglob("cgroup.procs"):
            with contextlib.suppress(OSError):
                found.update(int(line) for line in procs.read_text().split())
    return found


def remove(name: str, timeout_s: float = 10) -> None:
    """Kill what is left in the machine's groups and remove them. Raises OSError when one stays busy."""
    deadline = time.monotonic() + timeout_s
    while True:
        for pid in processes(name):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        try:
            for hierarchy in hierarchies():
                _remove_tree(hierarchy / name)
            return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)


def _remove_tree(group: Path) -> None:
    if not group.exists():
        return
    for folder, _, _ in os.walk(group, topdown=False):
        os.rmdir(folder)
