"""The operator against a fake API server: what it writes, when, and what it leaves alone."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from fairlead_kube.client import KubeClient
from fairlead_kube.reflector import Pace
from fairlead_operator.gather import NODE_NETWORKS, NODES, PEERS, POOLS
from fairlead_operator.loop import Loop
from fairlead_operator.metrics import Metrics
from fairlead_operator.settings import Settings, Timing
from tests.fakes.api_server import FakeAPIServer, Fault

LEASES = "/apis/coordination.k8s.io/v1/namespaces/fairlead-system/leases"
EVENTS = "/apis/events.k8s.io/v1/namespaces/default/events"
QUICK = Timing(retry_s=0.05, period_s=0.2, debounce_s=0.01, status_s=0.05, list_age_s=0.1)
PACE = Pace(watch_s=(5, 5), read_timeout_s=3, backoff_s=(0.02, 0.1))


class Operator:
    """A loop in a thread."""

    def __init__(
        self, api: FakeAPIServer, name: str, timing: Timing = QUICK, now: datetime | None = None
    ) -> None:
        settings = Settings(identity=name, timing=timing)
        self.api, self.metrics = api, Metrics()
        clock = (lambda: now) if now else (lambda: datetime.now(UTC))
        self.loop = Loop(KubeClient(api.config(), connections=16), settings, self.metrics, PACE, clock)
        self.thread = threading.Thread(target=self.loop.run, daemon=True)
        self.thread.start()

    def stop(self) -> None:
        self.loop.stop()
        self.thread.join(10)
        assert not self.thread.is_alive()


def node(name: str) -> dict[str, Any]:
    return {
        "metadata": {"name": name},
        "status": {"addresses": [{"type": "InternalIP", "address": "10.1.0.1"}]},
    }


def pool(name: str, *cidrs: str) -> dict[str, Any]:
    return {"metadata": {"name": name}, "spec": {"cidrs": list(cidrs)}}


@pytest.fixture
def api() -> Iterator[FakeAPIServer]:
    kinds = {NODES: "Node", NODE_NETWORKS: "NodeNetwork", POOLS: "IPPool", PEERS: "BGPPeer", LEASES: "Lease"}
    with FakeAPIServer({**kinds, EVENTS: "Event"}) as server:
        server.put(NODES, node("n1"))
        server.put(POOLS, pool("blue", "10.0.0.0/24"))
        yield server


@pytest.fixture
def operator(api: FakeAPIServer) -> Iterator[Operator]:
    running = Operator(api, "op-0")
    yield running
    running.stop()


def blocks(api: FakeAPIServer, name: str) -> list[str]:
    item = api.objects.get(f"{NODE_NETWORKS}/{name}", {})
    return [block["cidr"] for block in item.get("spec", {}).get("blocks", [])]


def quiet(api: FakeAPIServer) -> None:
    """Until nothing but the Lease is written for a while."""
    seen = -1
    for _ in range(100):
        count = sum("leases" not in path for _, path in api.writes())
        if count == seen:
            return
        seen = count
        threading.Event().wait(0.4)
    raise AssertionError("the operator writes without end")


def test_nodes_get_blocks_and_the_pool_gets_finalizer_status_and_one_event(
    api: FakeAPIServer, operator: Operator
) -> None:
    api.wait(lambda: blocks(api, "n1") == ["10.0.0.0/26"])
    quiet(api)

    blue = api.get(f"{POOLS}/blue")
    assert blue["metadata"]["finalizers"] == ["fairlead.dev/blocks"]
    assert blue["spec"] == {"cidrs": ["10.0.0.0/24"]}, "people own the spec"
    assert blue["status"]["blocks"] == {"total": 4, "granted": 1, "free": 3}
    told = [event["note"] for path, event in api.objects.items() if path.startswith(EVENTS)]
    assert len([note for note in told if "1 of 4 blocks granted" in note]) <= 1
    assert len(told) == 1


def test_a_cluster_at_rest_is_not_written_to(api: FakeAPIServer, operator: Operator) -> None:
    api.wait(lambda: bool(blocks(api, "n1")))
    quiet(api)
    before = [path for _, path in api.writes() if "leases" not in path]

    for _ in range(5):
        operator.loop.notice()
        threading.Event().wait(0.1)

    assert [path for _, path in api.writes() if "leases" not in path] == before


def test_a_new_node_costs_one_object(api: FakeAPIServer, operator: Operator) -> None:
    api.wait(lambda: bool(blocks(api, "n1")))
    quiet(api)
    before = len(api.writes())

    api.put(NODES, node("n2"))

    api.wait(lambda: blocks(api, "n2") == ["10.0.0.64/26"])
    wrote = {path for method, path in api.writes()[before:] if path.startswith(NODE_NETWORKS)}
    assert wrote == {NODE_NETWORKS, f"{NODE_NETWORKS}/n2"}


def test_a_failed_write_of_one_object_does_not_stop_the_others_and_is_repeated(api: FakeAPIServer) -> None:
    api.faults.append(Fault("PATCH", "nodenetworks/n1", status=500, times=2))
    api.put(NODES, node("n2"))
    operator = Operator(api, "op-0")

    api.wait(lambda: bool(blocks(api, "n2")))
    api.wait(lambda: bool(blocks(api, "n1")))
    operator.stop()

    assert not set(blocks(api, "n1")) & set(blocks(api, "n2"))


def test_a_write_that_only_seemed_to_fail_gives_its_block_to_nobody_else(api: FakeAPIServer) -> None:
    api.put(
        POOLS,
        {**pool("blue", "10.0.0.0/24"), "metadata": {"name": "blue", "finalizers": ["fairlead.dev/blocks"]}},
    )
    api.faults.append(Fault("PATCH", "nodenetworks/n1", cut=True, times=1))
    operator = Operator(api, "op-0")
    api.wait(lambda: api.faults[0].times == 0)

    api.put(NODES, node("n0"))
    api.wait(lambda: bool(blocks(api, "n1")) and bool(blocks(api, "n0")))
    operator.stop()

    assert blocks(api, "n1") == ["10.0.0.0/26"]
    assert blocks(api, "n0") == ["10.0.0.64/26"]


@pytest.mark.parametrize("path", [NODES, NODE_NETWORKS, POOLS])
@pytest.mark.parametrize("body", [b"", b'{"kind":"Status","metadata":{}}', b"<html>"])
def test_garbled_lists_take_nothing_away(
    api: FakeAPIServer, operator: Operator, path: str, body: bytes
) -> None:
    api.wait(lambda: bool(blocks(api, "n1")))
    quiet(api)
    before = api.get(f"{NODE_NETWORKS}/n1")

    api.faults.append(Fault("GET", f"{path}.*limit", status=200, body=body, times=5))
    api.compact()
    operator.loop.notice()
    threading.Event().wait(1)

    assert api.get(f"{NODE_NETWORKS}/n1") == before
    assert api.names(POOLS) == ["blue"]


def test_a_deleted_nodenetwork_comes_back_with_the_same_blocks(
    api: FakeAPIServer, operator: Operator
) -> None:
    for name in ("n2", "n3"):
        api.put(NODES, node(name))
    api.wait(lambda: all(blocks(api, name) for name in ("n1", "n2", "n3")))
    quiet(api)
    before = blocks(api, "n2")

    api.remove(f"{NODE_NETWORKS}/n2")

    api.wait(lambda: bool(blocks(api, "n2")))
    assert blocks(api, "n2") == before


def test_a_standby_writes_nothing_and_takes_over_when_the_leader_leaves(api: FakeAPIServer) -> None:
    first = Operator(api, "op-0")
    api.wait(first.loop.election.leading)
    second = Operator(api, "op-1")
    api.wait(lambda: bool(blocks(api, "n1")))
    assert not second.loop.election.leading()
    assert second.loop.readiness() == ""

    first.stop()
    api.put(NODES, node("n2"))

    api.wait(lambda: bool(blocks(api, "n2")))
    assert second.loop.election.leading()
    second.stop()


def test_a_bad_pool_turns_stalled_and_stops_no_other(api: FakeAPIServer, operator: Operator) -> None:
    api.put(POOLS, pool("bad", "10.9.0.1/24"))
    operator.loop.notice()

    api.wait(lambda: "status" in api.get(f"{POOLS}/bad"))
    api.wait(lambda: bool(blocks(api, "n1")))
    types = {one["type"] for one in api.get(f"{POOLS}/bad")["status"]["conditions"]}
    assert types == {"Ready", "Stalled"}


def test_a_deleted_pool_goes_when_no_node_holds_its_blocks(api: FakeAPIServer, operator: Operator) -> None:
    api.wait(lambda: bool(blocks(api, "n1")))
    quiet(api)
    KubeClient(api.config()).delete(f"{POOLS}/blue")
    operator.loop.notice()
    api.wait(lambda: api.get(f"{NODE_NETWORKS}/n1")["spec"]["blocks"][0].get("state") == "Draining")
    item = api.get(f"{NODE_NETWORKS}/n1")

    drained = {"cidr": "10.0.0.0/26", "pool": "blue", "state": "Drained"}
    item["status"] = {"revision": item["spec"]["revision"], "observedGeneration": 1, "blocks": [drained]}
    api.put(NODE_NETWORKS, item)
    api.wait(lambda: not blocks(api, "n1"))
    item = api.get(f"{NODE_NETWORKS}/n1")
    item["status"] = {"revision": item["spec"]["revision"], "observedGeneration": 2}
    api.put(NODE_NETWORKS, item)

    api.wait(lambda: api.names(POOLS) == [])


def test_health_and_readiness_speak_of_the_loop(api: FakeAPIServer, operator: Operator) -> None:
    api.wait(lambda: bool(blocks(api, "n1")))
    api.wait(lambda: operator.loop.readiness() == "")

    assert operator.loop.health() == ""


def test_without_an_api_server_a_replica_is_alive_but_not_ready() -> None:
    with FakeAPIServer({}) as dead:
        config = dead.config()
    loop = Loop(KubeClient(config), Settings(identity="op", timing=QUICK), Metrics(), PACE)
    thread = threading.Thread(target=loop.run, daemon=True)
    thread.start()
    threading.Event().wait(0.3)

    assert loop.health() == ""
    assert "does not answer for the Lease" in loop.readiness()
    loop.stop()
    thread.join(15)
    assert not thread.is_alive()
