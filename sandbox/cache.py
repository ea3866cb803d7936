"""Built things, kept by the content of what they were built from, so that nothing is built twice."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path


def root() -> Path:
    """~/.cache/fairlead, or FAIRLEAD_CACHE."""
    return Path(os.environ.get("FAIRLEAD_CACHE") or Path.home() / ".cache" / "fairlead")


def digest(*parts: str | bytes) -> str:
    """One name for a list of parts; ("ab", "c") and ("a", "bc") differ."""
    total = hashlib.sha256()
    for part in parts:
        raw = part.encode() if isinstance(part, str) else part
        total.update(len(raw).to_bytes(8, "big"))
        total.update(raw)
    return total.hexdigest()[:20]


def tree_digest(*roots: Path) -> str:
    """One name for the files under some folders (or single files): relative path, executable bit, content."""
    return digest(*(part for root_ in roots for file in files(root_) for part in _file_parts(root_, file)))


def content_name(path: Path) -> str:
    """One name for the content of a path: the name of a built thing, else from reading it all."""
    real = path.resolve()
    return str(real.relative_to(root())) if real.is_relative_to(root()) else tree_digest(path)


def files(root_: Path) -> list[Path]:
    """Files and links below a folder in a fixed order, without Python's caches; a file stands for itself."""
    if root_.is_file():
        return [root_]
    found = (path for path in root_.rglob("*") if path.is_file() or path.is_symlink())
    return sorted(path for path in found if "__pycache__" not in path.parts)


def _file_parts(root_: Path, file: Path) -> Iterable[str | bytes]:
    yield str(file.relative_to(root_))
    if file.is_symlink():
        yield os.readlink(file)
        return
    yield "x" if os.access(file, os.X_OK) else "-"
    yield file.read_bytes()


def artefact(kind: str, key: str, build: Callable[[Path], None]) -> Path:
    """The folder of one built thing. `build` fills an empty folder; it appears here whole or not at all."""
    folder = root() / kind / key
    if folder.exists():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(prefix=f".{key}-", dir=folder.parent))
    try:
        build(fresh)
        fresh.chmod(0o755)
        if not folder.exists():
            fresh.rename(folder)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return folder


def has(kind: str, key: str) -> bool:
    return (root() / kind / key).exists()
