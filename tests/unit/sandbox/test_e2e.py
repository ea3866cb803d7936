"""How Kubernetes' own tests are called."""

from pathlib import Path

from sandbox import e2e
from sandbox.state import State
from sandbox.topology import topology

PLACE = State(Path("/srv/cluster"))


def test_the_suite_is_told_the_cluster_its_size_and_what_to_run() -> None:
    words = e2e.flags(PLACE, topology("", 2), focus="Pods", skip="Slow", reports="/srv/reports")

    assert "--kubeconfig=/srv/cluster/kubeconfig" in words
    assert "--num-nodes=2" in words
    assert "--ginkgo.focus=Pods" in words
    assert "--ginkgo.skip=Slow" in words


def test_nothing_is_skipped_by_an_empty_expression() -> None:
    words = e2e.flags(PLACE, topology("", 2), focus="Pods", skip="", reports="/srv/reports")

    assert not any(word.startswith("--ginkgo.skip") for word in words)
