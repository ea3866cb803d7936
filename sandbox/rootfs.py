"""Small Debian root file systems, made by mmdebstrap from where the host itself gets its packages."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sandbox import cache
from sandbox.progress import SandboxError, step
from sandbox.shell import run

SUITE = "bookworm"
# Raise it to fetch Debian's newer packages into roots that are otherwise in the cache for ever.
EDITION = "1"
WITHOUT = ("/usr/share/doc/*", "/usr/share/man/*", "/usr/share/locale/*", "/usr/share/info/*", "/usr/share/lintian/*")


def tar_of(name: str, packages: Sequence[str]) -> Path:
    """A tar of a minimal Debian with those packages."""

    def make(folder: Path) -> None:
        excluded = [f"--dpkgopt=path-exclude={pattern}" for pattern in WITHOUT]
        include = f"--include={','.join(packages)}"
        with step(f"Debian root of {name}"):
            argv = ["mmdebstrap", "--quiet", "--variant=minbase", *excluded, include]
            run(["nice", "-n", "5", *argv, SUITE, folder / "root.tar", *sources()], timeout_s=900)

    return cache.artefact("rootfs", cache.digest(SUITE, EDITION, *WITHOUT, *packages), make) / "root.tar"


def sources(etc: Path = Path("/etc/apt")) -> list[Path]:
    """The host's own apt sources of this Debian release. Raises SandboxError when it has none."""
    files = [etc / "sources.list", *sorted(etc.glob("sources.list.d/*.list")), *sorted(etc.glob("sources.list.d/*.sources"))]
    found = [file for file in files if file.is_file() and SUITE in file.read_text() and "debian" in file.read_text()]
    if not found:
        raise SandboxError(f"no apt source in {etc} serves Debian {SUITE}: images need one")
    return found
