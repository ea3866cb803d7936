"""A real agent meets a world that changed behind its back: repaired inside the fence, untouched outside."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.netns.node import V4, V6, Node, ping, run, until

pytestmark = pytest.mark.root


def routes(node: Node, *match: str) -> list[dict[str, Any]]:
    """The node's routes, both families, in any table."""
    shown = (node.ip(family, "-j", "route", "show", "table", "all", *match) for family in ("-4", "-6"))
    return [route for text in shown for route in json.loads(text or "[]")]


def test_every_block_is_a_blackhole_and_announced(node: Node) -> None:
    until("four routes", lambda: len(routes(node, "proto", "76")) == 4)

    found = {(route["dst"], str(route.get("table", "main"))) for route in routes(node, "proto", "76")}

    assert found == {(V4, "main"), (V4, "200"), (V6, "main"), (V6, "200")}


def test_a_deleted_route_comes_back(node: Node) -> None:
    pod = node.add_pod()
    four, six = node.cni("ADD", pod).addresses

    node.ip("route", "del", four)
    node.ip("-6", "route", "del", six)
    node.ip("route", "flush", "table", "200")

    until("pod routes are back", lambda: ping(node.name, four) and ping(node.name, six))
    until("the announcement is back", lambda: V4 in str(routes(node, "table", "200")))


def test_a_lost_neighbour_and_a_link_set_down_come_back(node: Node) -> None:
    pod = node.add_pod()
    added = node.cni("ADD", pod)
    host = added.document["interfaces"][0]["name"]

    node.ip("link", "set", host, "down")

    until("the pod is reached again", lambda: all(ping(node.name, address) for address in added.addresses))
    assert "PERMANENT" in node.ip("neigh", "show", added.addresses[0])


def test_a_route_of_ours_that_nobody_wants_goes(node: Node) -> None:
    node.ip("route", "add", "blackhole", "10.77.0.0/26", "proto", "76", "table", "200")

    until("the stray announcement is gone", lambda: "10.77.0.0/26" not in str(routes(node)))


def test_foreign_links_routes_and_neighbours_stay(node: Node) -> None:
    node.ip("link", "add", "flannel7", "type", "veth", "peer", "name", "flannel8")
    node.ip("link", "set", "flannel7", "up")
    node.ip("route", "add", "10.66.0.0/24", "dev", "flannel7")
    node.ip("route", "add", "blackhole", "10.67.0.0/24", "proto", "static", "table", "200")
    node.ip("neigh", "add", "10.66.0.9", "lladdr", "02:00:00:00:00:09", "dev", "flannel7", "nud", "permanent")
    pod = node.add_pod()

    node.cni("ADD", pod)
    node.cni("GC", conf={"cni.dev/valid-attachments": []})
    time.sleep(1.0)  # three passes

    assert "flannel7" in node.pod_links()
    assert {"10.66.0.0/24", "10.67.0.0/24"} <= {route["dst"] for route in routes(node)}
    assert "02:00:00:00:00:09" in node.ip("neigh", "show", "dev", "flannel7")


def test_a_foreign_route_in_the_way_is_reported_and_not_replaced(node: Node) -> None:
    pod = node.add_pod()
    four = node.cni("ADD", pod).addresses[0]
    node.ip("route", "replace", four, "dev", "up0", "proto", "static")

    until(
        "it is reported",
        lambda: "another protocol stands there" in (node.directory / "agent.log").read_text(),
    )

    assert "proto static" in node.ip("route", "show", four)


def test_flows_go_on_while_the_agent_is_killed_and_comes_back(node: Node) -> None:
    one, two = node.add_pod(), node.add_pod()
    node.cni("ADD", one)
    address = node.cni("ADD", two).addresses[0]
    command = ["ip", "netns", "exec", one, "ping", "-O", "-c", "60", "-i", "0.05", "-W", "1", address]
    flow = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

    node.kill_agent()
    node.start_agent()

    seen = flow.communicate(timeout=30)[0]
    assert " 0% packet loss" in seen, seen
    assert node.leases() == 4


def test_a_planned_stop_carries_out_the_call_under_way(bare_node: Node) -> None:
    bare_node.offer({**bare_node.spec, "blocks": bare_node.spec["blocks"][:1]})
    bare_node.env["FAIRLEAD_BLOCK_WAIT_SECONDS"] = "2"
    bare_node.start_agent()
    agent, pod = bare_node.agent, bare_node.add_pod()
    assert agent is not None

    with ThreadPoolExecutor(1) as caller:
        waiting = caller.submit(bare_node.cni, "ADD", pod)
        time.sleep(0.5)
        agent.send_signal(signal.SIGTERM)
        answer = waiting.result(timeout=20)

    assert answer.document["code"] == 11
    assert agent.wait(timeout=10) == 0
    assert not (bare_node.directory / "run/cni.sock").exists()


def test_a_restarted_agent_puts_back_what_was_lost_meanwhile(node: Node) -> None:
    pod = node.add_pod()
    four, six = node.cni("ADD", pod).addresses
    node.kill_agent()
    node.ip("route", "del", four)
    node.ip("-6", "route", "del", six)

    node.start_agent()

    until("the pod is reached again", lambda: ping(node.name, four) and ping(node.name, six))


def test_the_agent_serves_from_disk_when_nobody_offers_anything(node: Node) -> None:
    node.kill_agent()
    (node.directory / "offered.json").unlink()

    node.start_agent()
    pod = node.add_pod()

    assert len(node.cni("ADD", pod).addresses) == 2


