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
WITHOUT = tuple(f"/usr/share/{folder}/*" for folder in ("doc", "info", "lintian", "locale", "man"))


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
    parts = (path for path in sorted(etc.glob("sources.list.d/*")) if path.suffix in (".list", ".sources"))
    texts = {file: file.read_text() for file in (etc / "sources.list", *parts) if file.is_file()}
    found = [file for file, text in texts.items() if SUITE in text and "debian" in text]
    if not found:
        raise SandboxError(f"no apt source in {etc} serves Debian {SUITE}: images need one")
    return found
