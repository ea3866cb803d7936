"""No bytes from BIRD's socket and no text in an object can surprise the BGP part."""

from __future__ import annotations

import contextlib
import re

from hypothesis import given
from hypothesis import strategies as st

from fairlead_core import api, birdc
from fairlead_core.bird import BirdConfig, Speaker, render

LINES = st.lists(
    st.one_of(
        st.binary(max_size=40),
        st.from_regex(rb"\A[0-9]{4}[- ][ -~]{0,60}\Z"),
        st.from_regex(rb"\A [ -~]{0,60}\Z"),
        st.sampled_from(
            [
                b"1002-peer BGP --- up 2026-11-23T06:51:15+0000 Established",
                b"1006-  BGP state:  Established",
                b" Neighbor address: 10.0.0.1",
                b"1007-Table master4:",
                b" 10.244.0.0/26 blackhole [x] * (10)",
                b"1020-10.0.0.1 e0 Up",
            ]
        ),
    ),
    max_size=12,
)


@given(LINES)
def test_any_bytes_are_a_value_or_an_error_of_ours(lines: list[bytes]) -> None:
    frame = b"\n".join(lines) + b"\n0000 \n"

    with contextlib.suppress(birdc.BirdReplyError):
        reply = birdc.parse_reply(frame)
        for parse in (
            birdc.parse_status,
            birdc.parse_protocols,
            birdc.parse_bfd_sessions,
            birdc.parse_routes,
        ):
            with contextlib.suppress(birdc.BirdReplyError, birdc.BirdRefusedError):
                parse(reply)


@given(st.binary(max_size=200))
def test_any_raw_bytes_are_an_answer_or_none(frame: bytes) -> None:
    birdc.is_complete(frame)
    with contextlib.suppress(birdc.BirdReplyError):
        birdc.parse_reply(frame)


TEXT = st.one_of(
    st.text(max_size=30), st.sampled_from(['"; }', "10.0.0.1", "1:2", "fd00::1", "10.1.0.0/26", "a\nb"])
)
NUMBER = st.one_of(st.integers(), st.sampled_from([1, 3, 9, 26, 179, 65000]))
PEERS = st.builds(
    api.Peer,
    name=TEXT,
    address=TEXT,
    peer_asn=NUMBER,
    port=NUMBER,
    auth_secret_ref=st.one_of(st.none(), st.builds(api.SecretRef, TEXT, TEXT)),
    hold_seconds=NUMBER,
    keepalive_seconds=NUMBER,
    connect_retry_seconds=NUMBER,
    bfd=st.builds(api.BFD, st.booleans(), NUMBER, NUMBER),
    graceful_restart=st.builds(api.GracefulRestart, st.booleans(), NUMBER),
    accepted_prefix_lengths=st.one_of(st.none(), st.builds(api.PrefixLengths, NUMBER, NUMBER)),
)
SPEAKERS = st.builds(
    Speaker,
    node_name=st.one_of(st.just("node1"), TEXT),
    bgp=st.builds(
        api.NodeBGP, NUMBER, st.one_of(st.just("10.0.0.9"), TEXT), st.lists(PEERS, max_size=3).map(tuple)
    ),
    blocks=st.lists(st.builds(api.Block, TEXT, TEXT), max_size=2).map(tuple),
    pools=st.lists(
        st.builds(api.NodePool, TEXT, st.just("IPv4"), communities=st.lists(TEXT, max_size=2).map(tuple)),
        max_size=2,
    ).map(tuple),
    passwords=st.dictionaries(TEXT, TEXT, max_size=2),
)
WORDS = re.compile(
    r"protocol (?:device fairlead|kernel fairlead_announce[46]|bfd fairlead_bfd|bgp peer_[a-z0-9_]+) \{"
    r"|filter to_peer_[a-z0-9_]+ \{"
)


@given(SPEAKERS)
def test_no_object_adds_a_statement_of_its_own(speaker: Speaker) -> None:
    config = render(speaker)
    if not isinstance(config, BirdConfig):
        return

    opened = [line for line in config.text.splitlines() if line.startswith(("protocol", "filter"))]

    assert all(WORDS.match(line) for line in opened)
    assert len(opened) == 3 + ("protocol bfd" in config.text) + 2 * len(config.protocols)
    assert config.text.count('"') == 4 + 2 * len(config.protocols) + 2 * config.text.count("    password ")
    assert set(config.protocols) | set(config.left_out) == {peer.name for peer in speaker.peers}
