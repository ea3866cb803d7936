"""The API server itself keeps bad pools and peers out, and says what to write instead."""

import copy
import json
from typing import Any

import pytest

from tests.sandbox.cluster import ROOT, Cluster, CommandFailedError

pytestmark = pytest.mark.sandbox

Spec = dict[str, Any]
POOL: Spec = {"cidrs": ["10.99.0.0/16"], "blockSize": 26}
POOL6: Spec = {"cidrs": ["fd00:99::/104"], "blockSize": 122}
PEER: Spec = {"address": "10.99.0.1", "localASN": 65001, "peerASN": 65000}

# what the person wrote, the kind, the good spec, what is changed in it, what the answer must say
REFUSED: list[tuple[str, str, Spec, Spec, str]] = [
    ("a word for a CIDR", "IPPool", POOL, {"cidrs": ["blue"]}, "'blue' is no CIDR: write an address and"),
    ("a CIDR with host bits", "IPPool", POOL, {"cidrs": ["10.99.0.1/16"]}, "'10.99.0.1/16' has host bits"),
    ("a prefix length of 33", "IPPool", POOL, {"cidrs": ["10.99.0.0/33"]}, "'10.99.0.0/33' is no CIDR"),
    ("a long form of IPv6", "IPPool", POOL6, {"cidrs": ["fd00:99:0::/104"]}, "not in canonical form"),
    ("no CIDR", "IPPool", POOL, {"cidrs": []}, "at least 1 items"),
    ("no list of CIDRs", "IPPool", POOL, {"cidrs": None}, "spec.cidrs: Required value"),
    ("one CIDR twice", "IPPool", POOL, {"cidrs": ["10.99.0.0/16"] * 2}, "Duplicate value"),
    ("one CIDR in another", "IPPool", POOL, {"cidrs": ["10.99.0.0/16", "10.99.1.0/24"]}, "contains another"),
    ("two families", "IPPool", POOL, {"cidrs": ["10.99.0.0/16", "fd00:99::/104"]}, "into two pools"),
    ("a loopback pool", "IPPool", POOL, {"cidrs": ["127.0.0.0/16"]}, "choose a range that routers forward"),
    ("a link-local pool", "IPPool", POOL6, {"cidrs": ["fe80::/104"]}, "choose a range that routers forward"),
    ("an IPv4 block of /33", "IPPool", POOL, {"blockSize": 33}, "16 to 32 for IPv4"),
    ("an IPv6 block of /64", "IPPool", POOL6, {"blockSize": 64}, "112 to 128 for IPv6"),
    ("a block of /8", "IPPool", POOL, {"blockSize": 8}, "greater than or equal to 16"),
    ("a pool below one block", "IPPool", POOL, {"cidrs": ["10.99.0.0/27"]}, "smaller than one block"),
    ("a small pool without blockSize", "IPPool", {"cidrs": ["10.99.0.0/27"]}, {}, "26 for IPv4"),
    ("an IPv6 pool of /64", "IPPool", POOL6, {"cidrs": ["fd00:99::/64"]}, "at most 20 bits shorter"),
    ("an unknown use", "IPPool", POOL, {"uses": ["Node"]}, 'supported values: "Pod", "FixedIP"'),
    ("an unknown state", "IPPool", POOL, {"state": "Off"}, '"Active", "Draining", "Disabled"'),
    ("a negative rest", "IPPool", POOL, {"cooldownSeconds": -1}, "greater than or equal to 0"),
    ("a reserved word", "IPPool", POOL, {"reserved": ["gateway"]}, "'gateway' is no address and no CIDR"),
    ("reserved elsewhere", "IPPool", POOL, {"reserved": ["10.98.0.1"]}, "outside the pool"),
    ("reserved wider than the pool", "IPPool", POOL, {"reserved": ["10.0.0.0/8"]}, "outside the pool"),
    ("a community of words", "IPPool", POOL, {"advertise": {"communities": ["no-export"]}}, "64500:1"),
    ("a community too large", "IPPool", POOL, {"advertise": {"communities": ["65536:1"]}}, "0 to 65535"),
    ("blocks too long", "IPPool", POOL, {"advertise": {"maxPrefixLength": 24}}, "refuse every block"),
    (
        "a selector without values",
        "IPPool",
        POOL,
        {"nodeSelector": {"matchExpressions": [{"key": "rack", "operator": "In"}]}},
        "In and NotIn need values",
    ),
    (
        "an unknown operator",
        "BGPPeer",
        PEER,
        {"nodeSelector": {"matchExpressions": [{"key": "rack", "operator": "Gt", "values": ["1"]}]}},
        '"In", "NotIn", "Exists", "DoesNotExist"',
    ),
    ("a name for an address", "BGPPeer", PEER, {"address": "tor.example"}, "'tor.example' is no address"),
    ("an address with a length", "BGPPeer", PEER, {"address": "10.99.0.1/24"}, "without prefix length"),
    ("a link-local address", "BGPPeer", PEER, {"address": "fe80::1"}, "an address that nodes route to"),
    ("BIRD syntax", "BGPPeer", PEER, {"address": "10.0.0.1; import all"}, "is no address"),
    ("no address", "BGPPeer", PEER, {"address": None}, "spec.address: Required value"),
    ("an ASN of 0", "BGPPeer", PEER, {"localASN": 0}, "localASN is out of range: write 1 to 4294967295"),
    ("an ASN of 33 bits", "BGPPeer", PEER, {"peerASN": 2**32}, "peerASN is out of range"),
    ("no ASN", "BGPPeer", PEER, {"peerASN": None}, "spec.peerASN: Required value"),
    ("port 0", "BGPPeer", PEER, {"port": 0}, "greater than or equal to 1"),
    ("a hold time of 1 s", "BGPPeer", PEER, {"timers": {"hold": "1s"}}, "write 3s to 65535s"),
    ("milliseconds", "BGPPeer", PEER, {"timers": {"hold": "9500ms"}}, "'9500ms' is no duration in whole"),
    ("a bare number", "BGPPeer", PEER, {"timers": {"keepalive": "3"}}, "'3' is no duration in whole"),
    ("keepalive above hold", "BGPPeer", PEER, {"timers": {"keepalive": "9s"}}, "a third of hold"),
    ("retry of a day", "BGPPeer", PEER, {"timers": {"connectRetry": "24h"}}, "write 1s to 1h"),
    ("BFD every 1 ms", "BGPPeer", PEER, {"bfd": {"intervalMilliseconds": 1}}, "greater than or equal to 10"),
    ("BFD without patience", "BGPPeer", PEER, {"bfd": {"multiplier": 1}}, "greater than or equal to 2"),
    (
        "a restart of 2 hours",
        "BGPPeer",
        PEER,
        {"gracefulRestart": {"restartSeconds": 7200}},
        "less than or equal to 4095",
    ),
    (
        "lengths exchanged",
        "BGPPeer",
        PEER,
        {"acceptedPrefixLengths": {"min": 32, "max": 24}},
        "min is above max: exchange them",
    ),
    (
        "IPv6 lengths at an IPv4 peer",
        "BGPPeer",
        PEER,
        {"acceptedPrefixLengths": {"min": 112, "max": 128}},
        "an IPv4 peer accepts prefix lengths of at most 32",
    ),
    ("half a secret reference", "BGPPeer", PEER, {"authSecretRef": {"name": "bgp"}}, "authSecretRef.key"),
    ("a secret key with a path", "BGPPeer", PEER, {"authSecretRef": {"name": "a", "key": "../b"}}, "match"),
]

