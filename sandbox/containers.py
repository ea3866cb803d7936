"""Processes in the pods of a node, found by name: to kill or freeze one as a fault would, past kubelet."""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path

from sandbox import cgroups
from sandbox.topology import Machine

OWN_GROUP = "machine"


def named(node: Machine, name: str) -> list[int]:
    """Process ids in the node's pods whose program, or the script that it interprets, has that file name."""
    own = (cgroups.unified(node.namespace) / OWN_GROUP / "cgroup.procs").read_text().split()
    candidates = cgroups.processes(node.namespace) - {int(pid) for pid in own}
    return sorted(pid for pid in candidates if name in program_names(pid))


def program_names(pid: int) -> set[str]:
    """File names of the first two words of the command line: `python3 /usr/bin/fairlead-agent` is both."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[:2]
    except OSError:
        return set()
    return {os.path.basename(word.decode(errors="replace")) for word in words}


def send(node: Machine, name: str, number: signal.Signals) -> list[int]:
    """Signal them all at once; the process ids that were signalled, none when no pod runs such a program."""
    found = named(node, name)
    for pid in found:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
    return found
