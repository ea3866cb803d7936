"""The program as a shell sees it: output, exit code, one line when there is no answer.

Golden files of the tables: FAIRLEAD_UPDATE_GOLDEN=1 renews them.
"""

import json
import os
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner, Result

from fairlead_cli import __version__
from fairlead_cli.main import app
from tests.fakes.api_server import FakeAPIServer, Fault
from tests.unit.cli.clusters import OBJECTS, Object, network, pod, pool, ready

ROOT = Path(__file__).resolve().parents[3]
GOLDEN = ROOT / "tests/golden/cli"
API = "/apis/fairlead.dev/v1alpha1"
COLLECTIONS = {
    f"{API}/ippools": "IPPool",
    f"{API}/bgppeers": "BGPPeer",
    f"{API}/nodenetworks": "NodeNetwork",
    "/api/v1/nodes": "Node",
    "/api/v1/pods": "Pod",
}
PLACES = dict(zip(("pools", "peers", "networks", "nodes"), COLLECTIONS, strict=False))
LEASE = "/apis/coordination.k8s.io/v1/namespaces/fairlead-system/leases"


def fill(api: FakeAPIServer, objects: dict[str, list[Object]]) -> None:
    for name, collection in PLACES.items():
        for one in objects[name]:
            # The fake counts generations itself, from 1.
            metadata = {key: value for key, value in one["metadata"].items() if key != "generation"}
            api.put(collection, {**one, "metadata": metadata})
    for one in objects["pods"]:
        api.put(f"/api/v1/namespaces/{one['metadata']['namespace']}/pods", one)
    api.put(LEASE, {"metadata": {"name": "fairlead-operator"}, "spec": {"holderIdentity": "operator-node1"}})


@pytest.fixture
def api() -> Iterator[FakeAPIServer]:
    namespaced = {f"/api/v1/namespaces/{name}/pods": "Pod" for name in ("fairlead-system", "default")}
    with FakeAPIServer({**COLLECTIONS, **namespaced, LEASE: "Lease"}) as running:
        yield running


@pytest.fixture
def healthy(api: FakeAPIServer) -> FakeAPIServer:
    fill(api, OBJECTS)
    return api


def kubeconfig(directory: Path, server: str) -> Path:
    file = directory / "kubeconfig"
    named = {"cluster": "only", "user": "me"}
    document = {
        "current-context": "here",
        "contexts": [{"name": "here", "context": named}],
        "clusters": [{"name": "only", "cluster": {"server": server}}],
        "users": [{"name": "me", "user": {}}],
    }
    file.write_text(yaml.safe_dump(document))
    return file


def ask(api: FakeAPIServer, directory: Path, *words: str) -> Result:
    return CliRunner().invoke(app, [*words, "--kubeconfig", str(kubeconfig(directory, api.url))])


def assert_golden(name: str, text: str) -> None:
    file = GOLDEN / f"{name}.txt"
    if os.environ.get("FAIRLEAD_UPDATE_GOLDEN"):
        file.write_text(text)
    assert text == file.read_text()


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("status", ["status"]),
        ("status-wide", ["status", "-o", "wide"]),
        ("ipam", ["ipam"]),
        ("ipam-wide", ["ipam", "-o", "wide"]),
        ("bgp", ["bgp"]),
        ("bgp-wide", ["bgp", "-o", "wide"]),
        ("why", ["ipam", "why", "node1"]),
    ],
)
def test_a_healthy_cluster_prints_as_before(
    healthy: FakeAPIServer, tmp_path: Path, name: str, words: list[str]
) -> None:
    said = ask(healthy, tmp_path, *words)

    assert (said.exit_code, said.stderr) == (0, "")
    assert_golden(name, said.stdout)


def test_a_degraded_cluster_names_every_problem_and_exits_1(api: FakeAPIServer, tmp_path: Path) -> None:
    full = pool("pods-v4", "10.244.0.0/16", ready("pool pods-v4: no block left for node2", "False"))
    silent = network("node2", 64, bgp={"peers": []}, conditions=[], revision=2)
    fill(api, {**OBJECTS, "pools": [full], "networks": [network("node1", 0), silent]})

    said = ask(api, tmp_path, "status")
    differing = ask(api, tmp_path, "bgp")

    assert (said.exit_code, differing.exit_code) == (1, 1)
    assert_golden("status-degraded", said.stdout)
    assert_golden("bgp-degraded", differing.stdout)


