"""The CNI specification as a runtime sees it: built plugin, real agent, real namespaces, no cluster."""

from __future__ import annotations

import ipaddress
import json
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fairlead_core.cni_wire import Request, encode_request
from tests.cni.plugin import VERSIONS, build
from tests.netns.real_agent import (
    MTU_BYTES,
    Pod,
    RealAgent,
    in_netns,
    pod_namespace,
    real_agent,
    run,
    spec,
)
from tests.sandbox.cluster import current

pytestmark = pytest.mark.root


@pytest.fixture(scope="module")
def binary() -> Path:
    return build("all", "fairlead")


@pytest.fixture(scope="module")
def agent(binary: Path) -> Iterator[RealAgent]:
    # Between two passes nothing is repaired: CHECK can be asked about what a test broke.
    with real_agent(binary, spec(), pass_interval_s=3600) as started:
        yield started


@pytest.fixture
def small(binary: Path) -> Iterator[RealAgent]:
    """An agent of one test's own, with eight addresses of each family."""
    with real_agent(binary, spec((29, 125)), pass_interval_s=1) as started:
        yield started


@pytest.fixture
def pod() -> Iterator[Pod]:
    with pod_namespace() as made:
        yield made


@pytest.fixture
def pods() -> Iterator[list[Pod]]:
    with ExitStack() as stack:
        yield [stack.enter_context(pod_namespace()) for _ in range(24)]


def addresses(result: dict[str, Any]) -> list[str]:
    return [ip["address"].partition("/")[0] for ip in result["ips"]]


def host_link(result: dict[str, Any]) -> str:
    return str(next(link["name"] for link in result["interfaces"] if not link.get("sandbox")))


def default_devices(pod: Pod) -> list[list[str]]:
    """Of IPv4 and IPv6: the devices of the default routes, the one in use first."""
    return [
        [
            route["dev"]
            for route in sorted(
                json.loads(pod.ip("-j", family, "route", "show", "default")),
                key=lambda route: int(route.get("metric", 0)),
            )
        ]
        for family in ("-4", "-6")
    ]


def code(agent: RealAgent, verb: str, env: dict[str, str], **conf: object) -> int:
    outcome = agent.call(verb, env, **conf)
    assert outcome.status != 0, outcome
    document = outcome.document()
    assert document.keys() == {"cniVersion", "code", "msg", "details"}
    assert document["msg"]
    return int(document["code"])


def wait_until(true: Callable[[], bool], seconds: float = 5) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "did not become true in time"
        time.sleep(0.02)


# ADD


@pytest.mark.parametrize("version", VERSIONS)
def test_a_result_has_the_shape_of_the_version_that_was_asked_for(
    agent: RealAgent, pod: Pod, version: str
) -> None:
    result: dict[str, Any] = agent.add(pod, cniVersion=version, dns={"nameservers": ["10.96.0.10"]})
    agent.delete(pod)

    with_mtu = {"mtu"} if version == "1.1.0" else set()
    host, inside = result["interfaces"]
    assert result.keys() == {"cniVersion", "interfaces", "ips", "routes", "dns"}
    assert result["cniVersion"] == version
    assert (host.keys(), inside.keys()) == ({"name", "mac"} | with_mtu, {"name", "mac", "sandbox"} | with_mtu)
    assert (inside["name"], inside["sandbox"]) == ("eth0", pod.path)
    with_family = {"version"} if version == "0.4.0" else set()
    assert [ip.keys() for ip in result["ips"]] == [{"address", "gateway", "interface"} | with_family] * 2
    assert {ip.get("version") for ip in result["ips"]} == ({"4", "6"} if with_family else {None})
    assert {ip["interface"] for ip in result["ips"]} == {1}
    assert {route["dst"] for route in result["routes"]} == {"0.0.0.0/0", "::/0"}
    assert result["dns"] == {"nameservers": ["10.96.0.10"]}


