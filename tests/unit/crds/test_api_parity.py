"""The wire structs and the CRDs are one form: same fields, types, enums, defaults."""

import types
import typing
from typing import Any, Literal, Union

import msgspec
import pytest

from fairlead_core import api
from tests.unit.crds.schemas import Schema, schema

# The schema refuses an object without these; the struct reads it, as an object may be older than its schema.
LENIENT = {
    ("IPPoolSpec", "cidrs"),
    ("BGPPeerSpec", "localASN"),
    ("BGPPeerSpec", "peerASN"),
    ("BGPPeerSpec", "address"),
}
SCALARS = {str: "string", int: "integer", bool: "boolean"}
NOTHING: tuple[Any, ...] = (None, (), {}, "")


def without_none(annotation: Any) -> Any:
    if typing.get_origin(annotation) not in (Union, types.UnionType):
        return annotation
    (only,) = [part for part in typing.get_args(annotation) if part is not type(None)]
    return only


def wire(value: Any) -> Any:
    return msgspec.to_builtins(value)


def differences(struct: type[msgspec.Struct], node: Schema, where: str) -> list[str]:
    """What `struct` and the schema `node` say differently, as sentences."""
    hints = typing.get_type_hints(struct)
    fields = {field.encode_name: field for field in msgspec.structs.fields(struct)}
    told = [f"{where}.{name}: only in one of them" for name in set(fields) ^ set(node.get("properties", {}))]
    for name, field in fields.items():
        child = node.get("properties", {}).get(name, {})
        told += shape(without_none(hints[field.name]), child, f"{where}.{name}")
        if (struct.__name__, name) not in LENIENT:
            told += presence(field, child, name in node.get("required", ()), f"{where}.{name}")
    return told


def shape(annotation: Any, node: Schema, where: str) -> list[str]:
    origin, args = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Literal:
        return [] if set(node.get("enum", ())) == set(args) else [f"{where}: enum differs"]
    if origin is tuple:
        return shape(args[0], node.get("items", {}), f"{where}[]")
    if origin is dict:
        return shape(args[1], node.get("additionalProperties", {}), f"{where}{{}}")
    if annotation in SCALARS:
        return [] if node.get("type") == SCALARS[annotation] else [f"{where}: is {node.get('type')}"]
    return differences(annotation, node, where)


def presence(field: Any, node: Schema, required: bool, where: str) -> list[str]:
    """Required and default: a struct built from nothing equals an object that the API server defaulted."""
    if field.required != required:
        return [f"{where}: required {field.required} in the struct, {required} in the schema"]
    if field.required:
        return []
    default = wire(field.default if field.default is not msgspec.NODEFAULT else field.default_factory())
    if isinstance(default, tuple | list):
        default = list(default)
    if default in ([], *NOTHING) and "default" not in node:
        return []
    if isinstance(default, dict):
        return [] if "default" in node else [f"{where}: has no default"]
    return (
        [] if node.get("default") == default else [f"{where}: default {node.get('default')} is not {default}"]
    )


@pytest.mark.parametrize(
    ("kind", "spec", "status"),
    [
        ("IPPool", api.IPPoolSpec, api.IPPoolStatus),
        ("BGPPeer", api.BGPPeerSpec, api.BGPPeerStatus),
        ("NodeNetwork", api.NodeNetworkSpec, api.NodeNetworkStatus),
    ],
)
def test_structs_and_schemas_are_one_form(
    kind: str, spec: type[msgspec.Struct], status: type[msgspec.Struct]
) -> None:
    properties = schema(kind)["properties"]

    assert differences(spec, properties["spec"], "spec") == []
    assert differences(status, properties["status"], "status") == []


def test_fields_that_a_struct_writes_as_null_are_nullable() -> None:
    peers = schema("NodeNetwork")["properties"]["status"]["properties"]["bgp"]["properties"]["peers"]
    written = msgspec.to_builtins(api.PeerStatus(name="tor"))

    for name, value in written.items():
        assert value is not None or peers["items"]["properties"][name].get("nullable") is True, name


def test_an_empty_spec_reads_as_the_defaults_of_the_schema() -> None:
    peer = schema("BGPPeer")["properties"]["spec"]["properties"]
    read = msgspec.convert({"address": "10.0.0.1", "localASN": 1, "peerASN": 2}, api.BGPPeerSpec)

    assert wire(read.timers) == {} or wire(read.timers) == peer["timers"]["default"]
    assert read.timers == msgspec.convert(peer["timers"]["default"], api.Timers)
    assert read.bfd == msgspec.convert(peer["bfd"]["default"], api.BFD)
    assert read.graceful_restart == msgspec.convert(peer["gracefulRestart"]["default"], api.GracefulRestart)
