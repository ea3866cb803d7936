"""What a person may expect of every CRD of ours, checked without a cluster."""

import jsonschema
import pytest

from tests.unit.crds.schemas import KINDS, Schema, closed, definition, examples, nodes, schema, version

SHORT = {"IPPool": "ipp", "BGPPeer": "bgpp", "NodeNetwork": "nn"}
COLUMNS = {
    "IPPool": ["CIDR", "Block", "Used", "Free", "State", "Ready", "Age"],
    "BGPPeer": ["Address", "PeerASN", "Nodes", "Established", "Ready", "Age"],
    "NodeNetwork": ["Revision", "Accepted", "Ready", "Reason", "Age"],
}
every_kind = pytest.mark.parametrize("kind", KINDS)


def parts(kind: str) -> list[tuple[str, Schema]]:
    """All schema nodes but `metadata`, about which a CRD may say nothing."""
    return [(path, node) for path, node in nodes(kind, schema(kind)) if not path.endswith(".metadata")]


@every_kind
def test_every_field_has_a_type_and_a_description(kind: str) -> None:
    bare = [
        path
        for path, node in parts(kind)
        if "type" not in node or (not path.endswith("{}") and not node.get("description", "").endswith("."))
    ]

    assert bare == []


@every_kind
def test_every_list_has_a_bound_and_says_how_it_merges(kind: str) -> None:
    """Bounds keep the estimated cost of CEL rules within the API server's budget."""
    lists = [(path, node) for path, node in parts(kind) if node["type"] == "array"]

    loose = [path for path, node in lists if "maxItems" not in node or "x-kubernetes-list-type" not in node]

    assert loose == []


@every_kind
def test_every_string_has_a_bound(kind: str) -> None:
    strings = [(path, node) for path, node in parts(kind) if node["type"] == "string"]

    loose = [
        path
        for path, node in strings
        if not {"maxLength", "enum", "format"} & set(node)
        and path.rpartition(".")[2] not in ("apiVersion", "kind")
    ]

    assert loose == []


@every_kind
def test_keys_of_map_lists_are_required(kind: str) -> None:
    keyed = [(path, node) for path, node in parts(kind) if node.get("x-kubernetes-list-type") == "map"]

    assert keyed
    for path, node in keyed:
        assert set(node["x-kubernetes-list-map-keys"]) <= set(node["items"]["required"]), path


@every_kind
def test_every_rule_says_what_to_do(kind: str) -> None:
    rules = [rule for _, node in parts(kind) for rule in node.get("x-kubernetes-validations", ())]

    mute = [rule["rule"] for rule in rules if ":" not in rule["message"] and ";" not in rule["message"]]

    assert mute == []


@every_kind
def test_names_status_and_columns_follow_the_conventions(kind: str) -> None:
    spec = definition(kind)["spec"]
    served = version(kind)

    assert spec["scope"] == "Cluster"
    assert spec["names"]["shortNames"] == [SHORT[kind]]
    assert spec["names"]["categories"] == ["fairlead"]
    assert served["subresources"] == {"status": {}}
    columns = served["additionalPrinterColumns"]
    assert [column["name"] for column in columns if not column.get("priority")] == COLUMNS[kind]


@every_kind
def test_a_status_that_nobody_has_written_is_not_current(kind: str) -> None:
    status = schema(kind)["properties"]["status"]

    assert status["default"] == {"observedGeneration": -1}
    assert status["properties"]["observedGeneration"]["default"] == -1


def test_shared_shapes_are_the_same_in_every_kind() -> None:
    def conditions(kind: str) -> Schema:
        shape: Schema = schema(kind)["properties"]["status"]["properties"]["conditions"]
        return {key: value for key, value in shape.items() if key != "description"}

    def selector(kind: str) -> Schema:
        shape: Schema = schema(kind)["properties"]["spec"]["properties"]["nodeSelector"]
        return {key: value for key, value in shape.items() if key != "description"}

    assert conditions("IPPool") == conditions("BGPPeer") == conditions("NodeNetwork")
    assert selector("IPPool") == selector("BGPPeer")


def test_the_examples_fit_their_schemas() -> None:
    found = list(examples())

    assert {example["kind"] for example in found} == {"IPPool", "BGPPeer"}
    for example in found:
        jsonschema.validate(example, {**closed(schema(example["kind"])), "additionalProperties": True})
