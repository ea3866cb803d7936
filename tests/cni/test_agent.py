"""What the agent is asked, what becomes of its answer, and what happens when there is none."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from fairlead_core import cni_wire
from fairlead_core.cni_wire import Response
from tests.cni.plugin import ATTACHMENT, Outcome, Plugin
from tests.fakes.cni_agent import Answer, FakeAgent, Received, says

RESULT = b'{"cniVersion":"1.1.0","ips":[]}'
REFUSAL = b'{"cniVersion":"1.1.0","code":11,"msg":"pool blue: 0 of 512 free","details":""}'


def code(outcome: Outcome) -> int:
    assert outcome.status == 1
    return int(outcome.document()["code"])


def spooled(plugin: Plugin) -> list[str]:
    return sorted(file.name for file in plugin.spool.iterdir()) if plugin.spool.exists() else []


def test_the_agent_gets_the_cni_variables_and_stdin_as_they_are(plugin: Plugin) -> None:
    env = ATTACHMENT | {"CNI_ARGS": "K8S_POD_NAME=é;A=b=c", "CNI_PATH": "/opt/cni/bin", "PATH": "/bin"}
    stdin = plugin.conf(cniVersion="1.0.0") + b"\n"

    with FakeAgent(plugin.socket, says(Response(0, b""))) as agent:
        outcome = plugin.call("DEL", env, stdin)

    assert (outcome.status, outcome.stdout) == (0, b"")
    cni_env = {key: value for key, value in env.items() if key != "PATH"} | {"CNI_COMMAND": "DEL"}
    assert agent.received == [Received(cni_wire.Request(cni_env, stdin), None)]
    assert spooled(plugin) == []


def test_a_variable_that_is_there_twice_travels_once_as_getenv_reads_it(plugin: Plugin, binary: Path) -> None:
    # A C runtime can pass such an environment; subprocess cannot, so a small exec does.
    exec_twice = (
        "import ctypes,sys;e=[b'CNI_COMMAND=STATUS',b'CNI_ARGS=one',b'CNI_ARGS=two'];"
        "A=ctypes.c_char_p*2;E=ctypes.c_char_p*4;b=sys.argv[1].encode();"
        "ctypes.CDLL(None).execve(b,A(b,None),E(*e,None))"
    )

    with FakeAgent(plugin.socket, says(Response(0, b""))) as agent:
        command = ["python3", "-c", exec_twice, str(binary)]
        subprocess.run(command, input=plugin.conf(), check=True, timeout=20)

    assert agent.received[0].request.env == {"CNI_COMMAND": "STATUS", "CNI_ARGS": "one"}


ANSWERS = [
    ("a result", "STATUS", Response(0, RESULT)),
    ("silence of a success", "STATUS", Response(0, b"")),
    ("an error", "GC", Response(1, REFUSAL)),
    ("an error with an exit status of its own", "DEL", Response(7, REFUSAL)),
    ("a large result", "STATUS", Response(0, b'{"x":"' + b"x" * (cni_wire.STDOUT_BYTES_MAX - 8) + b'"}')),
]


@pytest.mark.parametrize(("verb", "response"), [row[1:] for row in ANSWERS], ids=[row[0] for row in ANSWERS])
def test_the_answer_passes_through_unchanged(plugin: Plugin, verb: str, response: Response) -> None:
    with FakeAgent(plugin.socket, says(response)):
        outcome = plugin.call(verb, ATTACHMENT, plugin.conf())

    assert (outcome.status, outcome.stdout) == (response.exit_code, response.stdout)
    assert spooled(plugin) == []


def test_a_request_of_a_megabyte_arrives_whole(plugin: Plugin) -> None:
    stdin = plugin.conf(pad="x" * 1_000_000)

    with FakeAgent(plugin.socket, says(Response(0, b""))) as agent:
        assert plugin.call("STATUS", {}, stdin).status == 0

    assert agent.received[0].request.stdin == stdin


def test_an_answer_that_comes_before_the_request_was_read_counts(plugin: Plugin) -> None:
    with FakeAgent(plugin.socket, says(Response(1, REFUSAL)), impatient=True):
        outcome = plugin.call("STATUS", {}, plugin.conf(pad="x" * 1_000_000))

    assert (outcome.status, outcome.stdout) == (1, REFUSAL)


@pytest.mark.parametrize(("verb", "expected"), [("STATUS", 50), ("GC", 11)])
def test_without_a_socket_the_verb_says_try_later_at_once(plugin: Plugin, verb: str, expected: int) -> None:
    before = time.monotonic()

    outcome = plugin.call(verb, {}, plugin.conf())

    assert code(outcome) == expected
    assert str(plugin.socket) in outcome.document()["msg"]
    assert "No such file" in outcome.document()["msg"]
    assert time.monotonic() - before < 1


def test_a_socket_that_nobody_serves_is_the_same_as_none(plugin: Plugin) -> None:
    with FakeAgent(plugin.socket, says(Response(0, b""))):
        pass

    outcome = plugin.call("STATUS", {}, plugin.conf())

    assert code(outcome) == 50
    assert "Connection refused" in outcome.document()["msg"]


def test_an_agent_whose_queue_is_full_is_waited_for_until_the_deadline(plugin: Plugin) -> None:
    with ExitStack() as open_sockets:
        listener = open_sockets.enter_context(socket.socket(socket.AF_UNIX))
        listener.bind(str(plugin.socket))
        listener.listen(0)
        with contextlib.suppress(BlockingIOError):
            while True:
                waiting = open_sockets.enter_context(socket.socket(socket.AF_UNIX))
                waiting.setblocking(False)
                waiting.connect(str(plugin.socket))
        before = time.monotonic()

        outcome = plugin.call("STATUS", {}, plugin.conf(timeoutSeconds=1))

    assert code(outcome) == 50
    assert "queue of connections within 1 s" in outcome.document()["msg"]
    assert 0.9 < time.monotonic() - before < 3


MALFORMED: list[tuple[str, bytes]] = [
    ("another protocol", b"HTTP/1.1 400 Bad Request\r\n\r\n"),
    ("an exit code above a byte", b"FLR1\0\1\0\0\2\0\0\0{}"),
    ("a length above the limit", b"FLR1\0\0\0\0\xff\xff\xff\xff"),
    ("an error without a document", cni_wire.encode_response(Response(1, b""))),
    ("an error that is no JSON", cni_wire.encode_response(Response(1, b"Traceback"))),
    ("a success that is no JSON", cni_wire.encode_response(Response(0, b"ok"))),
]


@pytest.mark.parametrize("frame", [row[1] for row in MALFORMED], ids=[row[0] for row in MALFORMED])
def test_an_answer_that_is_not_of_the_protocol_is_code_5(plugin: Plugin, frame: bytes) -> None:
    with FakeAgent(plugin.socket, lambda _: frame):
        outcome = plugin.call("STATUS", {}, plugin.conf())

    assert code(outcome) == 5
    assert "the agent" in outcome.document()["msg"]


DEAD: list[tuple[str, Answer]] = [
    ("closes without a word", lambda _: b""),
    ("dies inside the header", lambda _: b"FLR1\0\0"),
    ("dies inside the output", lambda _: cni_wire.encode_response(Response(0, RESULT))[:-1]),
    ("does not answer in time", lambda _: None),
]
SILENT = pytest.mark.parametrize("answer", [row[1] for row in DEAD], ids=[row[0] for row in DEAD])


@SILENT
def test_an_agent_that_dies_or_hangs_is_code_50_for_status(plugin: Plugin, answer: Answer) -> None:
    with FakeAgent(plugin.socket, answer):
        assert code(plugin.call("STATUS", {}, plugin.conf(timeoutSeconds=1))) == 50


@SILENT
def test_a_del_that_nobody_answers_is_remembered_and_succeeds(plugin: Plugin, answer: Answer) -> None:
    with FakeAgent(plugin.socket, answer):
        outcome = plugin.call("DEL", ATTACHMENT, plugin.conf(timeoutSeconds=1))

    assert (outcome.status, outcome.stdout) == (0, b"")
    assert spooled(plugin) == ["c0ffee@eth0"]


@pytest.mark.parametrize("frame", [row[1] for row in MALFORMED], ids=[row[0] for row in MALFORMED])
def test_a_del_that_is_answered_in_riddles_is_remembered_and_succeeds(plugin: Plugin, frame: bytes) -> None:
    with FakeAgent(plugin.socket, lambda _: frame):
        assert plugin.call("DEL", ATTACHMENT, plugin.conf()).status == 0

    assert spooled(plugin) == ["c0ffee@eth0"]


def test_a_del_with_the_agent_down_leaves_the_whole_request_in_the_spool(plugin: Plugin) -> None:
    outcome = plugin.call("DEL", ATTACHMENT | {"CNI_NETNS": "/gone"}, plugin.conf())

    file = plugin.spool / "c0ffee@eth0"
    request = cni_wire.decode_request(file.read_bytes())
    assert outcome.status == 0
    assert request.env == ATTACHMENT | {"CNI_COMMAND": "DEL", "CNI_NETNS": "/gone"}
    assert request.stdin == plugin.conf()
    assert file.stat().st_mode & 0o777 == 0o600
    assert plugin.spool.stat().st_mode & 0o777 == 0o700


def test_a_second_del_replaces_the_first_in_the_spool(plugin: Plugin) -> None:
    for args in ("A=1", "A=2"):
        assert plugin.call("DEL", ATTACHMENT | {"CNI_ARGS": args}, plugin.conf()).status == 0

    assert spooled(plugin) == ["c0ffee@eth0"]
    request = cni_wire.decode_request((plugin.spool / "c0ffee@eth0").read_bytes())
    assert request.env["CNI_ARGS"] == "A=2"


def test_a_del_with_the_longest_names_fits_the_spool(plugin: Plugin) -> None:
    env = {"CNI_CONTAINERID": "a" * 239, "CNI_IFNAME": "b" * 15}

    assert plugin.call("DEL", env, plugin.conf()).status == 0
    assert spooled(plugin) == ["a" * 239 + "@" + "b" * 15]


def test_a_del_that_can_neither_be_done_nor_remembered_fails_and_names_both_causes(plugin: Plugin) -> None:
    plugin.spool.parent.mkdir(parents=True)
    plugin.spool.write_text("a file in the place of the directory")

    outcome = plugin.call("DEL", ATTACHMENT, plugin.conf())

    assert code(outcome) == 5
    assert str(plugin.socket) in outcome.document()["msg"]
    assert f"{plugin.spool}/c0ffee@eth0" in outcome.document()["msg"]


@pytest.mark.parametrize("verb", ["STATUS", "GC"])
def test_only_a_del_is_remembered(plugin: Plugin, verb: str) -> None:
    plugin.call(verb, ATTACHMENT, plugin.conf())

    assert spooled(plugin) == []


def test_stdin_that_stays_open_does_not_hold_a_call_that_is_refused_anyway(binary: Path) -> None:
    read_end, write_end = os.pipe()
    before = time.monotonic()

    done = subprocess.run([binary], env={}, stdin=read_end, capture_output=True, timeout=20, check=False)

    os.close(read_end)
    os.close(write_end)
    assert done.returncode == 1
    assert time.monotonic() - before < 5


def test_closed_standard_descriptors_do_not_crash_the_plugin(plugin: Plugin, binary: Path) -> None:
    command = ["sh", "-c", f"exec {binary} <&- >&- 2>&-"]

    done = subprocess.run(
        command, env={"CNI_COMMAND": "STATUS"}, capture_output=True, timeout=20, check=False
    )

    assert (done.returncode, done.stdout) == (1, b"")


def test_a_reader_that_went_away_does_not_kill_the_plugin(plugin: Plugin, binary: Path) -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)

    env = {"CNI_COMMAND": "VERSION"}
    done = subprocess.run(
        [binary], env=env, stdin=subprocess.DEVNULL, stdout=write_end, timeout=20, check=False
    )

    os.close(write_end)
    assert done.returncode == 1
