"""Which BGP sessions a node gets, and what a peer's status says of them."""

from __future__ import annotations

import msgspec.structs
import pytest

from fairlead_core.api import (
    BFD,
    Condition,
    LabelSelector,
    NodeBGPStatus,
    PeerStatus,
    PrefixLengths,
    SecretRef,
    Timers,
)
from fairlead_core.outcome import Rejected
from fairlead_core.peers import parse_peer, router_id
from tests.fakes.cluster import Agent, Cluster, node, peer, pool

replace = msgspec.structs.replace


def ready(cluster: Cluster, name: str) -> Condition:
    return next(one for one in cluster.peers[name].status.conditions if one.type == "Ready")


def types(cluster: Cluster, name: str) -> set[str]:
    return {one.type for one in cluster.peers[name].status.conditions}


def sessions(cluster: Cluster, name: str) -> list[str]:
    bgp = cluster.node_networks[name].spec.bgp
    return [one.name for one in bgp.peers] if bgp else []


@pytest.fixture
def cluster() -> Cluster:
    return Cluster().add(node("n1", "10.1.0.1", rack="1"), node("n2", "10.1.0.2", rack="2"))


def test_a_peer_goes_to_the_nodes_that_it_selects(cluster: Cluster) -> None:
    cluster.add(peer("tor", node_selector=LabelSelector({"rack": "1"})))

    cluster.settle([Agent("n1"), Agent("n2")])

    assert (sessions(cluster, "n1"), sessions(cluster, "n2")) == (["tor"], [])
    assert cluster.peers["tor"].status.sessions.nodes == 1  # type: ignore[union-attr]
    assert ready(cluster, "tor").reason == "AllEstablished"


def test_a_session_says_all_that_the_node_must_know(cluster: Cluster) -> None:
    cluster.add(peer("tor", port=1179, timers=Timers("1m30s", "30s", "5s"), bfd=BFD(True, 50, 5)))

    cluster.settle()

    bgp = cluster.node_networks["n1"].spec.bgp
    assert bgp is not None
    assert (bgp.local_asn, bgp.router_id) == (65001, "10.1.0.1")
    one = bgp.peers[0]
    assert (one.port, one.hold_seconds, one.keepalive_seconds, one.connect_retry_seconds) == (1179, 90, 30, 5)
    assert one.bfd == BFD(True, 50, 5)


def test_of_two_peers_with_one_address_the_older_one_stays(cluster: Cluster) -> None:
    cluster.add(peer("tor"), peer("again", created="2026-02-01T00:00:00Z"))

    cluster.settle([Agent("n1"), Agent("n2")])

    assert sessions(cluster, "n1") == ["tor"]
    assert types(cluster, "again") == {"Ready", "Conflict"}
    assert ready(cluster, "again").message == (
        "peer again: not on n1, n2: address 10.250.0.1 is that of the older peer tor"
    )


def test_another_local_asn_on_one_node_is_left_out_there(cluster: Cluster) -> None:
    cluster.add(peer("tor"), peer("other", "10.250.0.2", created="2026-02-01T00:00:00Z", local_asn=65002))

    cluster.settle()

    assert sessions(cluster, "n1") == ["tor"]
    assert "localASN 65002 is not 65001, that of the older peer tor" in ready(cluster, "other").message


def test_a_peer_with_the_nodes_own_address_is_left_out_there(cluster: Cluster) -> None:
    cluster.add(peer("self", "10.1.0.1"))

    cluster.settle()

    assert (sessions(cluster, "n1"), sessions(cluster, "n2")) == ([], ["self"])


def test_sessions_that_are_down_are_named_with_their_cause(cluster: Cluster) -> None:
    cluster.add(peer("tor"))
    agents = [Agent("n1"), Agent("n2")]
    cluster.settle(agents)
    item = cluster.node_networks["n2"]
    down = NodeBGPStatus((PeerStatus("tor", "Active", last_error="Connection refused"),))
    cluster.node_networks["n2"] = replace(item, status=replace(item.status, bgp=down))

    cluster.carry_out(cluster.plan())

    assert ready(cluster, "tor").status == "False"
    assert ready(cluster, "tor").message == (
        "peer tor: 1 of 2 sessions established; not on n2 (Active: Connection refused)"
    )


