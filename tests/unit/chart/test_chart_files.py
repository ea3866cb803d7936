"""What the chart's files promise, checked without helm."""

import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import yaml

ROOT = Path(__file__).resolve().parents[3]
CHART = ROOT / "charts/fairlead"


def keys(value: dict[str, Any], where: str = "") -> Iterator[str]:
    for name, child in value.items():
        yield f"{where}{name}"
        if isinstance(child, dict):
            yield from keys(child, f"{where}{name}.")


def test_the_chart_carries_the_crds_of_this_repository() -> None:
    """`cp crds/*.yaml charts/fairlead/files/crds/` makes them equal again."""
    ours = {file.name: file.read_text() for file in (ROOT / "crds").glob("*.yaml")}
    shipped = {file.name: file.read_text() for file in (CHART / "files/crds").glob("*.yaml")}

    assert shipped == ours


def test_chart_and_package_have_one_version() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    package = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]

    assert (chart["version"], chart["appVersion"]) == (package, package)


def test_the_default_values_fit_their_schema() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())

    jsonschema.Draft7Validator(schema).validate(yaml.safe_load((CHART / "values.yaml").read_text()))


def test_the_schema_knows_exactly_the_values_that_exist() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())
    values = yaml.safe_load((CHART / "values.yaml").read_text())

    def known(node: dict[str, Any], where: str = "") -> Iterator[str]:
        for name, child in node.get("properties", {}).items():
            yield f"{where}{name}"
            if child.get("additionalProperties") is False and name != "resources":
                yield from known(child, f"{where}{name}.")

    inside = re.compile(r"(resources|nodeSelector|labels)\.")
    assert set(known(schema)) - {"global"} == {key for key in keys(values) if not inside.search(key)}


def test_every_value_is_documented() -> None:
    """The line above a value is a comment, or its neighbour of the same thought."""
    lines = (CHART / "values.yaml").read_text().splitlines()

    mute = [
        line
        for above, line in zip(["", *lines], lines, strict=False)
        if re.match(r"^ *[a-zA-Z0-9]+: *\S", line)
        and not above.lstrip().startswith("#")
        and not above.lstrip().startswith(("k8sServiceHost", "resources:", "requests:"))
    ]

    assert mute == []


def test_nothing_but_the_agent_is_privileged() -> None:
    text = {file.name: file.read_text() for file in (CHART / "templates").glob("*.yaml")}

    assert {name for name, body in text.items() if "privileged: true" in body} == {"agent.yaml"}
    assert text["agent.yaml"].count("privileged: true") == 1


def test_the_agents_role_has_no_write_but_the_status_of_node_networks() -> None:
    """Rights are in templates; they are few enough to read as text."""
    text = (CHART / "templates/rbac-agent.yaml").read_text()
    verbs = [yaml.safe_load(found) for found in re.findall(r"verbs: (\[.*\])", text)]
    resources = [yaml.safe_load(found) for found in re.findall(r"resources: (\[.*\])", text)]

    writes = [what for what, how in zip(resources, verbs, strict=True) if set(how) - {"get", "list", "watch"}]
    assert writes == [["nodenetworks/status"]]
    assert ["secrets"] in resources
    assert verbs[resources.index(["secrets"])] == ["get"]
