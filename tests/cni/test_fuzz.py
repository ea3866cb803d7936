"""Whatever the environment and stdin are: no crash, and an error document or the agent's own answer."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fairlead_core.cni_wire import Response
from tests.cni.plugin import Outcome, Plugin, build
from tests.fakes.cni_agent import FakeAgent, says

# The sanitized binary starts in about 20 ms; deadlines would measure the machine.
FUZZ = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
ANSWER = Response(3, b'{"answer":"of the agent"}')

bytes_of_env = st.binary(max_size=40).map(lambda raw: raw.replace(b"\0", b""))
env_values = bytes_of_env | st.sampled_from([b"ADD", b"DEL", b"GC", b"eth0", b"c0ffee", b"/proc/self/ns/net"])
env_keys = st.sampled_from(
    ["CNI_CONTAINERID", "CNI_IFNAME", "CNI_NETNS", "CNI_ARGS", "CNI_PATH", "CNI_", "CNI_X"]
)
verbs = st.sampled_from(["ADD", "DEL", "CHECK", "STATUS", "GC", "VERSION"]) | env_values.map(os.fsdecode)
environments = st.dictionaries(env_keys, env_values.map(os.fsdecode), max_size=5)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
known = ["cniVersion", "name", "timeoutSeconds", "prevResult", "ipam", "ipMasq", "cni.dev/valid-attachments"]
changes = st.dictionaries(st.sampled_from(known) | st.text(max_size=10), values, max_size=4)


@pytest.fixture(scope="module")
def sanitized() -> Path:
    return build("asan", "fairlead-asan")


@pytest.fixture
def fuzzed(sanitized: Path, tmp_path: Path) -> Iterator[Plugin]:
    with tempfile.TemporaryDirectory(prefix="flcni") as short:
        yield Plugin(sanitized, Path(short) / "cni.sock", tmp_path / "del")


def sound(outcome: Outcome) -> None:
    assert outcome.stderr == b""  # where the sanitizers write
    if (outcome.status, outcome.stdout) in [(ANSWER.exit_code, ANSWER.stdout), (0, b"")]:
        return
    document = json.loads(outcome.stdout)
    if outcome.status == 0:
        assert document.keys() == {"cniVersion", "supportedVersions"}
        return
    assert outcome.status == 1
    assert document.keys() == {"cniVersion", "code", "msg", "details"}
    assert document["code"] in (1, 2, 4, 5, 6, 7, 8, 11, 50)


@FUZZ
@given(verb=verbs, env=environments)
def test_any_environment(fuzzed: Plugin, verb: str, env: dict[str, str]) -> None:
    sound(fuzzed.call(verb, env, fuzzed.conf()))


@FUZZ
@given(stdin=st.binary(max_size=200) | st.text(alphabet='{}[]:,"\\u0019-.eEntfalsr \n').map(str.encode))
def test_any_bytes_on_stdin(fuzzed: Plugin, stdin: bytes) -> None:
    sound(fuzzed.call("STATUS", {}, stdin))


@FUZZ
@given(changes=changes, ascii_only=st.booleans())
def test_any_configuration_that_is_json_is_decoded(
    fuzzed: Plugin, changes: dict[str, object], ascii_only: bool
) -> None:
    conf = json.loads(fuzzed.conf()) | changes
    stdin = json.dumps(conf, ensure_ascii=ascii_only).encode(errors="replace")

    outcome = fuzzed.call("STATUS", {}, stdin)

    sound(outcome)
    assert outcome.document()["code"] != 6


@FUZZ
@given(cut=st.integers(0, 400), flip=st.integers(0, 400), bits=st.integers(0, 255))
def test_a_configuration_cut_and_flipped_anywhere(fuzzed: Plugin, cut: int, flip: int, bits: int) -> None:
    stdin = bytearray(fuzzed.conf())
    stdin[flip % len(stdin)] ^= bits

    sound(fuzzed.call("GC", {}, bytes(stdin[: cut or None])))


@FUZZ
@given(frame=st.binary(max_size=60) | st.binary(max_size=40).map(lambda tail: b"FLR1" + tail))
def test_any_answer_of_the_agent(fuzzed: Plugin, frame: bytes) -> None:
    with FakeAgent(fuzzed.socket, lambda _: frame):
        outcome = fuzzed.call("STATUS", {}, fuzzed.conf())
    fuzzed.socket.unlink()

    assert outcome.status in range(256)
    assert outcome.stderr == b""
    assert outcome.stdout == b"" or isinstance(outcome.document(), dict)


@FUZZ
@given(verb=verbs, env=environments, changes=changes)
def test_any_call_that_reaches_the_agent(
    fuzzed: Plugin, verb: str, env: dict[str, str], changes: dict[str, object]
) -> None:
    with FakeAgent(fuzzed.socket, says(ANSWER)):
        sound(
            fuzzed.call(verb, env, json.dumps(json.loads(fuzzed.conf()) | changes).encode(errors="replace"))
        )
    fuzzed.socket.unlink()
