"""What the agent writes into NodeNetwork.status, and when."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import msgspec.structs

import fairlead_agent
from fairlead_agent.ports import PortError
from fairlead_agent.report import Observed, Reporter, compose, urgent
from fairlead_core.api import Condition, HeldBlock, NodeNetworkStatus, PeerStatus, PoolUsage, SecretRef
from fairlead_core.outcome import Rejected
from tests.fakes.cluster import Agent, Cluster, node, peer
from tests.fakes.ipam import pool, spec

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
SEEN = Observed(
    spec=spec(("10.0.0.0/26", "four"), pools=[pool("four")], revision=7),
    generation=3,
    serving=True,
    held=(HeldBlock("10.0.0.0/26", "four", "Active", used=1, free=63),),
    usage={"four": PoolUsage(used=1, free=63, wanted=16)},
    peers=(PeerStatus("tor", "Established"),),
)


def status(seen: Observed = SEEN, before: tuple[Condition, ...] = ()) -> NodeNetworkStatus:
    return compose(seen, before, NOW)


def conditions(seen: Observed) -> dict[str, tuple[str, str, str]]:
    return {c.type: (c.status, c.reason, c.message) for c in status(seen).conditions}


def test_a_node_that_does_what_it_shall_is_ready_and_nothing_else() -> None:
    assert conditions(SEEN) == {"Ready": ("True", "Realised", "revision 7 with 1 blocks is realised")}
    assert status().observed_generation == 3
    assert status().revision == 7


def test_a_refused_spec_stalls_and_the_node_stays_ready() -> None:
    got = conditions(replace(SEEN, refusal=Rejected("SpecRefused", "takes 10.0.0.0/26 away")))

    assert got["Stalled"] == ("True", "SpecRefused", "takes 10.0.0.0/26 away")
    assert got["Ready"][0] == "True"


def test_a_failing_target_is_named() -> None:
    got = conditions(replace(SEEN, failures={"routes": "route 10.0.0.1/32 put: no", "bgp": "BIRD is away"}))

    assert got["Ready"] == ("False", "TargetFailed", "bgp: BIRD is away; routes: route 10.0.0.1/32 put: no")


def test_a_missing_or_bad_password_is_a_condition_of_its_own_while_it_lasts() -> None:
    gone = PeerStatus(
        "tor", "MissingSecret", last_error="peer tor: key 'md5' of secret 'bgp' is missing or empty"
    )
    bad = PeerStatus(
        "leaf", "BadSecret", last_error="peer leaf: key 'b' of secret 'bgp': want 1-80 characters"
    )

    got = conditions(replace(SEEN, peers=(PeerStatus("spine", "Active", last_error="refused"), gone, bad)))

    assert got["MissingSecret"] == ("True", "MissingSecret", f"{gone.last_error}; {bad.last_error}")
    assert got["Ready"][0] == "True"
    assert conditions(replace(SEEN, peers=(bad,)))["MissingSecret"][1] == "BadSecret"
    assert "MissingSecret" not in conditions(SEEN)


def test_the_operator_tells_of_a_peer_what_the_agent_reports() -> None:
    """The agent's status of a node goes through the operator's plan as it is."""
    cluster = Cluster().add(
        node("n1"),
        peer("tor", "192.0.2.1", auth_secret_ref=SecretRef("bgp", "gone")),
        peer("leaf", "192.0.2.2", auth_secret_ref=SecretRef("bgp", "there")),
        peer("open", "192.0.2.3"),
    )
    cluster.settle([Agent("n1")])
    told = "peer tor: key 'gone' of secret 'bgp' is missing or empty"
    reported = (
        PeerStatus("tor", "MissingSecret", last_error=told),
        PeerStatus("leaf", "Established"),
        PeerStatus("open", "Established"),
    )

    def hear(peers: tuple[PeerStatus, ...]) -> dict[str, set[str]]:
        item = cluster.node_networks["n1"]
        news = compose(replace(SEEN, spec=item.spec, peers=peers), item.status.conditions, NOW)
        cluster.node_networks["n1"] = msgspec.structs.replace(item, status=news)
        cluster.carry_out(cluster.plan())
        return {name: {one.type for one in item.status.conditions} for name, item in cluster.peers.items()}

    types = hear(reported)
    conditions = {one.type: one.message for one in cluster.peers["tor"].status.conditions}

    assert types == {"tor": {"Ready", "MissingSecret"}, "leaf": {"Ready"}, "open": {"Ready"}}
    assert conditions["MissingSecret"] == f"peer tor: no password on n1: {told}"
    assert hear((PeerStatus("tor", "Established"), *reported[1:]))["tor"] == {"Ready"}


def test_a_node_without_spec_or_socket_is_not_ready() -> None:
    assert conditions(replace(SEEN, spec=None))["Ready"][1] == "NoSpec"
    assert conditions(replace(SEEN, serving=False))["Ready"][1] == "NotServing"


def test_a_transition_time_moves_only_with_the_status() -> None:
    first = status()
    later = compose(SEEN, first.conditions, NOW.replace(hour=9))

    assert later.conditions == first.conditions


def test_counts_can_wait_what_people_wait_for_cannot() -> None:
    base = status()

    assert not urgent(base, status(replace(SEEN, usage={"four": PoolUsage(used=40, free=24, wanted=16)})))
    assert urgent(base, status(replace(SEEN, usage={"four": PoolUsage(used=60, free=4, wanted=16)})))
    assert urgent(base, status(replace(SEEN, held=(HeldBlock("10.0.0.0/26", "four", "Draining"),))))
    assert urgent(base, status(replace(SEEN, generation=4)))
    assert urgent(base, status(replace(SEEN, peers=(PeerStatus("tor", "Active"),))))
    assert urgent(base, status(replace(SEEN, failures={"bgp": "away"})))


def test_a_shortage_that_does_not_grow_is_told_once() -> None:
    short = status(replace(SEEN, usage={"four": PoolUsage(used=60, free=4, wanted=16)}))
    same = status(replace(SEEN, usage={"four": PoolUsage(used=60, free=4, cooling=1, wanted=16)}))

    assert not urgent(short, same)


def test_the_same_status_is_written_once_and_a_failed_write_stays_due() -> None:
    written: list[NodeNetworkStatus] = []
    broken = [True]

    def publish(latest: NodeNetworkStatus) -> None:
        if broken.pop():
            raise PortError("API server: connection refused")
        written.append(latest)

    reporter = Reporter(publish, interval_s=10)
    reporter.offer(SEEN, ())
    reporter.write()
    assert reporter.trouble == "API server: connection refused"
    assert reporter.due_s(0.0) == 0.0

    broken.append(False)
    reporter.write()
    reporter.offer(SEEN, ())
    assert len(written) == 1
    assert reporter.due_s(0.0) == float("inf")


def test_counts_are_due_an_interval_after_the_last_write() -> None:
    reporter = Reporter(lambda _: None, interval_s=10)
    reporter.offer(SEEN, ())
    reporter.write()
    reporter.offer(replace(SEEN, usage={"four": PoolUsage(used=2, free=62, wanted=16)}), ())

    due_s = reporter.due_s(reporter._written_at_s + 4)

    assert due_s == 6


def test_a_restarted_agent_keeps_the_transition_times_that_the_object_shows() -> None:
    written: list[NodeNetworkStatus] = []
    old = Condition("Ready", "True", "Realised", "before", "2025-01-01T00:00:00Z", 2)
    reporter = Reporter(written.append, interval_s=10)

    reporter.offer(SEEN, known=(old,))
    reporter.write()

    assert written[0].conditions[0].last_transition_time == "2025-01-01T00:00:00Z"


def test_nothing_is_written_before_the_object_was_seen() -> None:
    reporter = Reporter(lambda _: None, interval_s=10)

    reporter.offer(SEEN, known=None)

    assert reporter.latest is not None, "metrics are made from it"
    assert reporter.due_s(0.0) == float("inf")
    old = Condition("Ready", "True", "Realised", "before", "2025-01-01T00:00:00Z", 2)
    reporter.offer(SEEN, known=(old,))
    assert reporter.due_s(0.0) == 0.0
    assert reporter.latest.conditions[0].last_transition_time == "2025-01-01T00:00:00Z"


def test_the_reported_version_is_that_of_the_package() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]

    assert fairlead_agent.__version__ == project["version"]
