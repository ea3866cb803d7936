"""What the chart makes of values, as rendered text. FAIRLEAD_UPDATE_GOLDEN=1 renews the files."""

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.sandbox.cluster import current
from tests.unit.crds.schemas import KINDS, definition

pytestmark = pytest.mark.sandbox  # needs helm, which the sandbox builds

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
CHART = ROOT / "charts/fairlead"
KUBERNETES = "1.36.3"


def helm(*args: str) -> subprocess.CompletedProcess[str]:
    program = current().state / "bin/helm"
    return subprocess.run([str(program), *args], capture_output=True, text=True, timeout=60, check=False)


def render(*args: str) -> str:
    done = helm(
        "template", "fairlead", str(CHART), "-n", "fairlead-system", "--kube-version", KUBERNETES, *args
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def without_crds(rendered: str) -> str:
    """The golden files leave CRDs out: crds/ has them, and a test below compares."""
    parts = rendered.split("\n---\n")
    return "\n---\n".join(part for part in parts if "kind: CustomResourceDefinition" not in part)


@pytest.mark.parametrize("name", ["minimal", "everything", "bare"])
def test_the_chart_renders_as_before(name: str) -> None:
    golden = HERE / f"rendered-{name}.yaml"

    rendered = without_crds(render("-f", str(HERE / f"values-{name}.yaml")))

    if os.environ.get("FAIRLEAD_UPDATE_GOLDEN"):
        golden.write_text(rendered)
    assert rendered == golden.read_text()


def test_the_chart_installs_the_schemas_of_crds_and_keeps_them() -> None:
    rendered: list[dict[str, Any]] = [one for one in yaml.safe_load_all(render()) if one]
    crds = {
        one["spec"]["names"]["kind"]: one for one in rendered if one["kind"] == "CustomResourceDefinition"
    }

    assert set(crds) == set(KINDS)
    for kind, crd in crds.items():
        assert crd["spec"] == definition(kind)["spec"]
        assert crd["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"


def test_helm_lint_finds_nothing() -> None:
    done = helm("lint", "--strict", str(CHART), "--kube-version", KUBERNETES)

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ("agent.mtu=100", "/agent/mtu"),
        ("k8sServiceHost=https://10.0.0.1", "/k8sServiceHost"),
        ("k8sServicePort=0", "/k8sServicePort"),
        ("agent.maxUnavailable=0", "/agent/maxUnavailable"),
        ("image.pulPolicy=Always", "pulPolicy"),
        ("operator.replicas=many", "/operator/replicas"),
    ],
)
def test_a_wrong_value_is_refused_by_its_name(setting: str, told: str) -> None:
    done = helm("template", str(CHART), "--kube-version", KUBERNETES, "--set", setting)

    assert done.returncode != 0
    assert told in done.stderr
