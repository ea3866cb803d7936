"""The built plugin with a socket and a spool of the test's own."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cni.plugin import Plugin, build


@pytest.fixture(scope="session")
def binary() -> Path:
    return build("all", "fairlead")


@pytest.fixture
def plugin(binary: Path, tmp_path: Path) -> Iterator[Plugin]:
    # pytest's own directories can be longer than a unix socket's path may be (107 bytes).
    with tempfile.TemporaryDirectory(prefix="flcni") as short:
        yield Plugin(binary, Path(short) / "cni.sock", tmp_path / "var/lib/del")
