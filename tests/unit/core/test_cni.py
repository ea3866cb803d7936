"""CNI's documents: what a call asks for and what it is answered."""

from __future__ import annotations

import json
from ipaddress import IPv4Address, IPv6Address
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead_core import cni
from fairlead_core.cni import Attachment, AttachmentKey, Call, Code, Failure, PodRef, PrevResult

ENV = {"CNI_CONTAINERID": "c1", "CNI_NETNS": "/run/netns/p", "CNI_IFNAME": "eth0"}
GATEWAYS = {4: IPv4Address("169.254.1.1"), 6: IPv6Address("fe80::1")}
ATTACHMENT = Attachment(
    host_ifname="fl0123456789a",
    host_mac="f2:00:00:00:00:01",
    pod_ifname="eth0",
    pod_mac="f6:00:00:00:00:02",
    netns="/run/netns/p",
    mtu=1450,
    addresses=(IPv4Address("10.0.0.1"), IPv6Address("fd00::1")),
    gateways=GATEWAYS,
)


def conf(**extra: object) -> bytes:
    """A network configuration; keys with a dash by dict."""
    return json.dumps({"cniVersion": "1.1.0", "name": "n", "type": "fairlead"} | extra).encode()


def call(verb: str, stdin: bytes | None = None, **env: str) -> Call | Failure:
    """The call of `verb` with a complete environment."""
    return cni.parse_call(ENV | {"CNI_COMMAND": verb} | env, conf() if stdin is None else stdin)


def understood(answer: Call | Failure) -> Call:
    assert isinstance(answer, Call), answer
    return answer


def refused(answer: Call | Failure) -> Failure:
    assert isinstance(answer, Failure), answer
    return answer


def test_an_add_says_which_attachment_of_which_pod() -> None:
    args = "IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web-0;K8S_POD_UID=u-1;OTHER=x"

    got = understood(call("ADD", CNI_ARGS=args))

    assert got.key == AttachmentKey("c1", "eth0")
    assert got.pod == PodRef("shop", "web-0", "u-1")
    assert got.network == "n"


@pytest.mark.parametrize(
    ("verb", "missing", "named"),
    [
        (
            "ADD",
            ("CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME"),
            ("CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME"),
        ),
        ("ADD", ("CNI_NETNS",), ("CNI_NETNS",)),
        ("DEL", ("CNI_IFNAME",), ("CNI_IFNAME",)),
        ("CHECK", ("CNI_CONTAINERID",), ("CNI_CONTAINERID",)),
    ],
)
def test_every_missing_variable_is_named(verb: str, missing: tuple[str, ...], named: tuple[str, ...]) -> None:
    stdin = conf(prevResult={})

    got = refused(call(verb, stdin, **dict.fromkeys(missing, "")))

    assert got.code == Code.BAD_ENVIRONMENT
    assert all(f"{name} is not set" in got.msg for name in named)


def test_del_needs_no_namespace() -> None:
    assert understood(call("DEL", CNI_NETNS="")).netns == ""


@pytest.mark.parametrize("ifname", [".", "..", "a/b", "a:b", "a b", "eth%d", "x" * 16, "é", "a\n"])
def test_a_name_that_no_interface_can_have_is_refused(ifname: str) -> None:
    assert refused(call("ADD", CNI_IFNAME=ifname)).code == Code.BAD_ENVIRONMENT


@pytest.mark.parametrize("container_id", ["-a", ".a", "a/b", "a b", "a@b", "x" * 240, "ü"])
def test_a_container_id_outside_the_specification_is_refused(container_id: str) -> None:
    assert refused(call("ADD", CNI_CONTAINERID=container_id)).code == Code.BAD_ENVIRONMENT


@pytest.mark.parametrize(
    ("stdin", "code"),
    [
        (b"", Code.DECODE),
        (b"{", Code.DECODE),
        (b"\xff", Code.DECODE),
        (b"[]", Code.BAD_CONFIG),
        (b'{"cniVersion": 1}', Code.BAD_CONFIG),
        (conf(cniVersion="0.3.1"), Code.INCOMPATIBLE_VERSION),
        (conf(cniVersion="2.0.0"), Code.INCOMPATIBLE_VERSION),
        (b'{"name": "n"}', Code.INCOMPATIBLE_VERSION),
    ],
)
def test_a_configuration_that_cannot_be_used_has_its_code(stdin: bytes, code: Code) -> None:
    assert refused(call("ADD", stdin)).code == code


def test_check_without_a_previous_result_is_refused() -> None:
    assert "prevResult is missing" in refused(call("CHECK")).msg


@pytest.mark.parametrize("version", ["0.4.0", "1.0.0"])
@pytest.mark.parametrize("verb", ["GC", "STATUS"])
def test_verbs_of_1_1_do_not_exist_before(verb: str, version: str) -> None:
    assert refused(call(verb, conf(cniVersion=version))).code == Code.INCOMPATIBLE_VERSION


