"""Grounds to test on: a node with its router, alone or with everything announced."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.netns.bgp import fabric as ground
from tests.netns.bgp.fabric import eventually
from tests.netns.bgp.speaker import BLOCK4, BLOCK6, Node, spec


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    fabric = ground.build(f"flb{os.getpid() % 10000}", tmp_path)
    try:
        yield Node(fabric)
    finally:
        fabric.close()


@pytest.fixture
def running(node: Node) -> Node:
    """Both sessions up and both blocks at the router."""
    node.fabric.start_tor()
    node.fabric.start_supervisor()
    node.fabric.announce(BLOCK4, BLOCK6)
    node.bgp.realise(spec(BLOCK4, BLOCK6))
    node.await_established()
    eventually(lambda: node.fabric.learned() == {BLOCK4, BLOCK6}, "both blocks are at the router")
    return node
