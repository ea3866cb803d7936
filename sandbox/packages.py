"""Debian packages that the sandbox uses on the host, all of them named here.

`python -m sandbox.packages FILE` installs what FILE lists: a package per line, "#" starts a comment.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from pathlib import Path

from sandbox.progress import SandboxError, step
from sandbox.shell import attempt, run

# package -> why
PACKAGES = {
    "bird2": "the router's own BIRD",
    "busybox-static": "the busybox test image",
    "gcc": "the first process of pods and machines, and the CNI plugin",
    "iputils-ping": "ping on machines",
    "iproute2": "namespaces and links",
    "libc6-dev": "static linking of the two programs above",
    "make": "the CNI plugin's build",
    "mmdebstrap": "root file systems of images",
    "mount": "mounts of machines",
    "openssl": "certificates",
    "python3-pip": "Python packages of the image",
    "runc": "starts containers for containerd",
    "util-linux": "nsenter",
}
INIT_POLICY = Path("/usr/sbin/policy-rc.d")


def missing(wanted: Iterable[str]) -> list[str]:
    """Names of packages that are not installed."""
    names = set(wanted)
    shown = attempt(["dpkg-query", "-W", "-f", "${Package} ${db:Status-Status}\n", *names]).stdout
    installed = {line.split()[0] for line in shown.splitlines() if line.endswith(" installed")}
    return sorted(names - installed)


def listed(text: str) -> list[str]:
    """The package names of a list's text."""
    return [words[0] for line in text.splitlines() if (words := line.partition("#")[0].split())]


def ensure(wanted: Iterable[str] = PACKAGES) -> None:
    """Install what is missing. Asks the package index only then."""
    names = missing(wanted)
    if not names:
        return
    with step(f"Debian packages: {' '.join(names)}"):
        _install(names)


def _install(names: list[str]) -> None:
    if os.geteuid():
        raise SandboxError(f"installing {' '.join(names)} needs root: run as root, or install them first")
    quiet = {"DEBIAN_FRONTEND": "noninteractive"}
    made_policy = not INIT_POLICY.exists()
    if made_policy:
        # bird2 would start a router on the host itself; 101 means "no service may start".
        INIT_POLICY.write_text("#!/bin/sh\nexit 101\n")
        INIT_POLICY.chmod(0o755)
    try:
        run(["apt-get", "update", "-qq"], timeout_s=300, env=quiet)
        run(["apt-get", "install", "-y", "-qq", "--no-install-recommends", *names], timeout_s=900, env=quiet)
    finally:
        if made_policy:
            INIT_POLICY.unlink(missing_ok=True)


if __name__ == "__main__":
    ensure(listed(Path(sys.argv[1]).read_text()))
