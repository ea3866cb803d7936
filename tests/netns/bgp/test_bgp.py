"""The node's BGP against a real BIRD on the other side, in namespaces of their own."""

from __future__ import annotations

import os
import shutil
import time

import msgspec
import pytest

from fairlead_agent.ports import PortError
from fairlead_agent.ports.bird import Bird
from fairlead_core import api
from fairlead_core.bird import BirdConfig, Speaker, render
from tests.netns.bgp.fabric import eventually, route_changes
from tests.netns.bgp.speaker import BLOCK4, BLOCK6, SECOND4, TOR4, TOR6, Node, spec

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="makes network namespaces: needs root"),
    pytest.mark.skipif(shutil.which("bird") is None, reason="needs BIRD (Debian package bird2)"),
]

SECURE4 = msgspec.structs.replace(TOR4, auth_secret_ref=api.SecretRef("bgp", "password"))


def test_both_families_are_announced_and_nothing_else(running: Node) -> None:
    running.fabric.announce("10.244.0.5/32", "192.0.2.0/26", "0.0.0.0/0", "::/0", "fd00:244::7/128")
    running.fabric.node.ip("route", "add", "blackhole", "10.244.0.128/26", "table", "200", "proto", "99")

    time.sleep(1)

    assert running.fabric.learned() == {BLOCK4, BLOCK6}
    assert running.session("tor-v4").prefixes_sent == (BLOCK4,)
    assert running.session("tor-v6").prefixes_sent == (BLOCK6,)


def test_a_node_takes_nothing_from_its_neighbours(running: Node) -> None:
    routes = running.fabric.node_birdc("show", "route")

    assert "10.99.0.0/26" not in routes
    assert "0.0.0.0/0" not in routes
    assert "proto bird" not in running.fabric.node.ip("route", "show", "table", "all")


def test_a_block_carries_its_pools_communities(running: Node) -> None:
    details = running.fabric.tor_birdc("show", "route", BLOCK4, "all")

    assert "BGP.community: (64500,1)" in details


def test_a_block_that_the_fabric_does_not_accept_stays_at_home(running: Node) -> None:
    host = "10.244.1.9/32"
    running.fabric.announce(host)

    running.bgp.realise(spec(BLOCK4, BLOCK6, host))
    time.sleep(1)

    assert running.fabric.learned() == {BLOCK4, BLOCK6}


def test_status_says_since_when_and_what_bfd_says(running: Node) -> None:
    eventually(lambda: running.session("tor-v4").bfd == "Up", "BFD is up")

    status = running.session("tor-v4")

    assert status.since is not None
    assert status.since.endswith("Z")
    assert status.last_error is None


@pytest.mark.parametrize("route_first", [True, False])
def test_a_new_block_is_announced_without_a_flap(running: Node, route_first: bool) -> None:
    before = [running.session(peer).since for peer in ("tor-v4", "tor-v6")]

    with route_changes(running.fabric) as changes:
        if route_first:
            running.fabric.announce(SECOND4)
            time.sleep(0.2)
        running.bgp.realise(spec(BLOCK4, BLOCK6, SECOND4))
        if not route_first:
            running.fabric.announce(SECOND4)
        took_s = eventually(lambda: SECOND4 in running.fabric.learned(), "the new block is at the router")

    print(f"MEASURED new block at the router {took_s * 1000:.0f} ms after the reconfiguration")
    assert [running.session(peer).since for peer in ("tor-v4", "tor-v6")] == before
    assert len(changes) == 1
    assert SECOND4 in changes[0]


def test_a_block_that_left_is_withdrawn_though_its_route_is_still_there(running: Node) -> None:
    running.fabric.announce(SECOND4)
    running.bgp.realise(spec(BLOCK4, BLOCK6, SECOND4))
    eventually(lambda: SECOND4 in running.fabric.learned(), "the second block is at the router")

    running.bgp.realise(spec(BLOCK4, BLOCK6))

    eventually(lambda: running.fabric.learned() == {BLOCK4, BLOCK6}, "the second block is gone")


def test_a_restarted_agent_reconfigures_nothing(running: Node) -> None:
    before = running.fabric.node_birdc("show", "status").split("Last reconfiguration on ")[1]
    since = running.session("tor-v4").since

    running.restart_agent()
    running.bgp.realise(spec(BLOCK4, BLOCK6))

    assert running.fabric.node_birdc("show", "status").split("Last reconfiguration on ")[1] == before
    assert running.session("tor-v4").since == since


def test_a_configuration_that_bird_refuses_changes_nothing(running: Node) -> None:
    good = running.fabric.directory.joinpath("bird.conf").read_text()
    broken = BirdConfig(good + "\nprotocol bgp { nonsense }\n", "sha256:0", {}, {})

    with pytest.raises(PortError, match=r"8002.*syntax error"):
        Bird(running.fabric.directory).apply(broken)

    assert running.fabric.directory.joinpath("bird.conf").read_text() == good
    assert running.session("tor-v4").session == "Established"