def test_the_result_says_what_the_kernel_has(agent: RealAgent, pod: Pod) -> None:
    result: dict[str, Any] = agent.add(pod, ifname="net1")

    link = json.loads(pod.ip("-j", "addr", "show", "dev", "net1"))[0]
    host = json.loads(in_netns(agent.netns, "ip", "-j", "link", "show", "dev", host_link(result)))[0]
    agent.delete(pod, ifname="net1")
    kernel = {
        f"{address['local']}/{address['prefixlen']}"
        for address in link["addr_info"]
        if address["scope"] == "global"
    }
    assert {ip["address"] for ip in result["ips"]} == kernel
    assert {ipaddress.ip_interface(each).network.num_addresses for each in kernel} == {1}
    assert [(link["address"], link["mtu"]), (host["address"], host["mtu"])] == [
        (each["mac"], each["mtu"]) for each in reversed(result["interfaces"])
    ]
    assert link["mtu"] == MTU_BYTES
    assert {link["operstate"], host["operstate"]} == {"UP"}


def test_two_pods_of_one_node_reach_each_other_and_the_node_both_families(agent: RealAgent) -> None:
    with pod_namespace() as one, pod_namespace() as two:
        first, second = agent.add(one), agent.add(two)
        try:
            for source, target in ((one, second), (two, first)):
                for address in addresses(target):
                    in_netns(source.netns, "ping", "-c", "1", "-W", "2", address)
                    in_netns(agent.netns, "ping", "-c", "1", "-W", "2", address)
        finally:
            agent.delete(one)
            agent.delete(two)


def test_an_interface_of_that_name_is_an_error_and_stays_as_it_is(agent: RealAgent, pod: Pod) -> None:
    pod.ip("link", "add", "eth0", "type", "veth", "peer", "name", "other")
    before, inside = agent.traces(), pod.ip("-o", "link", "show", "dev", "eth0")

    refused = code(agent, "ADD", pod.env())

    assert refused >= 100
    assert agent.traces() == before
    assert pod.ip("-o", "link", "show", "dev", "eth0") == inside
    assert pod.links() == {"lo", "eth0", "other"}
    assert code(agent, "CHECK", pod.env(), prevResult={"interfaces": [], "ips": []}) == 3


def test_a_pod_may_have_two_interfaces_of_ours_and_lose_one(agent: RealAgent, pod: Pod) -> None:
    first, second = agent.add(pod, "eth0"), agent.add(pod, "net1")

    assert set(addresses(first)).isdisjoint(addresses(second))
    assert agent.call("CHECK", pod.env("eth0"), prevResult=first).status == 0
    assert agent.call("CHECK", pod.env("net1"), prevResult=second).status == 0
    assert default_devices(pod) == [["eth0", "net1"]] * 2
    agent.delete(pod, "net1")
    assert pod.links() >= {"lo", "eth0"}
    assert "net1" not in pod.links()
    assert agent.call("CHECK", pod.env("eth0"), prevResult=first).status == 0
    agent.delete(pod, "eth0")


def test_the_interface_that_stays_takes_over_the_way_out(agent: RealAgent, pod: Pod) -> None:
    agent.add(pod, "eth0")
    second = agent.add(pod, "net1")

    agent.delete(pod, "eth0")

    assert default_devices(pod) == [["net1"]] * 2
    assert agent.call("CHECK", pod.env("net1"), prevResult=second).status == 0
    again = agent.add(pod, "eth0")
    assert default_devices(pod) == [["eth0", "net1"]] * 2
    assert agent.call("CHECK", pod.env("eth0"), prevResult=again).status == 0
    agent.delete(pod, "net1")
    agent.delete(pod, "eth0")


@pytest.mark.parametrize("family", ["-4", "-6"])
def test_a_default_route_of_somebody_else_stays_the_first_one(
    agent: RealAgent, pod: Pod, family: str
) -> None:
    pod.ip("link", "add", "other", "type", "veth", "peer", "name", "far")
    pod.ip("link", "set", "far", "up")
    pod.ip("link", "set", "other", "up")
    pod.ip(family, "route", "add", "default", "dev", "other")

    result = agent.add(pod)

    devices = default_devices(pod)
    assert devices == ([["other", "eth0"], ["eth0"]] if family == "-4" else [["eth0"], ["other", "eth0"]])
    assert agent.call("CHECK", pod.env(), prevResult=result).status == 0
    agent.delete(pod)


