"""Codes 1, 2, 6 and 7: what stdin may say."""

from __future__ import annotations

import json

import pytest

from tests.cni.plugin import ATTACHMENT, VERSIONS, Outcome, Plugin

DEL = ("DEL", ATTACHMENT)


def code_and_msg(outcome: Outcome) -> tuple[int, str]:
    document = outcome.document()
    assert outcome.status == 1
    return document["code"], document["msg"]


GARBAGE = [
    ("nothing", b""),
    ("white space", b" \n"),
    ("a word", b"fairlead"),
    ("a list", b"[]"),
    ("a string", b'"x"'),
    ("an open object", b'{"cniVersion":"1.1.0"'),
    ("an open string", b'{"cniVersion":"1.1'),
    ("two documents", b"{}{}"),
    ("a trailing comma", b'{"a":1,}'),
    ("a comma alone", b"{,}"),
    ("a key without quotes", b"{a:1}"),
    ("a key without a value", b'{"a"}'),
    ("a comment", b"{/* */}"),
    ("single quotes", b"{'a':1}"),
    ("a leading zero", b'{"a":01}'),
    ("a plus", b'{"a":+1}'),
    ("a number that ends in a point", b'{"a":1.}'),
    ("an empty exponent", b'{"a":1e}'),
    ("not a number", b'{"a":NaN}'),
    ("a word in capitals", b'{"a":True}'),
    ("a raw control byte", b'{"a":"\x01"}'),
    ("a raw newline in a string", b'{"a":"\n"}'),
    ("a zero byte", b'{"a":1}\0'),
    ("an unknown escape", b'{"a":"\\x41"}'),
    ("a short unicode escape", b'{"a":"\\u12"}'),
    ("half of a surrogate pair", b'{"a":"\\ud800"}'),
    ("the other half", b'{"a":"\\udc00"}'),
    ("two first halves", b'{"a":"\\ud800\\ud800"}'),
    ("latin-1", b'{"a":"\xe9"}'),
    ("overlong UTF-8", b'{"a":"\xc0\xaf"}'),
    ("a surrogate in UTF-8", b'{"a":"\xed\xa0\x80"}'),
    ("beyond Unicode", b'{"a":"\xf4\x90\x80\x80"}'),
    ("a byte order mark", b"\xef\xbb\xbf{}"),
    ("too deep", b'{"a":' + b"[" * 128 + b"]" * 128 + b"}"),
    ("too long", b'{"a":"' + b"x" * 1024 * 1024 + b'"}'),
]


@pytest.mark.parametrize("stdin", [row[1] for row in GARBAGE], ids=[row[0] for row in GARBAGE])
def test_stdin_that_is_no_json_object_is_code_6(plugin: Plugin, stdin: bytes) -> None:
    code, msg = code_and_msg(plugin.call(*DEL, stdin))

    assert code == 6
    assert msg.startswith("network configuration: ")
    assert not plugin.spool.exists()


FINE = [
    ("every kind of value", {"x": [None, True, False, -0.5e-7, 0, 'é\U0001f600\\"\n/', {}, {"y": [[]]}]}),
    ("keys that others own", {"capabilities": {"a": True}, "runtimeConfig": {}, "dns": {}, "ipMasq": False}),
    ("the deepest nesting", {"x": json.loads("[" * 127 + "]" * 127)}),
]


@pytest.mark.parametrize("more", [row[1] for row in FINE], ids=[row[0] for row in FINE])
def test_a_configuration_may_hold(plugin: Plugin, more: dict[str, object]) -> None:
    assert plugin.call(*DEL, plugin.conf(**more)).status == 0


def test_a_configuration_of_exactly_the_limit_is_accepted(plugin: Plugin) -> None:
    short = plugin.conf(pad="")
    stdin = plugin.conf(pad="x" * (1024 * 1024 - len(short)))

    assert len(stdin) == 1024 * 1024
    assert plugin.call(*DEL, stdin).status == 0


def test_an_escaped_key_is_the_key(plugin: Plugin) -> None:
    stdin = plugin.conf().replace(b'"cniVersion"', b'"cni\\u0056ersion"')

    assert plugin.call(*DEL, stdin).status == 0


@pytest.mark.parametrize("version", VERSIONS)
def test_a_supported_version_is_served(plugin: Plugin, version: str) -> None:
    assert plugin.call(*DEL, plugin.conf(cniVersion=version)).status == 0


@pytest.mark.parametrize("version", ["0.1.0", "0.3.1", "1.2.0", "2.0.0", "1.1", "1.1.0 ", "latest", ""])
def test_another_version_is_code_1_and_the_error_speaks_ours(plugin: Plugin, version: str) -> None:
    outcome = plugin.call(*DEL, plugin.conf(cniVersion=version))

    assert code_and_msg(outcome)[0] == 1
    assert version in outcome.document()["msg"]
    assert outcome.document()["cniVersion"] == "1.1.0"
    assert "0.4.0" in outcome.document()["details"]


