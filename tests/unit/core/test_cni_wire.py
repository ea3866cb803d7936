"""The frames between plugin and agent: whole, bounded, and refused for a stated reason."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead_core import cni_wire
from fairlead_core.cni_wire import Request, Response, SpoolKey, WireError

WIRE_H = Path(__file__).parents[3] / "nodeagent/cni/wire.h"

plain_text = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=40)
keys = st.text(st.sampled_from("ABCDEFGHIJKLMNOPQRSTUVWXYZ_"), max_size=12).map(lambda tail: f"CNI_{tail}")
requests = st.builds(
    Request, env=st.dictionaries(keys, plain_text, max_size=6), stdin=st.binary(max_size=300)
)
responses = st.builds(Response, exit_code=st.integers(0, 255), stdout=st.binary(max_size=300))

ADD = Request(env={"CNI_COMMAND": "ADD", "CNI_IFNAME": "eth0"}, stdin=b"{}")


def header(magic: bytes, first: int, second: int) -> bytes:
    return magic + first.to_bytes(4, "little") + second.to_bytes(4, "little")


@given(requests)
def test_a_request_comes_out_as_it_went_in(request: Request) -> None:
    assert cni_wire.decode_request(cni_wire.encode_request(request)) == request


@given(responses)
def test_a_response_comes_out_as_it_went_in(response: Response) -> None:
    assert cni_wire.decode_response(cni_wire.encode_response(response)) == response


def test_a_request_is_laid_out_as_the_plugin_writes_it() -> None:
    frame = cni_wire.encode_request(ADD)

    assert frame == b"FLC1\x20\0\0\0\x02\0\0\0CNI_COMMAND=ADD\0CNI_IFNAME=eth0\0{}"


def test_the_length_is_known_with_the_header_and_not_before() -> None:
    frame = cni_wire.encode_request(ADD)

    lengths = [cni_wire.request_length(frame[:size]) for size in range(len(frame) + 1)]

    assert lengths == [None] * cni_wire.HEADER_BYTES + [len(frame)] * (len(frame) + 1 - cni_wire.HEADER_BYTES)


def test_the_length_of_a_response_is_known_with_the_header_and_not_before() -> None:
    frame = cni_wire.encode_response(Response(0, b"{}"))

    assert [cni_wire.response_length(frame[:size]) for size in (0, 11, 12, 14)] == [None, None, 14, 14]


@given(st.binary(max_size=64), st.booleans())
def test_any_bytes_give_a_value_or_a_wire_error(tail: bytes, with_magic: bool) -> None:
    frame = (b"FLC1" if with_magic else b"") + tail

    with contextlib.suppress(WireError):
        assert isinstance(cni_wire.decode_request(frame), Request)


REFUSED_REQUESTS = [
    ("another protocol", b"GET / HTTP/1.1\r\n", cni_wire.BadMagicError, "GET "),
    ("a header cut short", b"FLC1\x01\0", cni_wire.FrameTruncatedError, "6 of 12"),
    ("an env above the limit", header(b"FLC1", 64 * 1024 + 1, 0), cni_wire.FrameTooLargeError, "65537"),
    ("a stdin above the limit", header(b"FLC1", 0, 1024 * 1024 + 1), cni_wire.FrameTooLargeError, "1048577"),
    ("a body cut short", header(b"FLC1", 0, 5) + b"{}", cni_wire.FrameTruncatedError, "14 of 17"),
    ("bytes after the end", header(b"FLC1", 0, 2) + b"{}x", cni_wire.FrameTrailingError, "1 bytes"),
    (
        "an unterminated variable",
        header(b"FLC1", 7, 0) + b"CNI_A=1",
        cni_wire.BadEnvironmentError,
        "terminating",
    ),
    ("a foreign variable", header(b"FLC1", 7, 0) + b"PATH=a\0", cni_wire.BadEnvironmentError, "PATH"),
    ("a variable without a value", header(b"FLC1", 6, 0) + b"CNI_A\0", cni_wire.BadEnvironmentError, "CNI_A"),
    (
        "a variable twice",
        header(b"FLC1", 16, 0) + b"CNI_A=1\0CNI_A=2\0",
        cni_wire.BadEnvironmentError,
        "twice",
    ),
    (
        "bytes that are not UTF-8",
        header(b"FLC1", 8, 0) + b"CNI_A=\xff\0",
        cni_wire.BadEnvironmentError,
        "UTF-8",
    ),
]


@pytest.mark.parametrize(
    ("frame", "kind", "cause"),
    [row[1:] for row in REFUSED_REQUESTS],
    ids=[row[0] for row in REFUSED_REQUESTS],
)
def test_a_request_is_refused_for(frame: bytes, kind: type[WireError], cause: str) -> None:
    with pytest.raises(kind, match=re.escape(cause)):
        cni_wire.decode_request(frame)


REFUSED_RESPONSES = [
    ("another protocol", b"HTTP/1.1 200 OK", cni_wire.BadMagicError, "HTTP"),
    ("an exit code above a byte", header(b"FLR1", 256, 0), cni_wire.FrameTooLargeError, "exit code: 256"),
    ("a stdout above the limit", header(b"FLR1", 0, 1024 * 1024 + 1), cni_wire.FrameTooLargeError, "stdout"),
    ("a body cut short", header(b"FLR1", 0, 2) + b"{", cni_wire.FrameTruncatedError, "13 of 14"),
]


@pytest.mark.parametrize(
    ("frame", "kind", "cause"),
    [row[1:] for row in REFUSED_RESPONSES],
    ids=[row[0] for row in REFUSED_RESPONSES],
)
def test_a_response_is_refused_for(frame: bytes, kind: type[WireError], cause: str) -> None:
    with pytest.raises(kind, match=re.escape(cause)):
        cni_wire.decode_response(frame)


def test_a_wrong_first_byte_is_refused_before_the_header_is_complete() -> None:
    with pytest.raises(cni_wire.BadMagicError):
        cni_wire.request_length(b"X")


@pytest.mark.parametrize("env", [{"PATH": "/bin"}, {"CNI_A=B": "1"}, {"CNI_A": "1\0CNI_B=2"}])
def test_an_environment_that_would_smuggle_a_variable_is_not_encoded(env: dict[str, str]) -> None:
    with pytest.raises(cni_wire.BadEnvironmentError):
        cni_wire.encode_request(Request(env=env, stdin=b""))


def test_what_is_above_a_limit_is_not_encoded() -> None:
    with pytest.raises(cni_wire.FrameTooLargeError):
        cni_wire.encode_request(Request(env={}, stdin=bytes(cni_wire.STDIN_BYTES_MAX + 1)))
    with pytest.raises(cni_wire.FrameTooLargeError):
        cni_wire.encode_response(Response(exit_code=-1, stdout=b""))


def test_a_spool_name_gives_its_attachment_back_also_when_the_interface_contains_the_separator() -> None:
    key = SpoolKey("c0ffee-1_2.3", "eth@0")

    assert cni_wire.parse_spool_name(cni_wire.spool_name(key)) == key


@pytest.mark.parametrize("name", ["", "@", "a@", "@eth0", "abc", ".abc@eth0.tmp", ".123"])
def test_a_file_name_that_is_no_remembered_del_is_refused(name: str) -> None:
    with pytest.raises(cni_wire.BadSpoolNameError, match="spool file"):
        cni_wire.parse_spool_name(name)


@pytest.mark.parametrize("name", ["ENV_BYTES_MAX", "STDIN_BYTES_MAX", "STDOUT_BYTES_MAX", "HEADER_BYTES"])
def test_the_plugin_in_c_has_the_same_limit(name: str) -> None:
    define = re.search(rf"#define {name} \(?([0-9* ]+)\)?", WIRE_H.read_text())

    assert define is not None
    factors = [int(factor) for factor in define[1].split("*")]
    product = 1
    for factor in factors:
        product *= factor
    assert product == getattr(cni_wire, name)