def test_an_emptied_spec_takes_nothing_away(node: Node) -> None:
    pod = node.add_pod()
    four = node.cni("ADD", pod).addresses[0]

    node.offer({"revision": 9})

    until("it is refused", lambda: "spec refused" in (node.directory / "agent.log").read_text())
    assert ping(node.name, four)
    assert node.cni("ADD", node.add_pod()).exit_code == 0


def test_an_add_waits_for_a_block_that_comes(bare_node: Node) -> None:
    spec = {**bare_node.spec, "blocks": bare_node.spec["blocks"][:1]}
    bare_node.offer(spec)
    bare_node.start_agent()
    pod = bare_node.add_pod()
    command = [
        "bash",
        "-c",
        f"sleep 1; mv {bare_node.directory}/more.json {bare_node.directory}/offered.json",
    ]
    (bare_node.directory / "more.json").write_text(json.dumps({**bare_node.spec, "revision": 2}))
    with subprocess.Popen(command):
        answer = bare_node.cni("ADD", pod)

    assert len(answer.addresses) == 2


def test_a_remembered_del_is_carried_out_at_start(node: Node) -> None:
    pod = node.add_pod()
    node.cni("ADD", pod)
    node.kill_agent()
    spool = node.directory / "state/cni/del"
    spool.mkdir(parents=True)
    (spool / f"{pod}@eth0").write_bytes(b"")

    node.start_agent()

    until("the address is back", lambda: node.leases() == 0)
    assert list(spool.iterdir()) == []


def test_leases_of_a_rebooted_node_are_given_back_at_once(node: Node) -> None:
    pod = node.add_pod()
    node.cni("ADD", pod)
    node.kill_agent()
    run("ip", "netns", "del", pod)  # as a reboot: namespaces and links gone, the journal still there
    until("the links are gone", lambda: node.pod_links() == [])

    node.start_agent()

    assert node.leases() == 0


def test_a_pod_that_vanished_without_a_del_is_swept_after_the_grace(bare_node: Node) -> None:
    bare_node.env["FAIRLEAD_SWEEP_GRACE_SECONDS"] = "2"
    bare_node.start_agent()
    pod = bare_node.add_pod()
    bare_node.cni("ADD", pod)

    run("ip", "netns", "del", pod)
    until("the links are gone", lambda: bare_node.pod_links() == [])

    until("swept", lambda: "lease swept" in (bare_node.directory / "agent.log").read_text())
    until("the addresses are back", lambda: bare_node.leases() == 0)


def test_a_link_without_a_lease_is_ended_after_the_grace(bare_node: Node) -> None:
    bare_node.env["FAIRLEAD_SWEEP_GRACE_SECONDS"] = "1"
    bare_node.start_agent()
    pod = bare_node.add_pod()
    run(
        "ip",
        "-n",
        bare_node.name,
        "link",
        "add",
        "fl00000000001",
        "type",
        "veth",
        "peer",
        "eth0",
        "netns",
        pod,
    )
    bare_node.ip("link", "set", "fl00000000001", "up", "alias", "fairlead:default/web abc")

    until("it is ended", lambda: bare_node.pod_links() == [])


def test_the_probes_and_metrics_answer(node: Node) -> None:
    node.cni("ADD", node.add_pod())

    assert node.http("/healthz") == (200, "ok\n\n")
    assert node.http("/readyz")[0] == 200
    text = node.http("/metrics")[1]
    assert 'fairlead_cni_operation_seconds_count{outcome="ok",verb="ADD"} 1.0' in text
    assert 'fairlead_endpoint_state{state="attached"} 1.0' in text


def test_the_node_forwards_both_families(node: Node) -> None:
    for path in ("net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding"):
        shown = run("nsenter", f"--net=/run/netns/{node.name}", "cat", f"/proc/sys/{path}")
        assert shown.strip() == "1"


def test_a_pod_cannot_use_another_ipv4_source(node: Node) -> None:
    one, two = node.add_pod(), node.add_pod()
    node.cni("ADD", one)
    target = node.cni("ADD", two).addresses[0]
    run("ip", "-n", one, "addr", "add", "10.99.0.60/32", "dev", "eth0")

    dropped = _reverse_path_drops(node)
    with pytest.raises(AssertionError):
        run("ip", "netns", "exec", one, "ping", "-c1", "-W1", "-I", "10.99.0.60", target)

    assert _reverse_path_drops(node) > dropped


def _reverse_path_drops(node: Node) -> int:
    text = run("nsenter", f"--net=/run/netns/{node.name}", "cat", "/proc/net/netstat")
    names, values = (line.split() for line in text.splitlines() if line.startswith("TcpExt:"))
    return int(values[names.index("IPReversePathFilter")])


def test_a_running_pod_survives_the_loss_of_journal_and_desired_state(node: Node) -> None:
    pod, other = node.add_pod(), node.add_pod()
    before = node.cni("ADD", pod).addresses

    node.kill_agent()
    for name in ("ipam.journal", "desired.json"):
        (node.directory / "state" / name).unlink()
    node.start_agent()

    after = node.cni("ADD", other).addresses
    assert not set(before) & set(after)
    assert all(ping(node.name, address) for address in (*before, *after))
    assert node.cni("DEL", pod).exit_code == 0
    until(
        "the address is no longer routed", lambda: before[0] not in {route["dst"] for route in routes(node)}
    )
