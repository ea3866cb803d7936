"""Requests say what was asked, what came back and why it is not usable."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
import yaml

from fairlead_kube.client import KubeClient
from fairlead_kube.config import KubeConfig, from_kubeconfig, in_cluster, load
from fairlead_kube.credentials import Credentials
from fairlead_kube.errors import KubeError
from tests.fakes.api_server import FakeAPIServer, Fault

POOLS = "/apis/fairlead.dev/v1alpha1/ippools"
BLUE = f"{POOLS}/blue"


class Spec(msgspec.Struct):
    cidrs: list[str] = []


class Pool(msgspec.Struct):
    spec: Spec


@pytest.fixture
def api() -> Iterator[FakeAPIServer]:
    with FakeAPIServer({POOLS: "IPPool"}) as server:
        yield server


@pytest.fixture
def client(api: FakeAPIServer) -> KubeClient:
    return KubeClient(api.config())


def applied(**spec: object) -> dict[str, object]:
    return {
        "apiVersion": "fairlead.dev/v1alpha1",
        "kind": "IPPool",
        "metadata": {"name": "blue"},
        "spec": spec,
    }


def test_apply_creates_changes_and_removes_only_what_its_manager_owns(
    api: FakeAPIServer, client: KubeClient
) -> None:
    client.apply(BLUE, applied(cidrs=["10.0.0.0/16"], state="Active"), "one")
    client.apply(BLUE, applied(reserved=["10.0.0.1"]), "two")
    client.apply(BLUE, applied(cidrs=["10.1.0.0/16"]), "one")

    assert api.get(BLUE)["spec"] == {"cidrs": ["10.1.0.0/16"], "reserved": ["10.0.0.1"]}


def test_an_apply_without_a_difference_changes_no_version(api: FakeAPIServer, client: KubeClient) -> None:
    client.apply(BLUE, applied(cidrs=["10.0.0.0/16"]), "one")
    before = api.version

    client.apply(BLUE, applied(cidrs=["10.0.0.0/16"]), "one")

    assert api.version == before


def test_a_status_apply_leaves_the_spec_alone(api: FakeAPIServer, client: KubeClient) -> None:
    client.apply(BLUE, applied(cidrs=["10.0.0.0/16"]), "one")

    client.apply(
        BLUE, {"spec": {"cidrs": []}, "status": {"observedGeneration": 1}}, "one", subresource="status"
    )

    assert api.get(BLUE)["spec"] == {"cidrs": ["10.0.0.0/16"]}
    assert api.get(BLUE)["status"] == {"observedGeneration": 1}


def test_objects_come_typed(api: FakeAPIServer, client: KubeClient) -> None:
    api.put(POOLS, applied(cidrs=["10.0.0.0/16"]))

    assert client.get(BLUE, Pool).spec.cidrs == ["10.0.0.0/16"]
    assert [pool.spec.cidrs for pool in client.list(POOLS, Pool).items] == [["10.0.0.0/16"]]


def test_an_absent_object_is_not_found(client: KubeClient) -> None:
    with pytest.raises(KubeError, match=r"GET .*ippools/blue: 404 NotFound") as caught:
        client.get(BLUE)

    assert caught.value.not_found


def test_a_delete_of_another_uid_is_a_conflict(api: FakeAPIServer, client: KubeClient) -> None:
    api.put(POOLS, applied())

    with pytest.raises(KubeError) as caught:
        client.delete(BLUE, uid="somebody-else")

    assert caught.value.conflict
    assert api.names(POOLS) == ["blue"]


def test_no_server_is_unreachable_and_named() -> None:
    client = KubeClient(KubeConfig(server="http://127.0.0.1:1"))

    with pytest.raises(KubeError, match=r"GET /version at http://127.0.0.1:1: ") as caught:
        client.get("/version")

    assert caught.value.unreachable


def test_a_page_of_a_proxy_is_quoted_not_parsed(api: FakeAPIServer, client: KubeClient) -> None:
    api.faults.append(Fault("GET", "blue", status=502, body=b"<html>bad gateway</html>"))

    with pytest.raises(KubeError, match="502 BadAnswer: <html>bad gateway"):
        client.get(BLUE)


def test_an_empty_200_is_no_object(api: FakeAPIServer, client: KubeClient) -> None:
    api.faults.append(Fault("GET", "blue", status=200, body=b""))

    with pytest.raises(KubeError) as caught:
        client.get(BLUE, Pool)

    assert caught.value.reason == "BadAnswer"


def test_a_rotated_token_file_is_read_again(api: FakeAPIServer, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("first\n")
    client = KubeClient(KubeConfig(server=api.url, token_file=tmp_path / "token"))
    client.list(POOLS, Pool)
    (tmp_path / "token").write_text("second\n")
    client.list(POOLS, Pool)

    assert [seen["Authorization"] for seen in api.headers] == ["Bearer first", "Bearer second"]


def test_in_cluster_configuration_brackets_an_ipv6_host(tmp_path: Path) -> None:
    for name, content in (("token", "t"), ("ca.crt", "pem"), ("namespace", "fairlead-system")):
        (tmp_path / name).write_text(content)

    config = in_cluster({"KUBERNETES_SERVICE_HOST": "fd00::1", "KUBERNETES_SERVICE_PORT": "6443"}, tmp_path)

    assert config.server == "https://[fd00::1]:6443"
    assert config.namespace == "fairlead-system"


def kubeconfig(tmp_path: Path, user: dict[str, object]) -> Path:
    document = {
        "current-context": "main",
        "contexts": [{"name": "main", "context": {"cluster": "c", "user": "u", "namespace": "ns"}}],
        "clusters": [
            {"name": "c", "cluster": {"server": "https://x:6443/", "certificate-authority": "ca.pem"}}
        ],
        "users": [{"name": "u", "user": user}],
    }
    (tmp_path / "ca.pem").write_text("CA")
    path = tmp_path / "config"
    path.write_text(yaml.safe_dump(document))
    return path


def test_a_kubeconfig_gives_server_identity_and_namespace(tmp_path: Path) -> None:
    pem = base64.b64encode(b"CERT").decode()

    config = from_kubeconfig(kubeconfig(tmp_path, {"client-certificate-data": pem, "client-key-data": pem}))

    assert (config.server, config.ca_pem, config.cert_pem, config.namespace) == (
        "https://x:6443",
        b"CA",
        b"CERT",
        "ns",
    )


def test_the_kubeconfig_variable_wins_over_the_pod_and_home(tmp_path: Path) -> None:
    path = kubeconfig(tmp_path, {"token": "secret"})

    assert load({"KUBECONFIG": f"/absent:{path}", "KUBERNETES_SERVICE_HOST": "10.96.0.1"}).token == "secret"


def test_an_unknown_context_is_named(tmp_path: Path) -> None:
    with pytest.raises(KubeError, match="contexts has no entry 'other'"):
        from_kubeconfig(kubeconfig(tmp_path, {}), context="other")


def test_an_exec_plugin_gives_the_token(tmp_path: Path) -> None:
    user = {"exec": {"command": "sh", "args": ["-c", 'echo "{\\"status\\":{\\"token\\":\\"$WHO\\"}}"'],
                     "env": [{"name": "WHO", "value": "me"}]}}  # fmt: skip

    assert Credentials(from_kubeconfig(kubeconfig(tmp_path, user))).token() == "me"
