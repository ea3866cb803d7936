"""Code 8: CNI_NETNS must be a network namespace that is not the node's. DEL goes on without one."""

from __future__ import annotations

import os
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from fairlead_core.cni_wire import Response
from tests.cni.plugin import ATTACHMENT, Plugin
from tests.fakes.cni_agent import FakeAgent, says

UNUSABLE = [
    ("a path that is not there", "/nowhere/netns", "No such file"),
    ("a plain file", "/etc/hostname", "not on nsfs"),
    ("a directory", "/tmp", "not on nsfs"),
    ("a device", "/dev/null", "not on nsfs"),
    ("a namespace of another kind", "/proc/self/ns/uts", "not a network namespace"),
    ("the node's own namespace", "/proc/self/ns/net", "the plugin's own"),
]
UNUSABLE_ROWS = pytest.mark.parametrize(
    ("path", "cause"), [row[1:] for row in UNUSABLE], ids=[row[0] for row in UNUSABLE]
)


@pytest.fixture
def netns() -> Iterator[Path]:
    name = f"flcni-{uuid.uuid4().hex[:8]}"
    subprocess.run(["ip", "netns", "add", name], check=True, timeout=10)
    yield Path("/run/netns") / name
    subprocess.run(["ip", "netns", "del", name], check=True, timeout=10)


@UNUSABLE_ROWS
@pytest.mark.parametrize("verb", ["ADD", "CHECK"])
def test_a_namespace_that_cannot_be_used_is_code_8(plugin: Plugin, verb: str, path: str, cause: str) -> None:
    with FakeAgent(plugin.socket, says(Response(0, b"{}"))) as agent:
        outcome = plugin.call(verb, ATTACHMENT | {"CNI_NETNS": path}, plugin.conf())

    document = outcome.document()
    assert (outcome.status, document["code"]) == (1, 8)
    assert document["msg"].startswith(f'{verb} of c0ffee/eth0: CNI_NETNS "{path}"')
    assert cause in document["msg"]
    assert agent.received == []


@UNUSABLE_ROWS
def test_a_del_goes_on_without_a_namespace_that_cannot_be_used(plugin: Plugin, path: str, cause: str) -> None:
    with FakeAgent(plugin.socket, says(Response(0, b""))) as agent:
        outcome = plugin.call("DEL", ATTACHMENT | {"CNI_NETNS": path}, plugin.conf())

    assert outcome.status == 0, cause
    assert [received.netns_inode for received in agent.received] == [None]


def test_a_fifo_in_the_place_of_the_namespace_does_not_hold_the_plugin(
    plugin: Plugin, tmp_path: Path
) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)

    outcome = plugin.call("ADD", ATTACHMENT | {"CNI_NETNS": str(fifo)}, plugin.conf())

    assert outcome.document()["code"] == 8


@pytest.mark.root
@pytest.mark.parametrize("verb", ["ADD", "CHECK", "DEL"])
def test_the_agent_gets_the_namespace_itself(plugin: Plugin, netns: Path, verb: str) -> None:
    with FakeAgent(plugin.socket, says(Response(0, b"{}"))) as agent:
        outcome = plugin.call(verb, ATTACHMENT | {"CNI_NETNS": str(netns)}, plugin.conf())

    assert outcome.status == 0
    assert [received.netns_inode for received in agent.received] == [netns.stat().st_ino]


@pytest.mark.root
@pytest.mark.parametrize("verb", ["ADD", "CHECK"])
def test_with_the_agent_down_an_attachment_answers_try_later(plugin: Plugin, netns: Path, verb: str) -> None:
    outcome = plugin.call(verb, ATTACHMENT | {"CNI_NETNS": str(netns)}, plugin.conf())

    assert outcome.document()["code"] == 11
    assert not plugin.spool.exists()


@pytest.mark.root
def test_an_add_without_a_result_is_code_5(plugin: Plugin, netns: Path) -> None:
    with FakeAgent(plugin.socket, says(Response(0, b""))):
        outcome = plugin.call("ADD", ATTACHMENT | {"CNI_NETNS": str(netns)}, plugin.conf())

    assert outcome.document()["code"] == 5
