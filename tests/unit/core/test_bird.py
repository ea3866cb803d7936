"""What may stand in bird.conf, and what an object can never put there."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from fairlead_core import api
from fairlead_core.bird import BirdConfig, Speaker, protocol_name, recovery_wait_s, render, start_config
from fairlead_core.outcome import Rejected

ROOT = Path(__file__).parents[3]
TOR = api.Peer("tor", "192.0.2.1", 65000)
BLOCK = api.Block("10.244.0.0/26", "blue")
POOL = api.NodePool("blue", "IPv4")
INJECTION = '"; } protocol static { route 0.0.0.0/0 via "eth0"; } #'


def speaker(
    *peers: api.Peer,
    blocks: tuple[api.Block, ...] = (BLOCK,),
    pools: tuple[api.NodePool, ...] = (POOL,),
    passwords: dict[str, str] | None = None,
) -> Speaker:
    return Speaker("node1", api.NodeBGP(65001, "192.0.2.9", peers), blocks, pools, passwords or {})


def rendered(value: Speaker) -> BirdConfig:
    config = render(value)
    assert isinstance(config, BirdConfig), config
    return config


def refused(value: Speaker) -> Rejected:
    config = render(value)
    assert isinstance(config, Rejected)
    return config


def test_the_text_does_not_depend_on_the_order_of_anything() -> None:
    blocks = (BLOCK, api.Block("10.244.0.64/26", "blue"), api.Block("fd00::/122", "six"))
    pools = (POOL, api.NodePool("six", "IPv6", communities=("1:2", "1:1")))
    turned = (pools[0], api.NodePool("six", "IPv6", communities=("1:1", "1:2")))
    peers = (TOR, api.Peer("six", "fd00::1", 65000))

    one = rendered(speaker(*peers, blocks=blocks, pools=pools))
    other = rendered(speaker(*reversed(peers), blocks=blocks[::-1], pools=turned[::-1]))

    assert one.text == other.text


def test_the_digest_stands_in_the_text_and_changes_with_it() -> None:
    one, other = rendered(speaker(TOR)), rendered(speaker(TOR, blocks=()))

    assert f'description "{one.digest}"' in one.text
    assert one.digest != other.digest


def test_a_peer_gets_only_blocks_of_its_own_family() -> None:
    config = rendered(speaker(TOR, blocks=(BLOCK, api.Block("fd00::/122", "six"))))

    assert "net ~ [ 10.244.0.0/26 ]" in config.text
    assert "fd00::/122" not in config.text


@pytest.mark.parametrize(
    ("change", "reason", "words"),
    [
        ({"address": INJECTION}, "BadPeer", "address"),
        ({"address": "fe80::1%eth0"}, "BadPeer", "global unicast"),
        ({"address": "224.0.0.5"}, "BadPeer", "global unicast"),
        ({"address": "0.0.0.0"}, "BadPeer", "global unicast"),
        ({"address": "192.0.2.1/24"}, "BadPeer", "address"),
        ({"port": 0}, "BadPeer", r"port '0' is not a number in 1\.\.65535"),
        ({"port": 65536}, "BadPeer", "port"),
        ({"peer_asn": 0}, "BadPeer", "peerASN"),
        ({"peer_asn": 2**32}, "BadPeer", "peerASN"),
        ({"hold_seconds": 2}, "BadPeer", "holdSeconds"),
        ({"keepalive_seconds": 10}, "BadPeer", r"keepaliveSeconds '10' is not a number in 1\.\.9"),
        ({"connect_retry_seconds": -1}, "BadPeer", "connectRetrySeconds"),
        ({"bfd": api.BFD(True, 9, 3)}, "BadPeer", "bfd.intervalMilliseconds"),
        ({"bfd": api.BFD(True, 100, 0)}, "BadPeer", "bfd.multiplier"),
        ({"graceful_restart": api.GracefulRestart(True, 4096)}, "BadPeer", "restartSeconds"),
        ({"accepted_prefix_lengths": api.PrefixLengths(0, 32)}, "BadPeer", "acceptedPrefixLengths.min"),
        ({"accepted_prefix_lengths": api.PrefixLengths(26, 24)}, "BadPeer", "acceptedPrefixLengths.max"),
        ({"accepted_prefix_lengths": api.PrefixLengths(64, 122)}, "BadPeer", "acceptedPrefixLengths.min"),
        ({"auth_secret_ref": api.SecretRef("bgp", "gone")}, "MissingSecret", "key 'gone' of secret 'bgp'"),
        ({"auth_secret_ref": api.SecretRef("bgp", "empty")}, "MissingSecret", "missing or empty"),
        ({"auth_secret_ref": api.SecretRef("bgp", "injection")}, "BadSecret", "double quote"),
        ({"auth_secret_ref": api.SecretRef("bgp", "newline")}, "BadSecret", "line break"),
        ({"auth_secret_ref": api.SecretRef("bgp", "zero")}, "BadSecret", "printable"),
        ({"auth_secret_ref": api.SecretRef("bgp", "umlaut")}, "BadSecret", "ASCII"),
        ({"auth_secret_ref": api.SecretRef("bgp", "long")}, "BadSecret", "1-80"),
    ],
)
def test_a_peer_that_cannot_be_rendered_is_left_out_with_the_reason(
    change: dict[str, object], reason: str, words: str
) -> None:
    bad = msgspec.structs.replace(TOR, name="bad", **change)
    good = msgspec.structs.replace(TOR, address="192.0.2.77")
    passwords = {
        "bgp/empty": "",
        "bgp/injection": INJECTION,
        "bgp/newline": "secret\n",
        "bgp/zero": "a\0b",
        "bgp/umlaut": "pässword",
        "bgp/long": "x" * 81,
    }

    config = rendered(speaker(bad, good, passwords=passwords))

    assert config.left_out["bad"].reason == reason
    assert re.search(words, config.left_out["bad"].message)
    assert list(config.protocols) == ["tor"]
    assert "protocol static" not in config.text


def test_an_error_never_repeats_a_password() -> None:
    secured = msgspec.structs.replace(TOR, auth_secret_ref=api.SecretRef("bgp", "key"))

    config = rendered(speaker(secured, passwords={"bgp/key": 'tell"nobody'}))

    assert "tell" not in config.left_out["tor"].message


@pytest.mark.parametrize("name", [INJECTION, "block", "a\nb", "", "x" * 300, "ünïcode"])
def test_a_protocol_name_is_a_symbol_whatever_the_peers_name(name: str) -> None:
    assert re.fullmatch(r"peer_[a-z0-9_]{1,40}", protocol_name(name))


def test_names_that_look_alike_to_bird_stay_apart() -> None:
    assert protocol_name("tor-1") != protocol_name("tor.1")


def test_two_peers_with_one_address_do_not_stop_each_other() -> None:
    config = rendered(speaker(TOR, msgspec.structs.replace(TOR, name="zweiter")))

    assert list(config.protocols) == ["tor"]
    assert config.left_out["zweiter"] == Rejected(
        "Conflict", "peer zweiter: peer tor already has the address 192.0.2.1"
    )


@pytest.mark.parametrize(
    "cidr", ["0.0.0.0/0", "::/0", "10.0.0.1/26", INJECTION, "10.0.0.0/33", "224.0.0.0/26"]
)
def test_a_block_that_is_none_is_refused_as_a_whole(cidr: str) -> None:
    assert refused(speaker(TOR, blocks=(api.Block(cidr, "blue"),))).reason == "BadBlock"


@pytest.mark.parametrize(
    "community", ["1", "65536:1", "1:65536", "1:2:4294967296", "-1:1", "1:2:3:4", "١:١", INJECTION]
)
def test_a_community_that_is_none_is_refused_as_a_whole(community: str) -> None:
    pool = api.NodePool("blue", "IPv4", communities=(community,))

    assert refused(speaker(TOR, pools=(pool,))).reason == "BadCommunity"


@pytest.mark.parametrize(
    ("asn", "router_id", "reason"),
    [
        (0, "192.0.2.9", "BadASN"),
        (2**32, "192.0.2.9", "BadASN"),
        (65001, "0.0.0.0", "BadRouterID"),
        (65001, "fd00::1", "BadRouterID"),
        (65001, INJECTION, "BadRouterID"),
    ],
)
def test_a_node_without_identity_has_no_configuration(asn: int, router_id: str, reason: str) -> None:
    node = Speaker("node1", api.NodeBGP(asn, router_id, (TOR,)), (), (), {})

    assert refused(node).reason == reason


def test_a_node_name_cannot_leave_its_comment() -> None:
    node = Speaker("node1\nprotocol static {}", None, (), (), {})

    assert refused(node).reason == "BadNodeName"


@pytest.mark.parametrize(
    ("restarts_s", "wait_s"), [((), 20), ((30,), 20), ((30, 12), 8), ((1,), 1), ((4095,), 20)]
)
def test_a_restarted_bird_waits_less_than_its_neighbours_remember(
    restarts_s: tuple[int, ...], wait_s: int
) -> None:
    peers = [
        msgspec.structs.replace(TOR, graceful_restart=api.GracefulRestart(True, seconds))
        for seconds in restarts_s
    ]

    assert recovery_wait_s(peers) == wait_s


def test_the_supervisor_starts_bird_with_the_start_configuration() -> None:
    assert start_config() in (ROOT / "image" / "bird-supervisor.sh").read_text()
