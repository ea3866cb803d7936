"""Built things of these tests stay in the test's own folder."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path) -> Iterator[Path]:
    before = os.environ.get("FAIRLEAD_CACHE")
    os.environ["FAIRLEAD_CACHE"] = str(tmp_path / "cache")
    yield tmp_path / "cache"
    if before is None:
        del os.environ["FAIRLEAD_CACHE"]
    else:
        os.environ["FAIRLEAD_CACHE"] = before
