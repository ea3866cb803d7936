"""A token of the agents writes the status of its own node's NodeNetwork, and nothing else."""

from collections.abc import Iterator

import pytest

from fairlead_core.api import API_VERSION
from fairlead_kube.client import APPLY_PATCH, JSON, KubeClient
from fairlead_kube.config import KubeConfig, load
from fairlead_kube.errors import KubeError
from tests.sandbox.cluster import Cluster

pytestmark = pytest.mark.sandbox

NAMESPACE = "fairlead-system"
GROUP = f"/apis/{API_VERSION}"
NETWORKS = f"{GROUP}/nodenetworks"


def client(cluster: Cluster, *bound: str) -> KubeClient:
    """A client with a fresh token of the agents' service account."""
    token = cluster.kubectl("create", "token", "fairlead-agent", "-n", NAMESPACE, "--duration=10m", *bound)
    admin = load({"KUBECONFIG": str(cluster.state / "kubeconfig")})
    header = f"Bearer {token.strip()}"
    return KubeClient(KubeConfig(server=admin.server, ca_file=admin.ca_file, authorization=lambda: header))


@pytest.fixture(scope="module")
def node1(cluster: Cluster) -> Iterator[KubeClient]:
    """Somebody who took the token of node1's agent."""
    agents = cluster.get("pods", "-n", NAMESPACE, "-l", "app.kubernetes.io/component=agent")["items"]
    (name,) = (pod["metadata"]["name"] for pod in agents if pod["spec"]["nodeName"] == "node1")
    thief = client(cluster, "--bound-object-kind=Pod", f"--bound-object-name={name}")
    yield thief
    thief.close()


def attempt(who: KubeClient, method: str, path: str, body: object = None, content_type: str = JSON) -> str:
    """ "" when the API server would do it, else its refusal. A dry run: nothing is stored."""
    query = {"dryRun": "All"} | ({"fieldManager": "thief", "force": "true"} if body else {})
    try:
        who.request(method, path, query=query, body=body, content_type=content_type)
    except KubeError as error:
        if error.status != 403:
            raise
        return error.message
    return ""


def apply(who: KubeClient, node: str, subresource: str, **fields: object) -> str:
    body = {"apiVersion": API_VERSION, "kind": "NodeNetwork", "metadata": {"name": node}, **fields}
    path = f"{NETWORKS}/{node}{subresource}"
    return attempt(who, "PATCH", path, body, APPLY_PATCH)


def test_an_agent_writes_the_status_of_its_own_node(node1: KubeClient) -> None:
    assert apply(node1, "node1", "/status", status={"revision": 7}) == ""


def test_an_agent_cannot_write_the_status_of_another_node(node1: KubeClient) -> None:
    told = apply(node1, "node2", "/status", status={"blocks": []})

    assert "the agent of node node1 may write only the NodeNetwork of its own node, not node2" in told


def test_a_token_that_is_bound_to_no_pod_writes_nothing(cluster: Cluster) -> None:
    told = apply(client(cluster), "node1", "/status", status={"revision": 7})

    assert "its token is not bound to a pod on a node" in told
    assert "not node1" in told


def test_an_agent_cannot_write_a_spec_not_even_its_own(node1: KubeClient) -> None:
    assert "cannot patch resource" in apply(node1, "node1", "", spec={"revision": 99})
    assert "cannot patch resource" in apply(node1, "node2", "", spec={"revision": 99})


def test_an_agent_cannot_create_or_delete_a_node_network(node1: KubeClient) -> None:
    body = {"apiVersion": API_VERSION, "kind": "NodeNetwork", "metadata": {"name": "node9"}, "spec": {}}

    assert "cannot create resource" in attempt(node1, "POST", NETWORKS, body)
    assert "cannot delete resource" in attempt(node1, "DELETE", f"{NETWORKS}/node1")


@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/pods",
        "/api/v1/nodes",
        "/api/v1/secrets",
        f"/api/v1/namespaces/{NAMESPACE}/secrets",
        "/api/v1/namespaces/kube-system/secrets/any",
        "/api/v1/configmaps",
        f"{GROUP}/ippools",
        f"{GROUP}/bgppeers",
    ],
)
def test_an_agent_cannot_read_what_it_does_not_need(node1: KubeClient, path: str) -> None:
    assert "forbidden" in attempt(node1, "GET", path)


def test_the_operator_cannot_write_what_agents_report(cluster: Cluster) -> None:
    """One writer per field, also against ourselves."""
    who = "--as=system:serviceaccount:fairlead-system:fairlead-operator"

    refused = [
        ["patch", "nodenetworks", "--subresource=status"],
        ["update", "nodes"],
        ["get", "secrets"],
        ["list", "pods"],
    ]
    for words in refused:
        assert cluster.kubectl("auth", "can-i", *words, who, check=False).strip() == "no", words
