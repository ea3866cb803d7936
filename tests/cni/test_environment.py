"""Code 4: every missing and every wrong variable of a verb is named in one message."""

from __future__ import annotations

import os

import pytest

from tests.cni.plugin import ATTACHMENT, Outcome, Plugin


def refused(outcome: Outcome, code: int, *words: str) -> None:
    document = outcome.document()
    assert outcome.status == 1
    assert document.keys() == {"cniVersion", "code", "msg", "details"}
    assert (document["code"], document["cniVersion"]) == (code, "1.1.0")
    assert document["details"]
    for word in words:
        assert word in document["msg"]


MISSING = [
    ("ADD", ["CNI_CONTAINERID", "CNI_IFNAME", "CNI_NETNS"]),
    ("CHECK", ["CNI_CONTAINERID", "CNI_IFNAME", "CNI_NETNS"]),
    ("DEL", ["CNI_CONTAINERID", "CNI_IFNAME"]),
]


@pytest.mark.parametrize(("verb", "names"), MISSING)
def test_all_missing_variables_are_named_at_once(plugin: Plugin, verb: str, names: list[str]) -> None:
    outcome = plugin.call(verb, {}, plugin.conf())

    refused(outcome, 4, *(f"{name} is not set" for name in names))


@pytest.mark.parametrize("name", ["CNI_CONTAINERID", "CNI_IFNAME", "CNI_NETNS"])
def test_an_empty_variable_is_a_missing_one(plugin: Plugin, name: str) -> None:
    env = ATTACHMENT | {"CNI_NETNS": "/proc/self/ns/net"} | {name: ""}

    outcome = plugin.call("ADD", env, plugin.conf())

    refused(outcome, 4, f"{name} is not set")


@pytest.mark.parametrize("verb", ["STATUS", "GC"])
def test_a_verb_about_no_attachment_needs_no_variable(plugin: Plugin, verb: str) -> None:
    outcome = plugin.call(verb, {}, plugin.conf())

    assert outcome.document()["code"] in (11, 50)


def test_a_call_without_a_verb_says_so(plugin: Plugin) -> None:
    refused(plugin.call(None, ATTACHMENT, plugin.conf()), 4, "CNI_COMMAND is not set")


@pytest.mark.parametrize("verb", ["add", "UPDATE", "ADD ", "A" * 500, '"\\\x01é'])
def test_an_unknown_verb_is_refused_with_the_known_ones(plugin: Plugin, verb: str) -> None:
    refused(plugin.call(verb, ATTACHMENT, plugin.conf()), 4, "CNI_COMMAND", verb[:64], "ADD, DEL, CHECK")


@pytest.mark.parametrize("verb", [b"\xff", b"\xc3", "€".encode() * 22])  # the last is cut inside a character
def test_bytes_that_are_no_character_are_shown_as_the_replacement_character(
    plugin: Plugin, verb: bytes
) -> None:
    refused(plugin.call(os.fsdecode(verb), {}, plugin.conf()), 4, "\ufffd")


BAD_IDS = ["-abc", ".abc", "_a", "a/b", "../x", "a b", "a\nb", "a@b", "aé", "a" * 240]


@pytest.mark.parametrize("container_id", BAD_IDS)
def test_a_container_id_outside_the_specification_is_refused(plugin: Plugin, container_id: str) -> None:
    outcome = plugin.call("DEL", ATTACHMENT | {"CNI_CONTAINERID": container_id}, plugin.conf())

    refused(outcome, 4, "CNI_CONTAINERID", container_id[:64])
    assert not plugin.spool.exists()


BAD_IFNAMES = ["a" * 16, ".", "..", "a/b", "a:1", "a b", "a\tb", "a\n", "eth%d", "ethé", "a\x01", "a\x7f"]


@pytest.mark.parametrize("ifname", BAD_IFNAMES)
def test_an_interface_name_that_the_kernel_would_not_make_is_refused(plugin: Plugin, ifname: str) -> None:
    outcome = plugin.call("DEL", ATTACHMENT | {"CNI_IFNAME": ifname}, plugin.conf())

    refused(outcome, 4, "CNI_IFNAME", ifname)


@pytest.mark.parametrize("ifname", ["e", "a" * 15, "eth0.100", "...", "eth@0", "a-b_c"])
def test_an_interface_name_that_the_kernel_makes_is_accepted(plugin: Plugin, ifname: str) -> None:
    outcome = plugin.call("DEL", ATTACHMENT | {"CNI_IFNAME": ifname}, plugin.conf())

    assert outcome.status == 0
    assert [file.name for file in plugin.spool.iterdir()] == [f"c0ffee@{ifname}"]


def test_wrong_and_missing_variables_share_one_message(plugin: Plugin) -> None:
    outcome = plugin.call("ADD", {"CNI_CONTAINERID": "a/b", "CNI_IFNAME": ".."}, plugin.conf())

    refused(outcome, 4, 'CNI_CONTAINERID "a/b"', 'CNI_IFNAME ".."', "CNI_NETNS is not set")


def test_a_variable_that_is_not_utf8_is_refused_by_name(plugin: Plugin) -> None:
    outcome = plugin.call(
        "DEL", ATTACHMENT | {"CNI_ARGS": b"\xff".decode(errors="surrogateescape")}, plugin.conf()
    )

    refused(outcome, 4, "CNI_ARGS is not UTF-8")


def test_variables_that_are_too_long_for_the_agent_are_refused_by_name(plugin: Plugin) -> None:
    outcome = plugin.call("DEL", ATTACHMENT | {"CNI_ARGS": "a" * 70_000}, plugin.conf())

    refused(outcome, 4, "CNI_ARGS", "65536")


def test_the_error_speaks_the_version_of_the_configuration(plugin: Plugin) -> None:
    outcome = plugin.call("ADD", {}, plugin.conf(cniVersion="0.4.0"))

    assert outcome.document()["cniVersion"] == "0.4.0"


def test_an_environment_error_comes_before_a_configuration_error(plugin: Plugin) -> None:
    refused(plugin.call("ADD", {}, b"no json"), 4, "CNI_CONTAINERID")
