"""BIRD's answers as values; the samples were recorded from BIRD 2.0.12."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest

from fairlead_core import birdc

PROTOCOLS = b"""2002-Name       Proto      Table      State  Since         Info
1002-fairlead   Device     ---        up     2026-11-23T06:51:15+0000  \n\
1006-  Description:    sha256:aaa
 \n\
1002-peer_tor_v4 BGP        ---        start  2026-11-23T08:53:51+0200  Active  Socket: Network is unreachable
1006-  BGP state:          Active
     Neighbor address: 10.250.0.99%eth0
     Last error:       Socket: Network is unreachable
   Channel ipv4
     State:          DOWN
+2026-11-23 06:53:51 <INFO> a log line in between
 \n\
0000 \n"""
ROUTES = b"""1007-Table master4:
 10.244.0.0/26        blackhole [fairlead_announce4 06:53:51.110] * (10)
                      blackhole [other 06:53:51.110] (10)
 fd00:244::/122       unicast [peer 06:53:51.110] * (10)
0000 \n"""
BFD = b"""1020-fairlead_bfd:
 IP address                Interface  State      Since         Interval  Timeout
 10.250.0.1                e0         Up         2026-11-23T06:52:33+0000    0.100    0.300
 fd00:250::1               ---        Down       2026-11-23T06:52:33+0000    0.100    0.300
0000 \n"""
STATUS = b"""1000-BIRD 2.0.12
1011-Router ID is 10.250.0.11
 Graceful restart recovery in progress
   Waiting for 2 channels to recover
0013 Daemon is up and running
"""


def test_protocols_carry_state_time_in_utc_and_cause() -> None:
    device, peer = birdc.parse_protocols(birdc.parse_reply(PROTOCOLS))

    assert device.description == "sha256:aaa"
    assert peer == birdc.Protocol(
        name="peer_tor_v4",
        kind="BGP",
        state="start",
        since="2026-11-23T06:53:51Z",
        bgp_state="Active",
        neighbour=ip_address("10.250.0.99"),
        last_error="Socket: Network is unreachable",
    )


def test_each_prefix_counts_once() -> None:
    routes = birdc.parse_routes(birdc.parse_reply(ROUTES))

    assert routes == (ip_network("10.244.0.0/26"), ip_network("fd00:244::/122"))


def test_a_session_that_is_not_up_has_exported_nothing() -> None:
    assert birdc.parse_routes(birdc.parse_reply(b"8001 No valid tables\n")) == ()


def test_bfd_sessions_are_told_apart_from_their_heading() -> None:
    sessions = birdc.parse_bfd_sessions(birdc.parse_reply(BFD))

    assert [(str(session.neighbour), session.state) for session in sessions] == [
        ("10.250.0.1", "Up"),
        ("fd00:250::1", "Down"),
    ]


def test_status_says_whether_the_recovery_is_over() -> None:
    assert birdc.parse_status(birdc.parse_reply(STATUS)) == birdc.DaemonStatus("2.0.12", "10.250.0.11", True)


def test_a_refusal_carries_birds_words() -> None:
    reply = birdc.parse_reply(b"0002-Reading configuration from x\n8002 x:1:1 syntax error\n")

    with pytest.raises(birdc.BirdRefusedError, match="8002: x:1:1 syntax error"):
        birdc.require_done(reply)


@pytest.mark.parametrize(
    ("buffer", "complete"),
    [
        (b"", False),
        (b"0001 BIRD 2.0.12 ready.\n", True),
        (b"0001 BIRD 2.0.12 ready.", False),
        (b"1007-Table master4:\n", False),
        (b"1007-Table master4:\n 0000 no code but a continuation\n", False),
        (b"1007-Table master4:\n0000 \n", True),
    ],
)
def test_an_answer_is_complete_with_its_last_line(buffer: bytes, complete: bool) -> None:
    assert birdc.is_complete(buffer) is complete


@pytest.mark.parametrize(
    "frame",
    [b"", b"\n", b" continuation first\n", b"no code\n", b"1007-not the end\n", b"0000 end\n0000 again\n"],
)
def test_what_is_no_answer_is_an_error(frame: bytes) -> None:
    with pytest.raises(birdc.BirdReplyError, match="BIRD answer"):
        birdc.parse_reply(frame)
