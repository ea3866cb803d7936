"""Writes docs/crds.md from the CRDs: every field, what it is, its default and its rules.

python docs/reference.py          prints it
make docs                         writes it
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[1]
KINDS = ("ippools", "bgppeers", "nodenetworks")
HEAD = """# Fields of Fairlead's objects

Made from `crds/*.yaml` by `make docs`; the API server enforces all of it.
`kubectl explain ippool.spec --recursive` tells the same.
"""

Schema = dict[str, Any]


def reference() -> str:
    """The whole page as Markdown."""
    return "\n".join([HEAD, *(line for kind in KINDS for line in page(kind))]) + "\n"


def page(plural: str) -> Iterator[str]:
    """One kind: a sentence, how to name it, a table per part."""
    crd = yaml.safe_load((ROOT / "crds" / f"{plural}.yaml").read_text())["spec"]
    (version,) = crd["versions"]
    schema = version["schema"]["openAPIV3Schema"]
    names = crd["names"]
    yield f"## {names['kind']}\n"
    yield f"{schema['description']}\n"
    api, scope, short = f"{crd['group']}/{version['name']}", crd["scope"].lower(), names["shortNames"][0]
    yield f"`{api}`, {scope}-scoped, short name `{short}`.\n"
    for part in ("spec", "status"):
        yield f"### {names['kind']}.{part}\n"
        yield schema["properties"][part]["description"] + "\n"
        yield "| field | type | what it is |"
        yield "|---|---|---|"
        yield from (row(path, node, must) for path, node, must in fields(schema["properties"][part]))
        yield ""
        yield from told(schema["properties"][part])


def fields(node: Schema, path: str = "") -> Iterator[tuple[str, Schema, bool]]:
    """Every field below `node` in its order, with its path and whether it must be given."""
    for name, child in node.get("properties", {}).items():
        here = f"{path}{name}"
        if here == "conditions":
            yield here, child, False
            continue
        yield here, child, name in node.get("required", ())
        yield from fields(child.get("items", {}), f"{here}[].")
        yield from fields(child, f"{here}.")
        if isinstance(child.get("additionalProperties"), dict):
            yield from fields(child["additionalProperties"], f"{here}.*.")


def row(path: str, node: Schema, required: bool) -> str:
    facts = [node["description"], *notes(node)]
    mark = " **required**" if required else ""
    return f"| `{path}`{mark} | {kind_of(node)} | {' '.join(facts)} |"


def kind_of(node: Schema) -> str:
    if node["type"] == "array":
        return f"list of {kind_of(node['items'])}"
    if "enum" in node:
        return " \\| ".join(map(str, node["enum"]))
    return str(node["type"])


def notes(node: Schema) -> Iterator[str]:
    default = node.get("default")
    if default is not None and not isinstance(default, dict):
        shown = ", ".join(map(str, default)) if isinstance(default, list) else str(default).lower()
        yield f"Default {shown if not isinstance(default, str) else default}."
    if "minimum" in node and "maximum" in node:
        yield f"{node['minimum']} to {node['maximum']}."


def told(part: Schema) -> Iterator[str]:
    """What the API server answers to what it refuses, in its words."""
    listed = [("", part, False), *fields(part)]
    messages = [
        f"- {f'`{path}`: ' if path else ''}{rule['message']}"
        for path, node, _ in listed
        for rule in (*rules(node), *rules(node.get("items", {})))
    ]
    if messages:
        yield from ("Refused, with these words:\n", *dict.fromkeys(messages), "")


def rules(node: Schema) -> tuple[Schema, ...]:
    return tuple(node.get("x-kubernetes-validations", ()))


if __name__ == "__main__":
    print(reference(), end="")