ACCEPTED: list[tuple[str, str, Spec]] = [
    ("a pool without blockSize", "IPPool", {"cidrs": ["10.99.0.0/16"]}),
    ("blocks of one address", "IPPool", {"cidrs": ["10.99.0.0/24"], "blockSize": 32}),
    ("the widest IPv6 pool", "IPPool", {"cidrs": ["fd00:99::/102"], "blockSize": 122}),
    ("reserved addresses and CIDRs", "IPPool", {**POOL, "reserved": ["10.99.0.1", "10.99.255.0/24"]}),
    ("a peer with the least", "BGPPeer", PEER),
    ("ASNs of 32 bits", "BGPPeer", {**PEER, "localASN": 4200000000, "peerASN": 4294967295}),
    ("mixed durations", "BGPPeer", {**PEER, "timers": {"hold": "1m30s", "keepalive": "30s"}}),
    ("a peer for both lengths", "BGPPeer", {**PEER, "acceptedPrefixLengths": {"min": 24, "max": 32}}),
]

# Changes of a stored object: the kind, before, after, the answer
FORBIDDEN_CHANGES: list[tuple[str, str, Spec, Spec, str]] = [
    ("another blockSize", "IPPool", POOL, {**POOL, "blockSize": 27}, "blockSize is immutable"),
    ("blockSize taken away", "IPPool", {**POOL, "blockSize": 27}, {"cidrs": POOL["cidrs"]}, "is immutable"),
    ("another family", "IPPool", {"cidrs": ["10.99.0.0/16"]}, {"cidrs": ["fd00:99::/104"]}, "new pool"),
]


def manifest(kind: str, spec: Spec, name: str = "table") -> dict[str, Any]:
    present = {key: value for key, value in copy.deepcopy(spec).items() if value is not None}
    return {
        "apiVersion": "fairlead.dev/v1alpha1",
        "kind": kind,
        "metadata": {"name": name},
        "spec": present,
    }


def change(cluster: Cluster, kind: str, name: str, spec: Spec) -> None:
    """Merges `spec` into the object; None takes a field away."""
    cluster.kubectl("patch", kind, name, "--type=merge", "-p", json.dumps({"spec": spec}))


def answer(cluster: Cluster, body: dict[str, Any]) -> str:
    """What kubectl prints when the object is offered for creation (nothing is stored)."""
    try:
        return cluster.kubectl("create", "--dry-run=server", "-f", "-", stdin=json.dumps(body))
    except CommandFailedError as refused:
        return str(refused)