def test_a_failed_add_leaves_nothing(small: RealAgent) -> None:
    with ExitStack() as stack:
        taken = 0
        while True:
            pod = stack.enter_context(pod_namespace())
            before = small.traces()
            outcome = small.call("ADD", pod.env())
            if outcome.status:
                break
            taken += 1
        assert outcome.document()["code"] == 11
        assert "free" in outcome.document()["msg"]  # speaks in numbers
        assert small.traces() == before
        assert pod.links() == {"lo"}
        assert 1 <= taken <= 8


def test_many_adds_at_once_get_different_addresses(agent: RealAgent, pods: list[Pod]) -> None:
    before = agent.traces()

    with ThreadPoolExecutor(12) as threads:
        results = list(threads.map(agent.add, pods))
        list(threads.map(agent.delete, pods))

    given = [address for result in results for address in addresses(result)]
    assert len(given) == 2 * len(pods)
    assert len(set(given)) == len(given)
    assert agent.traces() == before


def test_an_add_repeated_for_a_whole_attachment_is_an_error_and_harms_nothing(
    agent: RealAgent, pod: Pod
) -> None:
    result = agent.add(pod)
    before = agent.traces()

    assert code(agent, "ADD", pod.env()) >= 100

    assert agent.traces() == before
    assert agent.call("CHECK", pod.env(), prevResult=result).status == 0
    agent.delete(pod)


def test_an_add_whose_answer_was_lost_leaks_nothing_when_it_is_repeated_after_a_del(small: RealAgent) -> None:
    """More rounds than there are addresses: a leak would run the blocks dry."""
    for _ in range(12):
        with pod_namespace() as pod:
            _add_and_hang_up(small, pod)
            small.delete(pod)
            small.add(pod)
            small.delete(pod)


def _add_and_hang_up(agent: RealAgent, pod: Pod) -> None:
    frame = encode_request(Request({"CNI_COMMAND": "ADD", **pod.env()}, agent.plugin.conf(prevResult=None)))
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as runtime:
        runtime.connect(str(agent.plugin.socket))
        netns = os.open(pod.path, os.O_RDONLY)
        socket.send_fds(runtime, [frame], [netns])
        os.close(netns)


# DEL


def test_a_del_takes_everything_away_and_may_be_repeated(agent: RealAgent, pod: Pod) -> None:
    before = agent.traces()
    agent.add(pod)

    for _ in range(3):
        agent.delete(pod)

    assert agent.traces() == before
    assert "eth0" not in pod.links()


def test_a_del_of_what_was_never_added_succeeds(agent: RealAgent, pod: Pod) -> None:
    agent.delete(pod)


@pytest.mark.parametrize("netns", [None, "", "/run/netns/flct-never", "/etc/hostname", "/proc/self/ns/net"])
def test_a_del_without_a_usable_namespace_releases_all_the_same(
    agent: RealAgent, pod: Pod, netns: str | None
) -> None:
    before = agent.traces()
    agent.add(pod)
    env = pod.env() | ({} if netns is None else {"CNI_NETNS": netns})
    if netns is None:
        del env["CNI_NETNS"]

    assert agent.call("DEL", env).status == 0

    assert agent.traces() == before


def test_a_del_after_the_namespace_is_gone_releases(agent: RealAgent, pod: Pod) -> None:
    before = agent.traces()
    agent.add(pod)
    run("ip", "netns", "del", pod.netns)

    agent.delete(pod)

    assert agent.traces() == before


def test_a_pod_can_be_added_again_after_its_del(agent: RealAgent, pod: Pod) -> None:
    for _ in range(5):
        agent.add(pod)
        agent.delete(pod)


# CHECK

