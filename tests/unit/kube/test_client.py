"""Requests say what was asked, what came back and why it is not usable."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import msgspec
import pytest

from fairlead_kube.client import KubeClient
from fairlead_kube.config import KubeConfig, token_file
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
    client = KubeClient(KubeConfig(server=api.url, authorization=partial(token_file, tmp_path / "token")))
    client.list(POOLS, Pool)
    (tmp_path / "token").write_text("second\n")
    client.list(POOLS, Pool)

    assert [seen["Authorization"] for seen in api.headers] == ["Bearer first", "Bearer second"]
