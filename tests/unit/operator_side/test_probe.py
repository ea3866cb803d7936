"""What kubelet and Prometheus get, and what the environment may say."""

from __future__ import annotations

import urllib.error
import urllib.request

import pytest

from fairlead_core.api import Condition
from fairlead_core.snapshot import BlockTally, ClusterPlan
from fairlead_operator.events import events_of
from fairlead_operator.metrics import Metrics, Probe
from fairlead_operator.notices import kopf_settings
from fairlead_operator.settings import read_settings


def fetch(probe: Probe, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{probe.port}{path}", timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_the_probe_tells_what_is_wrong() -> None:
    metrics = Metrics()
    metrics.planned(ClusterPlan(tallies={"blue": BlockTally(10, 3, 1)}))
    probe = Probe(("127.0.0.1", 0), metrics, lambda: "", lambda: "no pass is complete yet")
    probe.start()

    assert fetch(probe, "/healthz") == (200, "ok\n")
    assert fetch(probe, "/readyz") == (503, "no pass is complete yet\n")
    assert fetch(probe, "/nothing")[0] == 404
    assert 'fairlead_pool_blocks{pool="blue",state="free"} 6.0' in fetch(probe, "/metrics")[1]
    probe.shutdown()


def test_one_message_is_one_event() -> None:
    same = {
        "status": "True",
        "reason": "NoBlockLeft",
        "message": "pool blue: nothing left",
        "last_transition_time": "",
    }
    turned = (Condition("Exhausted", **same), Condition("Ready", **{**same, "status": "False"}))

    events = events_of("IPPool", "blue", "uid", turned, "op-0")

    assert [(event["note"], event["type"]) for event in events] == [("pool blue: nothing left", "Warning")]
    assert events[0]["regarding"] == {
        "apiVersion": "fairlead.dev/v1alpha1", "kind": "IPPool", "name": "blue", "uid": "uid",
    }  # fmt: skip


def test_a_variable_that_is_no_number_is_named() -> None:
    with pytest.raises(ValueError, match="FAIRLEAD_METRICS_PORT: 'http' is no number"):
        read_settings({"POD_NAME": "op", "FAIRLEAD_METRICS_PORT": "http"})


def test_the_pod_gives_identity_and_namespace() -> None:
    env = {"POD_NAME": "op-7", "POD_NAMESPACE": "net", "FAIRLEAD_NODE_GONE_GRACE_SECONDS": "60"}

    settings = read_settings(env)

    assert (settings.namespace, settings.node_gone_grace_s) == ("net", 60)
    assert settings.identity.startswith("op-7_")


def test_a_process_restarted_in_the_same_pod_is_another_candidate() -> None:
    env = {"POD_NAME": "op-7"}

    assert read_settings(env).identity != read_settings(env).identity


def test_kopf_keeps_nothing_of_its_own_on_objects() -> None:
    settings = kopf_settings()

    assert settings.persistence.finalizer == "fairlead.dev/kopf"
    assert settings.peering.standalone
    assert not settings.posting.enabled
