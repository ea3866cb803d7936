"""Programs that run on a machine: start, ask, signal. Process ids are kept with their start times."""

from __future__ import annotations

import contextlib
import os
import signal
from dataclasses import dataclass, field
from pathlib import Path

from sandbox import namespaces
from sandbox.progress import SandboxError, wait_until
from sandbox.shell import tail
from sandbox.state import State, write


@dataclass(frozen=True, slots=True)
class Program:
    """A long-running program of one machine. `hint` is the likely cause when it does not come up."""

    machine: str
    name: str
    argv: tuple[str, ...]
    hint: str
    env: tuple[tuple[str, str], ...] = field(default=())


def start_time(pid: int) -> str | None:
    """Ticks since boot at which the process started; None when there is none or it is a zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else fields[19]


def running(place: State, machine: str, name: str) -> int | None:
    """The process id of the program, if it is alive and still the one that was started."""
    try:
        pid_text, started = place.pidfile(machine, name).read_text().split()
    except (OSError, ValueError):
        return None
    return int(pid_text) if start_time(int(pid_text)) == started else None


def remember(place: State, machine: str, name: str, pid: int) -> None:
    write(place.pidfile(machine, name), f"{pid} {start_time(pid)}\n")


def start(place: State, program: Program, init: int, cgroup: Path) -> int:
    """Start the program unless it runs; its process id."""
    alive = running(place, program.machine, program.name)
    if alive:
        return alive
    log = place.log(program.machine, program.name)
    launch = namespaces.Launch(program.argv, log, dict(program.env), (cgroup / "cgroup.procs",))
    pid = stray(program, cgroup) or namespaces.spawn(init, launch)
    remember(place, program.machine, program.name, pid)
    return pid


def stray(program: Program, cgroup: Path) -> int | None:
    """The program, if it runs but an interrupted start did not come to note it; None otherwise."""
    command_line = b"".join(word.encode() + b"\0" for word in program.argv)
    for pid in (cgroup / "cgroup.procs").read_text().split():
        with contextlib.suppress(OSError):
            if Path(f"/proc/{pid}/cmdline").read_bytes() == command_line:
                return int(pid)
    return None


def send(place: State, machine: str, name: str, number: signal.Signals) -> bool:
    """Signal the program; False when it does not run."""
    pid = running(place, machine, name)
    if pid is None:
        return False
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
    return True


def stop(place: State, machine: str, name: str, patience_s: float = 5) -> None:
    """End the program, politely at first: the API server would drain for a minute and keep its port."""
    if not send(place, machine, name, signal.SIGTERM):
        return
    with contextlib.suppress(SandboxError):
        wait_until(lambda: running(place, machine, name) is None, patience_s, lambda: f"{name} ends slowly")
        return
    kill(place, machine, name)


def kill(place: State, machine: str, name: str) -> bool:
    """SIGKILL, and wait until it is gone; False when it did not run."""
    if not send(place, machine, name, signal.SIGKILL):
        return False

    def gone() -> bool:
        return running(place, machine, name) is None

    wait_until(gone, 10, lambda: f"{name} on {machine} survives SIGKILL")
    return True


def explain(place: State, program: Program, what: str) -> str:
    """Why a program is not up: what was awaited, the end of its log, the likely cause."""
    log = place.log(program.machine, program.name)
    try:
        last = tail(log.read_text(errors="replace"))
    except OSError:
        last = "    (no log)"
    state = "runs" if running(place, program.machine, program.name) else "has ended"
    first = f"{program.name} on {program.machine} {state}, but {what}"
    return f"{first}\n{last}\n  likely cause: {program.hint}\n  log: {log}"
