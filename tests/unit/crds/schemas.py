"""The CRDs as tests read them: one schema per kind, walked node by node."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[3]
KINDS = {"IPPool": "ippools", "BGPPeer": "bgppeers", "NodeNetwork": "nodenetworks"}

Schema = dict[str, Any]


def definition(kind: str) -> dict[str, Any]:
    """The whole CustomResourceDefinition of `kind`."""
    loaded: dict[str, Any] = yaml.safe_load((ROOT / "crds" / f"{KINDS[kind]}.yaml").read_text())
    return loaded


def version(kind: str) -> dict[str, Any]:
    """Its only version: columns, subresources, schema."""
    (only,) = definition(kind)["spec"]["versions"]
    loaded: dict[str, Any] = only
    return loaded


def schema(kind: str) -> Schema:
    loaded: Schema = version(kind)["schema"]["openAPIV3Schema"]
    return loaded


def examples() -> Iterator[dict[str, Any]]:
    for file in sorted((ROOT / "crds/examples").glob("*.yaml")):
        yield from yaml.safe_load_all(file.read_text())


def nodes(where: str, node: Schema) -> Iterator[tuple[str, Schema]]:
    """Every schema below `node` with its path, `node` first."""
    yield where, node
    for name, child in node.get("properties", {}).items():
        yield from nodes(f"{where}.{name}", child)
    if "items" in node:
        yield from nodes(f"{where}[]", node["items"])
    if isinstance(node.get("additionalProperties"), dict):
        yield from nodes(f"{where}{{}}", node["additionalProperties"])


def closed(node: Schema) -> Schema:
    """The same schema refusing fields it does not name, as the API server's strict validation does."""
    copy = dict(node)
    if "properties" in node:
        copy["properties"] = {name: closed(child) for name, child in node["properties"].items()}
        copy.setdefault("additionalProperties", False)
    if "items" in node:
        copy["items"] = closed(node["items"])
    return copy