def test_a_missing_password_is_told_by_the_peer(cluster: Cluster) -> None:
    cluster.add(peer("tor", auth_secret_ref=SecretRef("bgp", "tor")))
    cluster.settle([Agent("n1"), Agent("n2")])
    item = cluster.node_networks["n2"]
    missing = PeerStatus("tor", "MissingSecret", last_error="secret bgp has no key tor")
    cluster.node_networks["n2"] = replace(item, status=replace(item.status, bgp=NodeBGPStatus((missing,))))

    cluster.carry_out(cluster.plan())

    assert types(cluster, "tor") == {"Ready", "MissingSecret"}
    assert ready(cluster, "tor").message == "peer tor: no password on n2: secret bgp has no key tor"


def test_a_fabric_that_refuses_a_pools_blocks_is_told(cluster: Cluster) -> None:
    cluster.add(peer("tor", accepted_prefix_lengths=PrefixLengths(24, 24)), pool("blue", ["10.0.0.0/16"]))

    cluster.settle([Agent("n1"), Agent("n2")])

    assert ready(cluster, "tor").message == "peer tor accepts /24 to /24, not the blocks of blue (/26)"


def test_a_peer_without_nodes_is_ready(cluster: Cluster) -> None:
    cluster.add(peer("tor", node_selector=LabelSelector({"rack": "9"})))

    cluster.settle()

    assert ready(cluster, "tor").reason == "NoNode"


@pytest.mark.parametrize(
    ("field", "value", "told"),
    [
        ("local_asn", 0, "localASN 0 is not in 1..4294967295"),
        ("peer_asn", 2**32, "peerASN 4294967296 is not in"),
        ("port", 0, "port 0 is not in"),
        ("address", "10.0.0.1; password", "is no IP address"),
        ("address", "", "is no IP address"),
        ("address", "fe80::1%eth0", "has a zone"),
        ("address", "224.0.0.1", "not one that nodes can route to"),
        ("timers", Timers(hold="2s"), "timers.hold '2s' is not in 3s..65535s"),
        ("timers", Timers(hold="forever"), "timers.hold 'forever'"),
        ("timers", Timers(keepalive="9s"), "timers.keepalive '9s' is not from 1s to below timers.hold 9s"),
        ("timers", Timers(connect_retry="0s"), "timers.connectRetry '0s'"),
        ("bfd", BFD(True, 1, 3), "bfd.intervalMilliseconds 1"),
        ("auth_secret_ref", SecretRef("a;b", "k"), "authSecretRef.name 'a;b'"),
        ("auth_secret_ref", SecretRef("a", 'k"'), "authSecretRef.key"),
        ("accepted_prefix_lengths", PrefixLengths(26, 24), "acceptedPrefixLengths 26..24"),
        ("accepted_prefix_lengths", PrefixLengths(26, 64), "acceptedPrefixLengths 26..64"),
    ],
)
def test_nothing_but_clean_values_passes(field: str, value: object, told: str) -> None:
    outcome = parse_peer(peer("tor", **{field: value}))  # type: ignore[arg-type]

    assert isinstance(outcome, Rejected)
    assert told in outcome.message
    assert outcome.message.startswith("peer tor: ")


def test_every_fault_of_a_peer_is_named_at_once() -> None:
    outcome = parse_peer(peer("Tor;", local_asn=0, port=0))

    assert isinstance(outcome, Rejected)
    assert all(part in outcome.message for part in ("the name", "localASN", "port"))


def test_a_bad_peer_is_stalled_and_stops_no_other(cluster: Cluster) -> None:
    cluster.add(peer("bad", local_asn=0), peer("tor"))

    cluster.settle()

    assert sessions(cluster, "n1") == ["tor"]
    assert types(cluster, "bad") == {"Ready", "Stalled"}


def test_a_node_without_ipv4_gets_a_router_id_of_its_name() -> None:
    first, second = router_id(node("n1", "fd00::1")), router_id(node("n2"))

    assert first != second
    assert router_id(node("n1", "fd00::9")) == first
