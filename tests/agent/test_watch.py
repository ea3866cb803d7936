"""The agent's door to its NodeNetwork: what is offered, what is written, what a missing server means."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from fairlead_agent.ports import PortError
from fairlead_agent.watch import NODE_NETWORKS, FileSource, KubeSource
from fairlead_core.api import NodeNetworkStatus, SecretRef
from fairlead_kube.errors import KubeError
from tests.fakes.api_server import FakeAPIServer, Fault

SECRETS = "/api/v1/namespaces/fairlead-system/secrets"
SPEC = {
    "revision": 3,
    "blocks": [{"cidr": "10.0.0.0/26", "pool": "four", "state": "Active"}],
    "pools": [{"name": "four", "family": "IPv4", "cooldownSeconds": 30}],
}


@pytest.fixture
def api() -> Iterator[FakeAPIServer]:
    with FakeAPIServer({NODE_NETWORKS: "NodeNetwork", SECRETS: "Secret"}) as server:
        yield server


def kubeconfig(directory: Path, url: str) -> dict[str, str]:
    """The environment of an agent whose kubeconfig leads to `url`."""
    document = {
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u", "namespace": "fairlead-system"}}],
        "clusters": [{"name": "c", "cluster": {"server": url}}],
        "users": [{"name": "u", "user": {}}],
    }
    path = directory / "kubeconfig"
    path.write_text(json.dumps(document))
    return {"KUBECONFIG": str(path)}


class Following:
    """A source of node7 with what it told."""

    def __init__(self, directory: Path, url: str) -> None:
        self.woken = 0
        self.troubles: list[KubeError] = []
        self.source = KubeSource("node7", kubeconfig(directory, url), self.troubles.append)
        self.source.start(self.wake)

    def wake(self) -> None:
        self.woken += 1


def test_the_own_object_is_offered_with_its_generation(api: FakeAPIServer, tmp_path: Path) -> None:
    api.put(NODE_NETWORKS, {"metadata": {"name": "node7"}, "spec": SPEC})

    following = Following(tmp_path, api.url)

    api.wait(lambda: following.source.offered() is not None)
    offer = following.source.offered()
    assert offer is not None
    assert (offer.spec.revision, offer.generation) == (3, 1)
    assert following.source.age_s() < 10


def test_news_wake_the_loop_and_the_own_status_is_no_news(api: FakeAPIServer, tmp_path: Path) -> None:
    api.put(NODE_NETWORKS, {"metadata": {"name": "node7"}, "spec": SPEC})
    following = Following(tmp_path, api.url)
    api.wait(lambda: following.woken == 1)

    following.source.publish(NodeNetworkStatus(observed_generation=1, revision=3))
    api.put(NODE_NETWORKS, {"metadata": {"name": "node7"}, "spec": {**SPEC, "revision": 4}})

    api.wait(lambda: following.woken == 2)
    offer = following.source.offered()
    assert offer is not None
    assert offer.spec.revision == 4


def test_the_status_is_applied_as_the_agents_own(api: FakeAPIServer, tmp_path: Path) -> None:
    api.put(NODE_NETWORKS, {"metadata": {"name": "node7"}, "spec": SPEC})
    following = Following(tmp_path, api.url)

    following.source.publish(NodeNetworkStatus(observed_generation=1, revision=3, agent_version="0.1.0"))

    stored = api.get(f"{NODE_NETWORKS}/node7")
    assert stored["status"]["revision"] == 3
    assert stored["spec"] == SPEC
    assert list(api.owners[f"{NODE_NETWORKS}/node7"]) == ["fairlead-agent/status"]


def test_a_status_without_an_object_or_a_server_is_an_error_that_says_so(
    api: FakeAPIServer, tmp_path: Path
) -> None:
    following = Following(tmp_path, api.url)
    with pytest.raises(PortError, match="node7"):
        following.source.publish(NodeNetworkStatus())

    api.faults.append(Fault("PATCH", "nodenetworks", cut=True))
    with pytest.raises(PortError, match="PATCH"):
        following.source.publish(NodeNetworkStatus())


def test_a_secret_that_is_not_there_differs_from_a_server_that_is_not(
    api: FakeAPIServer, tmp_path: Path
) -> None:
    source = Following(tmp_path, api.url).source
    password = base64.b64encode(b"s3cret").decode()
    api.put(SECRETS, {"metadata": {"name": "bgp"}, "data": {"tor": password, "raw": "/w=="}})

    assert source.secret(SecretRef("bgp", "tor")) == "s3cret"
    assert source.secret(SecretRef("bgp", "other")) is None
    assert source.secret(SecretRef("absent", "tor")) is None
    with pytest.raises(PortError, match="not text"):
        source.secret(SecretRef("bgp", "raw"))
    api.faults.append(Fault("GET", "secrets", status=503))
    with pytest.raises(PortError, match="secrets"):
        source.secret(SecretRef("bgp", "tor"))


def test_a_configuration_that_comes_later_is_found(api: FakeAPIServer, tmp_path: Path) -> None:
    api.put(NODE_NETWORKS, {"metadata": {"name": "node7"}, "spec": SPEC})
    env = kubeconfig(tmp_path, api.url)
    Path(env["KUBECONFIG"]).rename(tmp_path / "later")
    troubles: list[KubeError] = []
    source = KubeSource("node7", env, troubles.append)
    source.start(lambda: None)
    assert source.offered() is None
    assert source.age_s() == float("inf")

    (tmp_path / "later").rename(env["KUBECONFIG"])

    api.wait(lambda: source.offered() is not None)
    assert troubles


def test_a_file_is_read_anew_each_time(tmp_path: Path) -> None:
    path = tmp_path / "spec.json"
    source = FileSource(path)
    assert source.offered() is None

    path.write_text(json.dumps(SPEC))
    first = source.offered()
    path.write_text("{")

    assert first is not None
    assert first.spec.revision == 3
    with pytest.raises(PortError, match="decode"):
        source.offered()