DAMAGE = [
    ("the pod's interface is gone", "pod", "link del eth0"),
    ("the pod's interface is down", "pod", "link set eth0 down"),
    ("an IPv4 address is gone", "pod", "addr del {v4}/32 dev eth0"),
    ("an IPv6 address is gone", "pod", "addr del {v6}/128 dev eth0"),
    ("the pod's default route is gone", "pod", "-4 route del default"),
    ("the pod's IPv6 default route is gone", "pod", "-6 route del default"),
    ("the node's route is gone", "node", "-4 route del {v4}/32"),
    ("the node's IPv6 route is gone", "node", "-6 route del {v6}/128"),
    ("the node's end is down", "node", "link set {host} down"),
]


@pytest.mark.parametrize(("where", "command"), [row[1:] for row in DAMAGE], ids=[row[0] for row in DAMAGE])
def test_a_check_fails_when(agent: RealAgent, pod: Pod, where: str, command: str) -> None:
    result: dict[str, Any] = agent.add(pod)
    v4, v6 = sorted(addresses(result), key=lambda address: ":" in address)
    words = command.format(v4=v4, v6=v6, host=host_link(result)).split()
    in_netns(pod.netns if where == "pod" else agent.netns, "ip", *words)

    outcome = agent.call("CHECK", pod.env(), prevResult=result)

    agent.delete(pod)
    assert outcome.document()["code"] >= 100


@pytest.mark.parametrize("version", VERSIONS)
def test_a_check_of_a_whole_attachment_succeeds_in_silence(agent: RealAgent, pod: Pod, version: str) -> None:
    result = agent.add(pod, cniVersion=version)

    outcome = agent.call("CHECK", pod.env(), cniVersion=version, prevResult=result)

    agent.delete(pod)
    assert (outcome.status, outcome.stdout) == (0, b"")


def test_a_check_needs_the_previous_result(agent: RealAgent, pod: Pod) -> None:
    agent.add(pod)

    refused = code(agent, "CHECK", pod.env())

    agent.delete(pod)
    assert refused == 7


def test_a_check_fails_for_a_container_that_nobody_added(agent: RealAgent, pod: Pod) -> None:
    assert code(agent, "CHECK", pod.env(), prevResult={"interfaces": [], "ips": []}) == 3


def test_a_check_fails_when_the_previous_result_has_another_address(agent: RealAgent, pod: Pod) -> None:
    result: dict[str, Any] = agent.add(pod)
    result["ips"][0]["address"] = "10.99.0.250/32"

    refused = code(agent, "CHECK", pod.env(), prevResult=result)

    agent.delete(pod)
    assert refused >= 100


def test_a_check_allows_what_a_later_plugin_of_the_chain_added(agent: RealAgent, pod: Pod) -> None:
    result: dict[str, Any] = agent.add(pod)
    result["interfaces"].append({"name": "tap0", "mac": "02:00:00:00:00:01", "sandbox": pod.path})
    result["routes"].append({"dst": "198.51.100.0/24", "gw": "169.254.1.1"})

    outcome = agent.call("CHECK", pod.env(), prevResult=result)

    agent.delete(pod)
    assert outcome.status == 0, outcome


# GC


def test_a_gc_keeps_what_is_listed_and_ends_the_rest(small: RealAgent) -> None:
    with pod_namespace() as kept, pod_namespace() as lost:
        result = small.add(kept)
        before = small.traces()
        small.add(lost)
        listed = [{"containerID": kept.container_id, "ifname": "eth0"}]

        outcome = small.call("GC", {}, **{"cni.dev/valid-attachments": listed})

        assert (outcome.status, outcome.stdout) == (0, b"")
        assert small.traces() == before
        assert small.call("CHECK", kept.env(), prevResult=result).status == 0
        assert code(small, "CHECK", lost.env(), prevResult=result) == 3


def test_a_gc_with_an_empty_list_ends_everything_and_may_be_repeated(small: RealAgent) -> None:
    before = small.traces()
    with pod_namespace() as one, pod_namespace() as two:
        small.add(one)
        small.add(two)

        statuses = [small.call("GC", {}).status for _ in range(2)]

        assert statuses == [0, 0]
        assert small.traces() == before


