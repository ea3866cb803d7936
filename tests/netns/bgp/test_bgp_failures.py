"""Daemons, links and neighbours fail; what the neighbours know of the node's blocks does not."""

from __future__ import annotations

import os
import shutil
import signal
import time

import msgspec
import pytest

from fairlead_agent.ports import PortError
from fairlead_agent.ports.bird import Bird
from fairlead_core import api
from tests.netns.bgp.fabric import eventually, route_changes
from tests.netns.bgp.speaker import BLOCK4, BLOCK6, SECOND4, TOR4, Node, spec

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="makes network namespaces: needs root"),
    pytest.mark.skipif(shutil.which("bird") is None, reason="needs BIRD (Debian package bird2)"),
]


def test_neighbours_keep_the_routes_while_a_killed_bird_comes_back(running: Node) -> None:
    eventually(lambda: running.session("tor-v4").bfd == "Up", "BFD is up")

    with route_changes(running.fabric) as changes:
        running.fabric.kill_bird()
        eventually(lambda: running.session("tor-v4").session != "Established", "the session is gone")
        down_s = running.await_established()
        time.sleep(2)

    print(f"MEASURED sessions back {down_s:.2f} s after kill -9 of BIRD")
    assert changes == []
    assert running.fabric.learned() == {BLOCK4, BLOCK6}
    eventually(lambda: running.session("tor-v4").prefixes_sent == (BLOCK4,), "the recovery is over")


def test_neighbours_keep_the_routes_through_a_planned_stop(running: Node) -> None:
    supervisor = running.fabric.node.processes[-1]

    with route_changes(running.fabric) as changes:
        started_s = time.monotonic()
        supervisor.send_signal(signal.SIGTERM)
        supervisor.wait(5)
        print(f"MEASURED planned stop took {time.monotonic() - started_s:.2f} s")
        time.sleep(2)
        running.fabric.start_supervisor()
        running.await_established()
        time.sleep(2)

    assert supervisor.returncode == 0
    assert changes == []
    assert running.fabric.learned() == {BLOCK4, BLOCK6}


def test_bfd_sees_a_link_that_lost_its_packets(running: Node) -> None:
    eventually(lambda: running.session("tor-v4").bfd == "Up", "BFD is up")

    # The link stays up for the kernel, so only BFD can tell.
    running.fabric.tor.silence("node")
    took_s = eventually(
        lambda: running.session("tor-v4").session != "Established", "the session went down", 8
    )

    print(f"MEASURED session down {took_s * 1000:.0f} ms after the link went silent")
    assert took_s < 3


def test_a_broken_file_on_disk_does_not_keep_bird_from_starting(node: Node) -> None:
    (node.fabric.directory / "bird.conf").write_text("what is this {")

    node.fabric.start_supervisor()

    assert Bird(node.fabric.directory).running() == "start"
    assert (node.fabric.directory / "bird.conf.refused").read_text() == "what is this {"


def test_without_bird_the_error_names_the_socket_and_the_next_pass_heals(node: Node) -> None:
    with pytest.raises(PortError, match=r"bird\.ctl: does not answer"):
        node.bgp.realise(spec(BLOCK4))
    assert node.session("tor-v4").session == "Unknown"
    node.fabric.start_tor()
    node.fabric.start_supervisor()

    node.bgp.realise(spec(BLOCK4))

    node.await_established()


def test_a_link_that_goes_down_ends_the_session_at_once(running: Node) -> None:
    running.fabric.tor.ip("link", "set", "node", "down")

    took_s = eventually(
        lambda: running.session("tor-v4").session != "Established", "the session went down", 8
    )
    print(f"MEASURED session down {took_s * 1000:.0f} ms after the link went down")

    running.fabric.tor.ip("link", "set", "node", "up")
    for machine, link, peer in ((running.fabric.tor, "node", "11"), (running.fabric.node, "up0", "1")):
        machine.ip("-6", "route", "replace", f"fd00:250::{peer}", "dev", link)
    eventually(lambda: BLOCK4 in running.fabric.learned(), "the block is back", 20)


def test_a_router_that_restarts_hears_everything_again(running: Node) -> None:
    router = running.fabric.tor.processes.pop(0)

    router.kill()
    router.wait(5)
    eventually(lambda: running.session("tor-v4").session != "Established", "the session went down", 8)
    running.fabric.start_tor()

    took_s = running.await_established()
    print(f"MEASURED sessions back {took_s:.2f} s after the router's BIRD came back")
    eventually(lambda: running.session("tor-v6").prefixes_sent == (BLOCK6,), "announced again")


def test_a_dead_neighbour_delays_news_after_a_restart_by_the_recovery_wait_at_most(node: Node) -> None:
    brief = api.GracefulRestart(enabled=True, restart_seconds=6)  # so BIRD waits 4 s
    alive = msgspec.structs.replace(TOR4, graceful_restart=brief)
    dead = msgspec.structs.replace(TOR4, name="dead", address="10.250.0.99", graceful_restart=brief)
    node.fabric.start_tor()
    node.fabric.start_supervisor()
    node.fabric.announce(BLOCK4)
    node.bgp.realise(spec(BLOCK4, SECOND4, peers=(alive, dead)))
    eventually(lambda: node.fabric.learned() == {BLOCK4}, "the first block is at the router")
    eventually(lambda: node.session("tor-v4").bfd == "Up", "BFD is up")

    with route_changes(node.fabric) as changes:
        node.fabric.kill_bird()
        node.fabric.announce(SECOND4)
        took_s = eventually(lambda: SECOND4 in node.fabric.learned(), "the new block is at the router", 10)

    print(f"MEASURED news delayed {took_s:.2f} s by a dead neighbour, recovery wait 4 s")
    assert len(changes) == 1
    assert node.session("dead").session != "Established"


def test_a_bird_that_keeps_dying_is_started_ever_more_slowly(node: Node) -> None:
    node.fabric.start_supervisor()
    started_s, pids = time.monotonic(), set()

    while time.monotonic() - started_s < 4:
        pids.add(_kill(node))

    assert 2 <= len(pids - {0}) <= 5


def _kill(node: Node) -> int:
    """The pid that was killed; 0 when no BIRD ran just now."""
    try:
        pid = node.fabric.bird_pid()
        os.kill(pid, signal.SIGKILL)
    except (AssertionError, ProcessLookupError):
        pid = 0
    time.sleep(0.05)
    return pid
