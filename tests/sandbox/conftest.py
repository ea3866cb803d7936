"""The cluster under test: `make up` has started it."""

from collections.abc import Iterator

import pytest

from tests.sandbox.cluster import Cluster, current


@pytest.fixture(scope="session")
def cluster() -> Cluster:
    found = current()
    if not (found.state / "kubeconfig").exists():
        pytest.fail("the sandbox cluster is not running: `make up` starts it", pytrace=False)
    return found


@pytest.fixture
def namespace(cluster: Cluster, request: pytest.FixtureRequest) -> Iterator[str]:
    """A namespace of the test's own, gone afterwards with all its pods."""
    name = "t-" + request.node.name.split("[")[0].removeprefix("test_").replace("_", "-")[:40].rstrip("-")
    cluster.kubectl("create", "namespace", name)
    yield name
    cluster.kubectl("delete", "namespace", name, "--wait=true", "--timeout=120s", timeout_s=150)