def test_a_gc_leaves_the_attachments_of_other_networks_alone(small: RealAgent) -> None:
    with pod_namespace() as ours, pod_namespace() as podmans:
        small.add(ours)
        result = small.add(podmans, name="podman")

        assert small.call("GC", {}).status == 0
        assert code(small, "CHECK", ours.env(), prevResult=result) == 3
        assert small.call("CHECK", podmans.env(), name="podman", prevResult=result).status == 0

        assert small.call("GC", {}, name="podman").status == 0
        assert code(small, "CHECK", podmans.env(), name="podman", prevResult=result) == 3


def test_a_gc_distinguishes_the_interfaces_of_one_container(small: RealAgent, pod: Pod) -> None:
    result = small.add(pod, "eth0")
    with pod_namespace() as elsewhere:
        small.add(replace(elsewhere, container_id=pod.container_id), "net1")
    listed = [{"containerID": pod.container_id, "ifname": "eth0"}]

    assert small.call("GC", {}, **{"cni.dev/valid-attachments": listed}).status == 0

    assert small.call("CHECK", pod.env("eth0"), prevResult=result).status == 0
    assert code(small, "CHECK", pod.env("net1"), prevResult=result) == 3


def test_a_gc_whose_list_cannot_be_read_takes_nothing(small: RealAgent, pod: Pod) -> None:
    result = small.add(pod)

    for broken in ([{"containerID": pod.container_id}], [7], "none"):
        assert code(small, "GC", {}, **{"cni.dev/valid-attachments": broken}) == 7

    assert small.call("CHECK", pod.env(), prevResult=result).status == 0


# STATUS, and the agent's death


def test_status_is_silent_when_an_add_would_succeed(agent: RealAgent) -> None:
    outcome = agent.call("STATUS", {})

    assert (outcome.status, outcome.stdout) == (0, b"")


@pytest.mark.slow  # the agent gives the operator 30 s to grant a block before it says so
def test_status_is_51_when_no_address_is_left(small: RealAgent) -> None:
    with ExitStack() as stack:
        while small.call("ADD", stack.enter_context(pod_namespace()).env()).status == 0:
            pass
        deadline = time.monotonic() + 45
        outcome = small.call("STATUS", {})
        while outcome.status == 0 and time.monotonic() < deadline:
            time.sleep(1)
            outcome = small.call("STATUS", {})

        assert outcome.document()["code"] == 51
        assert "0 of 8 free" in outcome.document()["msg"]


def test_an_agent_that_hangs_is_50_for_status_and_11_for_add(small: RealAgent, pod: Pod) -> None:
    small.signal(signal.SIGSTOP)

    status = code(small, "STATUS", {}, timeoutSeconds=1)
    add = code(small, "ADD", pod.env(), timeoutSeconds=1)

    small.signal(signal.SIGCONT)
    assert (status, add) == (50, 11)


def test_without_an_agent_add_answers_at_once_and_del_is_carried_out_later(small: RealAgent) -> None:
    before = small.traces()
    with pod_namespace() as lost, pod_namespace() as kept, pod_namespace() as refused:
        small.add(lost)
        result = small.add(kept)
        with_both = small.traces()
        small.kill()

        started = time.monotonic()
        codes = (code(small, "STATUS", {}), code(small, "ADD", refused.env()))
        small.delete(lost)
        elapsed_s = time.monotonic() - started
        untouched = small.traces() == with_both
        small.start()

        assert codes == (50, 11)
        assert elapsed_s < 1
        assert untouched  # a dead agent takes no running pod's network away
        assert list(small.plugin.spool.iterdir()) == []
        assert small.call("CHECK", kept.env(), prevResult=result).status == 0
        assert code(small, "CHECK", lost.env(), prevResult=result) == 3
        small.delete(kept)
        assert small.traces() == before


