"""The CNI socket: bounds, descriptors, callers that misbehave."""

from __future__ import annotations

import json
import os
import socket
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fairlead_agent.cni_server import CNIServer
from fairlead_core.cni import Call, Code, Failure
from fairlead_core.cni_wire import Request, Response, decode_response, encode_request

STDIN = json.dumps({"cniVersion": "1.0.0", "name": "n", "type": "fairlead"}).encode()
ENV = {"CNI_COMMAND": "DEL", "CNI_CONTAINERID": "c1", "CNI_IFNAME": "eth0"}


class Caller:
    """A server whose answers are scripted, and what it saw."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.seen: list[tuple[Call, int | None]] = []
        self.observed: list[tuple[str, str]] = []
        self.answer: bytes | Failure = b"{}"
        self.slow_s = 0.0
        self.waited: list[bool] = []
        self.server = CNIServer(path, self._answer, lambda v, o, _: self.observed.append((v, o)), workers=4)

    def _answer(self, call: Call, netns_fd: int | None, waits: Callable[[], bool]) -> bytes | Failure:
        if netns_fd is not None:
            os.fstat(netns_fd)  # still open while the call is answered
        self.seen.append((call, netns_fd))
        if self.slow_s:
            time.sleep(self.slow_s)
        self.waited.append(waits())
        return self.answer

    def send(self, frame: bytes, descriptors: tuple[int, ...] = ()) -> Response:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(10)
            connection.connect(str(self.path))
            if descriptors:
                socket.send_fds(connection, [frame], list(descriptors))
            else:
                connection.sendall(frame)
            data = b""
            while more := connection.recv(65536):
                data += more
        return decode_response(data)


@pytest.fixture
def caller(tmp_path: Path) -> Iterator[Caller]:
    made = Caller(tmp_path / "run" / "cni.sock")
    made.server.start()
    yield made
    made.server.stop()


def test_a_call_is_answered_and_counted(caller: Caller) -> None:
    assert caller.send(encode_request(Request(ENV, STDIN))) == Response(0, b"{}")
    assert caller.seen[0][0].key.container_id == "c1"
    assert caller.observed == [("DEL", "ok")]


def test_only_root_may_connect(caller: Caller) -> None:
    assert stat.S_IMODE(caller.path.stat().st_mode) == 0o600


def test_a_failure_is_a_document_in_the_callers_version(caller: Caller) -> None:
    caller.answer = Failure(Code.TRY_LATER, "later")

    response = caller.send(encode_request(Request(ENV, STDIN)))

    assert response.exit_code == 1
    assert json.loads(response.stdout) == {"cniVersion": "1.0.0", "code": 11, "msg": "later", "details": ""}
    assert caller.observed == [("DEL", "try_later")]


def test_the_namespace_comes_with_the_call_and_no_descriptor_stays_open(caller: Caller) -> None:
    before = len(os.listdir("/proc/self/fd"))
    read, write = os.pipe()

    for _ in range(20):
        caller.send(encode_request(Request(ENV, STDIN)), (read, write))

    os.close(read)
    os.close(write)
    assert all(netns_fd is not None for _, netns_fd in caller.seen)
    give_up_s = time.monotonic() + 5
    while len(os.listdir("/proc/self/fd")) > before and time.monotonic() < give_up_s:
        time.sleep(0.01)
    assert len(os.listdir("/proc/self/fd")) <= before


@pytest.mark.parametrize(
    "frame",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"FLC1" + b"\xff" * 8,
        encode_request(Request(ENV, STDIN)) + b"x",
        b"FLC1" + bytes(8),
    ],
)
def test_what_is_no_request_gets_an_error_document(caller: Caller, frame: bytes) -> None:
    response = caller.send(frame)

    assert response.exit_code == 1
    assert json.loads(response.stdout)["code"] in (Code.DECODE, Code.BAD_ENVIRONMENT)
    assert caller.seen == []


def test_callers_that_hang_up_or_stay_silent_do_not_take_the_server_down(caller: Caller) -> None:
    silent = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    silent.connect(str(caller.path))
    for part in (b"", b"FL", encode_request(Request(ENV, STDIN))[:20], encode_request(Request(ENV, STDIN))):
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.connect(str(caller.path))
            connection.sendall(part)

    response = caller.send(encode_request(Request(ENV, STDIN)))

    silent.close()
    assert response.exit_code == 0


def test_a_call_knows_whether_somebody_still_waits_for_it(caller: Caller) -> None:
    caller.send(encode_request(Request(ENV, STDIN)))
    caller.slow_s = 0.2
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.connect(str(caller.path))
        connection.sendall(encode_request(Request(ENV, STDIN)))
        time.sleep(0.1)

    give_up_s = time.monotonic() + 5
    while len(caller.waited) < 2 and time.monotonic() < give_up_s:
        time.sleep(0.01)
    assert caller.waited == [True, False]


def test_a_socket_that_a_dead_agent_left_is_taken_over(tmp_path: Path) -> None:
    path = tmp_path / "cni.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as dead:
        dead.bind(str(path))
    caller = Caller(path)

    caller.server.start()
    response = caller.send(encode_request(Request(ENV, STDIN)))

    caller.server.stop()
    assert response.exit_code == 0
    assert not path.exists()