@pytest.mark.parametrize(("what", "kind", "good", "change", "told"), REFUSED, ids=[row[0] for row in REFUSED])
def test_a_bad_object_is_refused_with_a_message_that_helps(
    cluster: Cluster, what: str, kind: str, good: Spec, change: Spec, told: str
) -> None:
    text = answer(cluster, manifest(kind, {**good, **change}))

    assert told in text, what
    assert "evaluating rule" not in text, "the rule itself broke on this input"


@pytest.mark.parametrize(("what", "kind", "spec"), ACCEPTED, ids=[row[0] for row in ACCEPTED])
def test_what_is_allowed_is_accepted(cluster: Cluster, what: str, kind: str, spec: Spec) -> None:
    assert "created (server dry run)" in answer(cluster, manifest(kind, spec)), what


def test_names_that_no_metric_label_could_hold_are_refused(cluster: Cluster) -> None:
    assert "at most 63 characters" in answer(cluster, manifest("IPPool", POOL, name="p" * 64))
    assert "at most 63 characters" in answer(cluster, manifest("BGPPeer", PEER, name="p" * 64))


@pytest.mark.parametrize(
    ("what", "kind", "before", "after", "told"), FORBIDDEN_CHANGES, ids=[row[0] for row in FORBIDDEN_CHANGES]
)
def test_what_nodes_rely_on_cannot_be_changed(
    cluster: Cluster, what: str, kind: str, before: Spec, after: Spec, told: str
) -> None:
    stored = manifest(kind, {**before, "nodeSelector": {"matchLabels": {"no-node": "has-this"}}}, "immutable")
    cluster.kubectl("create", "-f", "-", stdin=json.dumps(stored))

    try:
        with pytest.raises(CommandFailedError, match=told):
            change(cluster, kind, "immutable", {**dict.fromkeys(before), **after})
    finally:
        cluster.kubectl("delete", kind, "immutable", "--timeout=30s")


def test_a_default_written_out_is_no_change(cluster: Cluster) -> None:
    selector = {"nodeSelector": {"matchLabels": {"no-node": "has-this"}}}
    stored = manifest("IPPool", {"cidrs": ["10.99.0.0/16"], **selector}, "explicit")
    cluster.kubectl("create", "-f", "-", stdin=json.dumps(stored))

    change(cluster, "IPPool", "explicit", {"blockSize": 26})

    cluster.kubectl("delete", "ippool", "explicit", "--timeout=30s")


def test_the_examples_apply_and_apply_again_without_a_diff(cluster: Cluster) -> None:
    applied = ["--server-side", "--force-conflicts", "-f", str(ROOT / "crds/examples")]
    versions = ["get", "-f", str(ROOT / "crds/examples"), "-o", "jsonpath={..metadata.generation}"]
    cluster.kubectl("apply", *applied)
    before = cluster.kubectl(*versions)

    cluster.kubectl("diff", *applied)
    cluster.kubectl("apply", *applied)

    assert cluster.kubectl(*versions) == before


def test_the_cluster_has_the_shipped_schemas(cluster: Cluster) -> None:
    """`kubectl diff` fails on any difference; what the chart adds (labels, annotations) is none."""
    cluster.kubectl("diff", "--server-side", "--force-conflicts", "-f", str(ROOT / "crds"))


def test_nobody_reads_a_new_object_as_current(cluster: Cluster) -> None:
    """kstatus compares observedGeneration; a new object must never look reconciled."""
    told = cluster.kubectl(
        "create", "--dry-run=server", "-o", "json", "-f", "-", stdin=json.dumps(manifest("IPPool", POOL))
    )

    assert json.loads(told)["status"]["observedGeneration"] == -1


@pytest.mark.parametrize(
    ("field", "words"),
    [
        ("ippool.spec.blockSize", "Prefix length of the blocks"),
        ("ipp.spec.state", "Draining grants none"),
        ("bgppeer.spec.acceptedPrefixLengths", "Prefix lengths that the router accepts"),
        ("nodenetwork.status.ipam", "Addresses by pool"),
    ],
)
def test_explain_explains(cluster: Cluster, field: str, words: str) -> None:
    assert words in " ".join(cluster.kubectl("explain", field).split())


def test_all_kinds_answer_to_the_category_and_short_names(cluster: Cluster) -> None:
    listed = cluster.kubectl("api-resources", "--categories=fairlead", "--no-headers")

    for short in ("ipp", "bgpp", "nn"):
        assert f" {short} " in listed


@pytest.mark.parametrize("kind", ["ippools", "bgppeers", "nodenetworks"])
def test_kubectl_wait_sees_every_object_become_ready(cluster: Cluster, kind: str) -> None:
    wait = ["wait", "--for=condition=Ready", kind, "--all", "--timeout=90s"]

    assert "condition met" in cluster.kubectl(*wait, timeout_s=120)
