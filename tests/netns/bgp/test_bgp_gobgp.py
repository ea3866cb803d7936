"""The node's BGP against a speaker that shares no code with BIRD: GoBGP."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest

from fairlead_core import api
from tests.netns.bgp import fabric as ground
from tests.netns.bgp.fabric import Fabric, eventually, run
from tests.netns.bgp.speaker import BLOCK4, BLOCK6, TOR4, TOR6, Node, spec

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="makes network namespaces: needs root"),
    pytest.mark.skipif(shutil.which("gobgpd") is None, reason="needs GoBGP (Debian package gobgpd)"),
]

EXTERNAL, INTERNAL = 65000, 65001
API = "127.0.0.1:50051"


@dataclass
class GoBgp:
    """The daemon in the router's namespace, asked over its own command line."""

    fabric: Fabric

    def start(self, asn: int) -> None:
        config = self.fabric.root / "gobgpd.toml"
        config.write_text((ground.HERE / "gobgpd.toml").read_text().replace("ASN", str(asn)))
        command = ("gobgpd", "-f", str(config), "--api-hosts", API)
        self.fabric.tor.start(*command, log=self.fabric.root / "gobgp.log")

    def routes(self, family: str) -> dict[str, dict[str, object]]:
        """Best path per prefix as GoBGP's JSON has it."""
        words = ("gobgp", "--json", "global", "rib", "-a", family)
        try:
            answer = run("nsenter", f"--net=/run/netns/{self.fabric.tor.namespace}", *words)
        except AssertionError:
            return {}  # not up yet
        table = json.loads(answer) if answer.startswith("{") else {}
        return {prefix: paths[0] for prefix, paths in table.items()}


@pytest.fixture(params=[EXTERNAL, INTERNAL], ids=["external", "internal"])
def heard(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Node, GoBgp]]:
    """A node with two blocks that GoBGP has heard of, as a neighbour in another AS or in the same one."""
    fabric = ground.build(f"flg{os.getpid() % 10000}", tmp_path)
    try:
        node, gobgp = Node(fabric), GoBgp(fabric)
        gobgp.start(request.param)
        fabric.start_supervisor()
        fabric.announce(BLOCK4, BLOCK6, "10.244.0.9/32")
        quiet = [
            msgspec.structs.replace(peer, peer_asn=request.param, bfd=api.BFD()) for peer in (TOR4, TOR6)
        ]
        node.bgp.realise(spec(BLOCK4, BLOCK6, "10.244.0.9/32", peers=tuple(quiet)))
        eventually(lambda: gobgp.routes("ipv4") and gobgp.routes("ipv6"), "GoBGP has routes", 20)
        yield node, gobgp
    finally:
        fabric.close()


def test_another_speaker_hears_exactly_the_blocks(heard: tuple[Node, GoBgp]) -> None:
    _, gobgp = heard

    time.sleep(1)

    assert set(gobgp.routes("ipv4")) == {BLOCK4}
    assert set(gobgp.routes("ipv6")) == {BLOCK6}
    attributes = gobgp.routes("ipv4")[BLOCK4]["attrs"]
    assert {"type": 3, "nexthop": "10.250.0.11"} in attributes
    assert {"type": 8, "communities": [64500 * 65536 + 1]} in attributes


def test_another_speaker_keeps_the_routes_while_a_killed_bird_comes_back(heard: tuple[Node, GoBgp]) -> None:
    node, gobgp = heard
    lost = 0

    node.fabric.kill_bird()
    until_s = time.monotonic() + 6
    while time.monotonic() < until_s:
        lost += set(gobgp.routes("ipv4")) != {BLOCK4} or set(gobgp.routes("ipv6")) != {BLOCK6}
        time.sleep(0.05)

    assert lost == 0
    node.await_established()