def test_a_missing_version_is_code_1(plugin: Plugin) -> None:
    code, msg = code_and_msg(plugin.call(*DEL, plugin.conf(cniVersion=None)))

    assert (code, msg) == (1, "network configuration: cniVersion is missing")


@pytest.mark.parametrize("verb", ["STATUS", "GC"])
@pytest.mark.parametrize("version", ["0.4.0", "1.0.0"])
def test_a_verb_that_its_version_does_not_have_is_code_1(plugin: Plugin, verb: str, version: str) -> None:
    code, msg = code_and_msg(plugin.call(verb, {}, plugin.conf(cniVersion=version)))

    assert code == 1
    assert f"cniVersion {version} has no verb {verb}" in msg


MISFITS = [
    ("cniVersion", 1.1),
    ("cniVersion", "1" * 64),
    ("name", ""),
    ("name", 7),
    ("name", "a b"),
    ("name", "x" * 300),
    ("timeoutSeconds", 0),
    ("timeoutSeconds", 301),
    ("timeoutSeconds", 1.5),
    ("timeoutSeconds", -1),
    ("timeoutSeconds", 10**30),
    ("timeoutSeconds", "30"),
    ("socketPath", "relative"),
    ("socketPath", "/" + "x" * 107),
    ("socketPath", "/a\0b"),
    ("socketPath", []),
    ("spoolDir", "var"),
    ("spoolDir", "/" + "x" * 200),
    ("prevResult", "no object"),
    ("cni.dev/valid-attachments", {}),
]


@pytest.mark.parametrize(("key", "value"), MISFITS)
def test_a_value_that_cannot_be_used_is_code_7_and_named(plugin: Plugin, key: str, value: object) -> None:
    code, msg = code_and_msg(plugin.call(*DEL, plugin.conf(**{key: value})))

    assert code == 7
    assert f"{key}: {json.dumps(value)[:80]}" in msg
    assert " is not " in msg


def test_a_missing_network_name_is_code_7(plugin: Plugin) -> None:
    assert code_and_msg(plugin.call(*DEL, plugin.conf(name=None))) == (
        7,
        "network configuration: name is missing",
    )


def test_a_gc_without_its_list_is_refused_because_it_would_take_everything(plugin: Plugin) -> None:
    code, msg = code_and_msg(plugin.call("GC", {}, plugin.conf(**{"cni.dev/valid-attachments": None})))

    assert code == 7
    assert "cni.dev/valid-attachments is missing" in msg


def test_a_list_that_go_never_made_is_an_empty_one(plugin: Plugin) -> None:
    stdin = plugin.conf().replace(b'"cni.dev/valid-attachments": []', b'"cni.dev/valid-attachments": null')

    assert code_and_msg(plugin.call("GC", {}, stdin))[0] == 11


def test_a_check_without_a_previous_result_is_code_7(plugin: Plugin) -> None:
    env = ATTACHMENT | {"CNI_NETNS": "/nowhere"}

    code, msg = code_and_msg(plugin.call("CHECK", env, plugin.conf(prevResult=None)))

    assert code == 7
    assert "prevResult is missing" in msg


@pytest.mark.parametrize(("key", "value"), [("ipMasq", True), ("ipam", {"type": "host-local"})])
def test_a_wish_for_what_fairlead_does_not_do_is_code_2_for_add(
    plugin: Plugin, key: str, value: object
) -> None:
    env = ATTACHMENT | {"CNI_NETNS": "/nowhere"}

    code, msg = code_and_msg(plugin.call("ADD", env, plugin.conf(**{key: value})))

    assert code == 2
    assert f"{key}: {json.dumps(value)}" in msg


def test_a_wish_for_what_fairlead_does_not_do_never_holds_up_a_del(plugin: Plugin) -> None:
    assert plugin.call(*DEL, plugin.conf(ipMasq=True)).status == 0


@pytest.mark.parametrize("stdin", [b"", b'{"cniVersion":"0.4.0"}', b'{"cniVersion":"1.1.0","name":3}'])
def test_version_is_answered_without_an_agent(plugin: Plugin, stdin: bytes) -> None:
    outcome = plugin.call("VERSION", {}, stdin)

    asked = json.loads(stdin or b'{"cniVersion":"1.1.0"}')["cniVersion"]
    assert outcome.status == 0
    assert outcome.document() == {"cniVersion": asked, "supportedVersions": list(VERSIONS)}


def test_version_refuses_garbage_as_every_verb_does(plugin: Plugin) -> None:
    assert code_and_msg(plugin.call("VERSION", {}, b"{"))[0] == 6