def test_gc_without_a_list_never_means_that_nothing_is_valid() -> None:
    assert refused(call("GC")).code == Code.BAD_CONFIG
    assert understood(call("GC", conf(**{"cni.dev/valid-attachments": []}))).valid == frozenset()


@pytest.mark.parametrize("name", ["cni.dev/valid-attachments", "cni.dev/attachments"])
def test_gc_reads_the_list_under_both_of_its_names(name: str) -> None:
    listed = [{"containerID": "a", "ifname": "eth0"}, {"containerID": "b", "ifname": "net1"}]

    got = understood(call("GC", conf(**{name: listed})))

    assert got.valid == {AttachmentKey("a", "eth0"), AttachmentKey("b", "net1")}


@pytest.mark.parametrize(
    ("args", "why"),
    [
        ("K8S_POD_NAME", "not KEY=VALUE"),
        ("COLOUR=red", "unknown COLOUR"),
        ("IgnoreUnknown=0;X=1", "unknown X"),
    ],
)
def test_arguments_that_nobody_declared_are_refused(args: str, why: str) -> None:
    assert why in refused(call("ADD", CNI_ARGS=args)).msg


def document(version: str) -> dict[str, Any]:
    return dict(json.loads(cni.result(ATTACHMENT, version, {"nameservers": ["10.96.0.10"]})))


def test_a_result_of_1_1_has_mtu_and_no_address_version() -> None:
    got = document("1.1.0")

    assert [i.get("mtu") for i in got["interfaces"]] == [1450, 1450]
    assert got["ips"][0] == {"address": "10.0.0.1/32", "gateway": "169.254.1.1", "interface": 1}
    assert got["ips"][1] == {"address": "fd00::1/128", "gateway": "fe80::1", "interface": 1}
    assert got["routes"] == [{"dst": "0.0.0.0/0", "gw": "169.254.1.1"}, {"dst": "::/0", "gw": "fe80::1"}]
    assert got["dns"] == {"nameservers": ["10.96.0.10"]}
    assert got["interfaces"][1]["sandbox"] == "/run/netns/p"
    assert "sandbox" not in got["interfaces"][0]


def test_a_result_of_0_4_names_the_family_of_each_address() -> None:
    got = document("0.4.0")

    assert [ip["version"] for ip in got["ips"]] == ["4", "6"]
    assert not any("mtu" in i for i in got["interfaces"])


def test_an_error_document_is_what_the_specification_wants() -> None:
    failure = Failure(Code.TRY_LATER, "ADD c1/eth0: pool blue: 0 of 512 free", "later")

    got = json.loads(cni.error_document(failure, "1.0.0"))

    assert got == {"cniVersion": "1.0.0", "code": 11, "msg": failure.msg, "details": "later"}


def test_names_of_a_veth_follow_from_the_attachment_alone() -> None:
    one, same = (cni.veth_names(AttachmentKey("c1", "eth0")) for _ in range(2))
    other = cni.veth_names(AttachmentKey("c1", "net1"))

    assert one == same
    assert one.host_ifname != other.host_ifname
    assert len(one.host_ifname) == 13
    assert one.host_mac != one.pod_mac
    assert all(int(mac[:2], 16) & 3 == 2 for mac in (one.host_mac, one.pod_mac)), "local, unicast"


def test_a_result_of_our_own_has_no_differences() -> None:
    for version in cni.VERSIONS:
        prev = understood(call("CHECK", conf(prevResult=document(version)))).prev
        assert prev is not None
        assert cni.differences(prev, ATTACHMENT) == ()


def test_a_foreign_result_is_told_apart() -> None:
    got = cni.differences(PrevResult(), ATTACHMENT)

    assert "no interface eth0" in got[0]
    assert any("10.0.0.1" in line for line in got)


@given(
    st.dictionaries(st.sampled_from([*ENV, "CNI_COMMAND", "CNI_ARGS", "CNI_PATH"]), st.text(max_size=40)),
    st.binary(max_size=200)
    | st.text(max_size=100).map(lambda text: json.dumps({"cniVersion": text}).encode()),
)
def test_whatever_comes_in_the_answer_is_a_call_or_an_error(env: dict[str, str], stdin: bytes) -> None:
    got = cni.parse_call(env, stdin)

    if isinstance(got, Failure):
        assert json.loads(cni.error_document(got, cni.requested_version(stdin)))["code"] == got.code


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(
                st.sampled_from(
                    [
                        "cniVersion",
                        "prevResult",
                        "ips",
                        "interfaces",
                        "interface",
                        "address",
                        "cni.dev/valid-attachments",
                        "dns",
                        "containerID",
                    ]
                ),
                inner,
            )
        ),
        max_leaves=12,
    )
)
def test_any_json_is_judged_without_a_crash(value: object) -> None:
    stdin = json.dumps(value).encode()

    for verb in cni.VERBS:
        got = cni.parse_call(ENV | {"CNI_COMMAND": verb}, stdin)
        if isinstance(got, Call) and got.prev is not None:
            cni.differences(got.prev, ATTACHMENT)
