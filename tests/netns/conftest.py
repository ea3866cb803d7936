"""Fixtures for tests in real network namespaces. They need root; without it they are skipped, loudly."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.netns.node import Node

_numbers = itertools.count()


@pytest.fixture
def bare_node(tmp_path: Path) -> Iterator[Node]:
    """A node whose agent is not started yet."""
    if os.geteuid() != 0:
        pytest.skip("network namespaces need root")
    node = Node(f"flt{os.getpid()}x{next(_numbers)}", tmp_path)
    try:
        node.create()
        yield node
    finally:
        node.destroy()


@pytest.fixture
def node(bare_node: Node) -> Node:
    """A node whose agent serves."""
    bare_node.start_agent()
    return bare_node
