"""Processes inside a machine: its first one, and every one after it.

A machine is a network, mount, UTS and PID namespace. Its first process only reaps; when it dies, the kernel
kills everything in the machine, pods included. That is what a power cut is here.
"""

from __future__ import annotations

import ctypes
import os
import socket
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sandbox.progress import SandboxError

CLONE_NEWNS = 0x00020000
CLONE_NEWUTS = 0x04000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
NETNS_FOLDER = Path("/run/netns")

_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True)
class Launch:
    """A process to start: its words, environment, log file, and cgroup.procs files to enter first."""

    argv: Sequence[str]
    log: Path
    env: Mapping[str, str] = field(default_factory=dict)
    cgroups: Sequence[Path] = ()


def boot(netns: str, launch: Launch) -> int:
    """Start a machine's first process in new mount, UTS and PID namespaces; its process id on the host."""

    def enter() -> None:
        with (NETNS_FOLDER / netns).open("rb") as handle:
            _setns(handle.fileno(), CLONE_NEWNET)
        if _libc.unshare(CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWPID):
            raise OSError(ctypes.get_errno(), f"new namespaces for {netns}")

    return _fork_into(enter, launch, reparent=False)


def spawn(init: int, launch: Launch) -> int:
    """Start a process in the machine whose first process is `init`; its process id as the host sees it."""

    def enter() -> None:
        handle = os.pidfd_open(init)
        _setns(handle, CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWPID | CLONE_NEWNET)
        os.close(handle)

    return _fork_into(enter, launch, reparent=True)


def _setns(descriptor: int, kinds: int) -> None:
    if _libc.setns(descriptor, kinds):
        number = ctypes.get_errno()
        raise OSError(number, f"enter namespaces: {os.strerror(number)}")


def _fork_into(enter: Callable[[], None], launch: Launch, reparent: bool) -> int:
    """Fork a child that leaves the process in the namespaces; the kernel translates its id for us."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
    ours.settimeout(20)
    child = os.fork()
    if child == 0:
        _in_child(enter, launch, reparent, theirs)
    theirs.close()
    _, status = os.waitpid(child, 0)
    if status:
        raise SandboxError(f"cannot start {launch.argv[0]}: see {launch.log}")
    _, ancillary, _, _ = ours.recvmsg(1, socket.CMSG_SPACE(12))
    ours.close()
    pid: int = struct.unpack("3i", ancillary[0][2])[0]
    return pid


def _in_child(enter: Callable[[], None], launch: Launch, reparent: bool, theirs: socket.socket) -> None:
    """Never returns. Entering a PID namespace counts only for children, hence the forks.

    With `reparent` one more fork hands the process to the machine's own first process, which reaps it.
    """
    try:
        _open_log(launch.log)
        for group in launch.cgroups:
            group.write_text("0")
        enter()
        if os.fork():
            os._exit(0)
        if reparent and os.fork():
            os._exit(0)
        os.setsid()
        os.chdir("/")
        theirs.sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_CREDENTIALS, _own_credentials())])
        os.execvpe(launch.argv[0], list(launch.argv), {**_clean_environment(), **launch.env})
    except BaseException as error:  # a child of fork must never run on into its parent's code
        os.write(2, f"{launch.argv[0]}: {error}\n".encode())
        os._exit(1)


def _own_credentials() -> bytes:
    return struct.pack("3i", os.getpid(), os.getuid(), os.getgid())


def _open_log(log: Path) -> None:
    log.parent.mkdir(parents=True, exist_ok=True)
    nothing = os.open(os.devnull, os.O_RDONLY)
    out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(nothing, 0)
    os.dup2(out, 1)
    os.dup2(out, 2)


def _clean_environment() -> dict[str, str]:
    """Nothing of the caller's shell may leak into a machine, above all no proxy and no KUBECONFIG."""
    return {"PATH": PATH, "HOME": "/root", "LANG": "C.UTF-8"}