@pytest.mark.parametrize("words", [["status"], ["ipam"], ["bgp"], ["ipam", "why", "node1"]])
def test_every_answer_is_also_json(healthy: FakeAPIServer, tmp_path: Path, words: list[str]) -> None:
    said = ask(healthy, tmp_path, *words, "-o", "json")

    assert said.exit_code == 0
    assert isinstance(json.loads(said.stdout), dict)


def test_json_names_fields_as_kubernetes_does(healthy: FakeAPIServer, tmp_path: Path) -> None:
    told = json.loads(ask(healthy, tmp_path, "status", "-o", "json").stdout)

    assert told["healthy"] is True
    assert told["operatorsReady"] == 2
    assert told["nodes"][0]["ipv4"] == {"used": 6, "total": 64, "cooling": 2, "free": 56}


def test_an_address_and_a_pod_lead_to_each_other(healthy: FakeAPIServer, tmp_path: Path) -> None:
    healthy.put("/api/v1/namespaces/default/pods", pod("web", "node1", "10.244.0.5", "fd00:244::5"))

    by_address = ask(healthy, tmp_path, "ipam", "show", "fd00:244::5")
    by_pod = ask(healthy, tmp_path, "ipam", "show", "default/web")

    assert "is held by pod default/web on node1" in by_address.stdout
    assert by_pod.stdout.splitlines()[1] == by_address.stdout.strip()
    assert (by_address.exit_code, by_pod.exit_code) == (0, 0)


def test_a_pod_that_does_not_exist_is_one_line_and_exit_code_1(
    healthy: FakeAPIServer, tmp_path: Path
) -> None:
    said = ask(healthy, tmp_path, "ipam", "show", "default/nobody")

    assert (said.exit_code, said.stdout) == (1, "")
    assert said.stderr == "fairlead: there is no pod default/nobody\n"


def test_an_unreachable_cluster_is_one_line_and_exit_code_2(tmp_path: Path) -> None:
    nowhere = kubeconfig(tmp_path, "http://127.0.0.1:1")

    said = CliRunner().invoke(app, ["status", "--kubeconfig", str(nowhere)])

    assert (said.exit_code, said.stdout) == (2, "")
    assert said.stderr.startswith("fairlead: cannot reach the API server: ")
    assert "http://127.0.0.1:1" in said.stderr
    assert said.stderr.count("\n") == 1


def test_a_cluster_without_our_kinds_says_what_to_install(tmp_path: Path) -> None:
    with FakeAPIServer({"/api/v1/nodes": "Node"}) as bare:
        said = ask(bare, tmp_path, "status")

    hint = "install the chart (helm install fairlead charts/fairlead)"
    assert said.exit_code == 2
    assert said.stderr == f"fairlead: {bare.url} has no Fairlead CRDs: {hint}\n"


@pytest.mark.parametrize(("status", "words"), [(403, "forbids it"), (401, "does not know who you are")])
def test_who_may_not_ask_is_told_so(healthy: FakeAPIServer, tmp_path: Path, status: int, words: str) -> None:
    healthy.faults.append(Fault("GET", "/ippools", status=status, times=9))

    said = ask(healthy, tmp_path, "ipam")

    assert said.exit_code == 2
    assert words in said.stderr


def test_a_missing_kubeconfig_or_context_is_named(healthy: FakeAPIServer, tmp_path: Path) -> None:
    lost = CliRunner().invoke(app, ["status", "--kubeconfig", str(tmp_path / "none")])
    wrong = ask(healthy, tmp_path, "status", "--context", "there")

    assert (lost.exit_code, wrong.exit_code) == (2, 2)
    assert str(tmp_path / "none") in lost.stderr
    assert "name there in" in wrong.stderr


def test_who_may_not_read_pods_still_gets_a_status(healthy: FakeAPIServer, tmp_path: Path) -> None:
    healthy.faults.append(Fault("GET", "/api/v1/pods", status=403, times=9))

    said = ask(healthy, tmp_path, "status")

    assert said.exit_code == 0
    assert "Unknown" in said.stdout


def test_the_program_has_the_version_of_the_package() -> None:
    package = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]

    assert CliRunner().invoke(app, ["version"]).stdout == f"fairlead {package}\n"
    assert __version__ == package