def test_a_configuration_that_does_not_take_effect_is_undone(running: Node) -> None:
    stored = running.fabric.directory.joinpath("bird.conf").read_text()
    wanted = render(Speaker("node1", spec(BLOCK4).bgp, (), (), {}))
    assert isinstance(wanted, BirdConfig)
    misnamed = BirdConfig(wanted.text, wanted.digest, {"tor-v4": "peer_that_is_not_in_the_text"}, {})

    with pytest.raises(PortError, match=r"peer_that_is_not_in_the_text.*undone"):
        Bird(running.fabric.directory, deadline_s=8.0).apply(misnamed)

    assert running.fabric.directory.joinpath("bird.conf").read_text() == stored
    assert running.fabric.learned() == {BLOCK4, BLOCK6}
    running.bgp.realise(spec(BLOCK4, BLOCK6))
    assert running.session("tor-v4").session == "Established"


def test_an_agent_that_dies_before_it_confirms_leaves_the_stored_configuration_running(running: Node) -> None:
    stored = Bird(running.fabric.directory).running()
    candidate = running.fabric.directory / "half.conf"
    candidate.write_text((running.fabric.directory / "bird.conf").read_text().replace(stored or "", "half"))

    running.fabric.node_birdc("configure", "soft", f'"{candidate}"', "timeout", "1")

    assert Bird(running.fabric.directory).running() == "half"
    eventually(lambda: Bird(running.fabric.directory).running() == stored, "BIRD went back by itself", 5)
    assert running.session("tor-v4").session == "Established"


def test_a_password_both_sides_know_brings_the_session_up(node: Node) -> None:
    secret = r"p\a#s /*s; }'{ %"
    node.fabric.start_tor(password=secret)
    node.fabric.start_supervisor()
    node.fabric.announce(BLOCK4)
    node.secrets["bgp/password"] = secret

    node.bgp.realise(spec(BLOCK4, peers=(SECURE4,)))

    node.await_established("tor-v4")
    assert (node.fabric.directory / "bird.conf").stat().st_mode & 0o077 == 0


def test_a_wrong_password_keeps_one_session_down_and_the_other_up(node: Node) -> None:
    node.fabric.start_tor(password="right")
    node.fabric.start_supervisor()
    node.secrets["bgp/password"] = "wrong"

    node.bgp.realise(spec(BLOCK4, peers=(SECURE4, TOR6)))

    node.await_established("tor-v6")
    time.sleep(2)
    assert node.session("tor-v4").session in {"Connect", "Active", "OpenSent"}
    node.secrets["bgp/password"] = "right"
    node.bgp.realise(spec(BLOCK4, peers=(SECURE4, TOR6)))
    node.await_established("tor-v4")


def test_a_missing_secret_leaves_its_peer_out_and_the_other_works(node: Node) -> None:
    node.fabric.start_tor()
    node.fabric.start_supervisor()
    node.fabric.announce(BLOCK6)

    node.bgp.realise(spec(BLOCK6, peers=(SECURE4, TOR6)))

    node.await_established("tor-v6")
    status = node.session("tor-v4")
    assert status.session == "MissingSecret"
    assert status.last_error is not None
    assert "secret 'bgp'" in status.last_error
    assert "password" not in node.fabric.directory.joinpath("bird.conf").read_text()


def test_without_a_first_configuration_bird_waits_for_the_agent(node: Node) -> None:
    node.fabric.start_supervisor()

    assert Bird(node.fabric.directory).running() == "start"
    assert "Graceful restart recovery" not in node.fabric.node_birdc("show", "status")


def test_the_first_announcement_is_not_held_back_by_the_recovery_wait(node: Node) -> None:
    node.fabric.start_tor()
    node.fabric.announce(BLOCK4)
    node.fabric.start_supervisor()

    node.bgp.realise(spec(BLOCK4))
    took_s = eventually(lambda: BLOCK4 in node.fabric.learned(), "the block is at the router", 10)

    print(f"MEASURED first announcement {took_s:.2f} s after the first configuration")


def test_a_changed_community_reaches_the_neighbour_without_a_flap(running: Node) -> None:
    before = [running.session(peer).since for peer in ("tor-v4", "tor-v6")]
    changed = msgspec.structs.replace(
        spec(BLOCK4, BLOCK6), pools=(api.NodePool("four", "IPv4", communities=("64500:77", "64500:1:2")),)
    )

    running.bgp.realise(changed)

    eventually(
        lambda: "(64500,77)" in running.fabric.tor_birdc("show", "route", BLOCK4, "all"),
        "the new community is there",
    )
    details = running.fabric.tor_birdc("show", "route", BLOCK4, "all")
    assert "BGP.community: (64500,77)" in details
    assert "(64500, 1, 2)" in details
    assert [running.session(peer).since for peer in ("tor-v4", "tor-v6")] == before
