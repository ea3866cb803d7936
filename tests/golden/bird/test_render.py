"""Rendered bird.conf, kept as files that a person reviews. FAIRLEAD_UPDATE_GOLDEN=1 writes them anew."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from fairlead_core import api
from fairlead_core.bird import BirdConfig, Speaker, render, start_config

HERE = Path(__file__).parent
BLOCKS = (
    api.Block("10.244.3.0/26", "blue"),
    api.Block("10.244.0.64/26", "blue", "Draining"),
    api.Block("fd00:244::40/122", "blue6"),
    api.Block("10.200.0.0/28", "green"),
)
POOLS = (
    api.NodePool("blue", "IPv4", communities=("64500:1", "64500:1:2")),
    api.NodePool("blue6", "IPv6"),
    api.NodePool("green", "IPv4"),
)
TOR_V4 = api.Peer(
    "tor-v4",
    "10.250.0.1",
    65000,
    bfd=api.BFD(enabled=True),
    accepted_prefix_lengths=api.PrefixLengths(26, 26),
)
TOR_V6 = api.Peer("tor-v6", "fd00:250::1", 65000, bfd=api.BFD(enabled=True))
SECURED = api.Peer("Spine.One", "192.0.2.1", 4200000001, 1179, api.SecretRef("bgp", "spine"))
PLAIN = api.Peer(
    "plain",
    "192.0.2.2",
    65001,
    hold_seconds=90,
    keepalive_seconds=30,
    connect_retry_seconds=60,
    bfd=api.BFD(True, 300, 5),
    graceful_restart=api.GracefulRestart(enabled=False),
)
QUICK = api.Peer("quick", "192.0.2.3", 65002, graceful_restart=api.GracefulRestart(True, 12))


def speaker(*peers: api.Peer, blocks: tuple[api.Block, ...] = BLOCKS) -> Speaker:
    return Speaker(
        "node1", api.NodeBGP(65001, "10.250.0.11", peers), blocks, POOLS, {"bgp/spine": "s3cret # no comment"}
    )


SPEAKERS = {
    "dual-stack": speaker(TOR_V4, TOR_V6),
    "secured-port": speaker(SECURED),
    "internal-without-graceful-restart": speaker(PLAIN),
    "short-restart-time": speaker(QUICK, TOR_V4),
    "no-blocks": speaker(TOR_V4, blocks=()),
    "no-bgp": Speaker("node1", None, BLOCKS, POOLS, {}),
}


def rendered(name: str) -> str:
    config = render(SPEAKERS[name])
    assert isinstance(config, BirdConfig)
    assert not config.left_out
    return config.text


@pytest.mark.parametrize("name", SPEAKERS)
def test_the_rendered_configuration_is_the_reviewed_one(name: str) -> None:
    path = HERE / f"{name}.conf"
    text = rendered(name)
    if os.environ.get("FAIRLEAD_UPDATE_GOLDEN"):
        path.write_text(text)

    assert text == path.read_text()


@pytest.mark.skipif(shutil.which("bird") is None, reason="needs BIRD (Debian package bird2)")
@pytest.mark.parametrize("name", [*SPEAKERS, "start"])
def test_bird_takes_the_configuration(name: str, tmp_path: Path) -> None:
    config = tmp_path / "bird.conf"
    config.write_text(start_config() if name == "start" else rendered(name))

    checked = subprocess.run(
        ("bird", "-p", "-c", str(config)), capture_output=True, text=True, timeout=10, check=False
    )

    assert (checked.returncode, checked.stderr) == (0, "")