def test_a_remembered_del_does_not_end_the_next_attachment_of_the_same_name(
    small: RealAgent, pod: Pod
) -> None:
    small.add(pod)
    small.kill()
    small.delete(pod)
    small.start()
    wait_until(lambda: "eth0" not in pod.links())  # the agent's first pass has buried the old link

    result = small.add(pod)
    time.sleep(2.5)  # two passes

    assert small.call("CHECK", pod.env(), prevResult=result).status == 0
    small.delete(pod)


def test_leases_survive_the_agents_death(small: RealAgent) -> None:
    with pod_namespace() as old, pod_namespace() as new:
        result = small.add(old)
        small.kill()
        small.start()

        other = small.add(new)

        assert set(addresses(result)).isdisjoint(addresses(other))
        assert small.call("CHECK", old.env(), prevResult=result).status == 0


# VERSION and a caller written by others


def test_version_needs_no_agent(agent: RealAgent) -> None:
    assert agent.call("VERSION", {}).document()["supportedVersions"] == list(VERSIONS)


def _cnitool() -> str | None:
    ours = current().state / "bin/cnitool"
    return str(ours) if ours.exists() else shutil.which("cnitool")


def _tool(agent: RealAgent, verb: str, pod: Pod) -> subprocess.CompletedProcess[str]:
    tool = _cnitool()
    if tool is None:
        pytest.skip("no cnitool in .sandbox/bin or on the PATH: `make up` builds it")
    env = {
        "CNI_PATH": str(agent.binary.parent),
        "NETCONFPATH": str(agent.home / "tool.d"),
        "PATH": "/usr/bin:/bin",
    }
    command = [
        "unshare",
        "-m",
        "sh",
        "-ec",
        'mkdir -p /var/lib/cni; mount --bind "$1" /var/lib/cni; shift; exec "$@"',
    ]
    cache = agent.home / "tool-cache"
    cache.mkdir(exist_ok=True)
    called = [*command, "sh", str(cache), tool, verb, "fairlead", pod.path]
    return subprocess.run(called, env=env, capture_output=True, text=True, timeout=30, check=False)


@pytest.mark.parametrize("version", VERSIONS)
def test_cnitool_goes_through_a_pods_life(agent: RealAgent, pod: Pod, version: str) -> None:
    plugin = json.loads(agent.plugin.conf(cniVersion=None, name=None, prevResult=None))
    del plugin["cni.dev/valid-attachments"]
    (agent.home / "tool.d").mkdir(exist_ok=True)
    conflist = {"cniVersion": version, "name": "fairlead", "plugins": [plugin]}
    (agent.home / "tool.d/10-fairlead.conflist").write_text(json.dumps(conflist))
    before = agent.traces()

    added = _tool(agent, "add", pod)
    rest = [_tool(agent, verb, pod) for verb in ("check", "status", "del", "del")]

    assert added.returncode == 0, added
    assert json.loads(added.stdout)["cniVersion"] == version
    assert [(done.returncode, done.stderr) for done in rest] == [(0, "")] * 4
    assert agent.traces() == before


def test_cnitool_gc_without_a_list_is_refused_and_its_own_dels_are_carried_out(
    small: RealAgent, pod: Pod
) -> None:
    """cnitool's `gc` sends DEL for what it cached and a GC without any list."""
    plugin = json.loads(small.plugin.conf(cniVersion=None, name=None, prevResult=None))
    del plugin["cni.dev/valid-attachments"]
    (small.home / "tool.d").mkdir()
    conflist = {"cniVersion": "1.1.0", "name": "fairlead", "plugins": [plugin]}
    (small.home / "tool.d/10-fairlead.conflist").write_text(json.dumps(conflist))
    with pod_namespace() as other:
        result = small.add(other)
        before = small.traces()
        assert _tool(small, "add", pod).returncode == 0

        done = _tool(small, "gc", pod)

        assert "cni.dev/valid-attachments is missing" in done.stderr
        assert small.traces() == before
        assert small.call("CHECK", other.env(), prevResult=result).status == 0
