"""One machine's life: power on, power off, and finding those that a half-finished start left behind."""

from __future__ import annotations

import contextlib
import os
import re
import signal
from pathlib import Path

from sandbox import cgroups, links, namespaces, processes, programs
from sandbox.progress import SandboxError, wait_until
from sandbox.shell import tail
from sandbox.state import REPOSITORY, State, write
from sandbox.topology import Machine, Topology

SETUP = REPOSITORY / "sandbox" / "machine.sh"
# In the environment of a machine's first process: which folder it belongs to.
OWNER = "FAIRLEAD_SANDBOX"


def init(place: State, machine: Machine) -> int | None:
    """Process id of the machine's first process; None when the machine is off."""
    return processes.running(place, machine.name, "init")


def power_on(place: State, plan: Topology, machine: Machine) -> None:
    """Boot the machine; does nothing when it is on. Its disk is as the last power cut left it."""
    write(place.disk(machine.name) / "hosts", hosts(plan, machine))
    if init(place, machine):
        return
    if machine.namespace in links.namespaces():
        # A start that was interrupted may have left half a machine; no half is worth keeping.
        power_off(place, plan, machine)
    own_group = cgroups.create(machine.namespace)
    links.create_namespace(machine)
    wire(plan, machine)
    _boot(place, machine, own_group)


def wire(plan: Topology, machine: Machine) -> None:
    """Plug in the machine's cables; the router's are those of all machines that there are."""
    present = links.namespaces()
    for one in plan.machines if machine.name == "tor" else (machine,):
        if one.name != "tor" and one.namespace in present:
            links.connect(plan, one)
    if machine.name == "core":
        links.connect_host(plan)


def _boot(place: State, machine: Machine, own_group: Path) -> None:
    ready = place.root / "run" / machine.name / "ready"
    ready.unlink(missing_ok=True)
    pid = namespaces.boot(machine.namespace, _first_process(place, machine, own_group, ready))

    def settled() -> bool:
        return ready.exists() or not processes.start_time(pid)

    wait_until(settled, 10, lambda: _no_boot(place, machine), 0.01)
    if not processes.start_time(pid):
        raise SandboxError(_no_boot(place, machine))
    processes.remember(place, machine.name, "init", pid)


def own_group(machine: Machine) -> Path:
    """The group of the machine's own processes, beside those of its pods."""
    return cgroups.unified(machine.namespace) / "machine"


def _first_process(place: State, machine: Machine, own_group: Path, ready: Path) -> namespaces.Launch:
    ready.parent.mkdir(parents=True, exist_ok=True)
    argv = (
        *("/bin/sh", str(SETUP), machine.name, str(place.disk(machine.name)), str(programs.pause())),
        *(str(cgroups.unified(machine.namespace)), str(ready)),
    )
    log = place.log(machine.name, "init")
    log.unlink(missing_ok=True)
    return namespaces.Launch(argv, log, {OWNER: str(place.root)}, (own_group / "cgroup.procs",))


def _no_boot(place: State, machine: Machine) -> str:
    log = place.log(machine.name, "init")
    text = tail(log.read_text()) if log.exists() else "    (no log)"
    cause = "not root, or no overlayfs on this file system"
    return f"{machine.name} does not boot: {SETUP.name} said\n{text}\n  likely cause: {cause}"


def hosts(plan: Topology, machine: Machine) -> str:
    """/etc/hosts of a machine: itself and all others, both families."""
    lines = ["127.0.0.1 localhost", "::1 localhost"]
    for other in plan.machines:
        lines += [f"{other.v4} {other.name}", f"{other.v6} {other.name}"]
    return f"# {machine.name}\n" + "\n".join(lines) + "\n"


def power_off(place: State, plan: Topology, machine: Machine) -> None:
    """Cut the power: everything on the machine dies at once and its links go; only its disk stays."""
    pid = init(place, machine)
    if pid:
        os.kill(pid, signal.SIGKILL)
    _sweep(machine.namespace)
    links.disconnect(plan, machine)
    links.delete_namespace(machine.namespace)
    if machine.name == "core":
        links.disconnect_host(plan)
    cgroups.remove(machine.namespace)
    for pidfile in (place.root / "run" / machine.name).glob("*.pid"):
        pidfile.unlink()


def _sweep(namespace: str) -> None:
    """Kill whatever still runs in the network namespace and wait until nothing does."""

    def empty() -> bool:
        left = inhabitants(namespace)
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return not left

    wait_until(empty, 15, lambda: f"processes {inhabitants(namespace)} in {namespace} survive SIGKILL", 0.02)


def inhabitants(namespace: str) -> list[int]:
    """Processes in a named network namespace; none when it does not exist."""
    try:
        inode = (namespaces.NETNS_FOLDER / namespace).stat().st_ino
    except OSError:
        return []
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                if (entry / "ns" / "net").stat().st_ino == inode:
                    found.append(int(entry.name))
    return found


def existing(name: str) -> list[str]:
    """Network namespaces that a sandbox of that name has on this host, whoever started it."""
    prefix = f"fl-{name}-" if name else "fl-"
    pattern = re.compile(re.escape(prefix) + r"(core|tor|ext|node\d+)")
    return sorted(found for found in links.namespaces() if pattern.fullmatch(found))


def owner(namespace: str) -> str | None:
    """The state folder that a machine's processes say they belong to; None when nobody does."""
    for pid in inhabitants(namespace):
        with contextlib.suppress(OSError):
            for entry in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
                if entry.startswith(OWNER.encode() + b"="):
                    return entry.partition(b"=")[2].decode()
    return None
