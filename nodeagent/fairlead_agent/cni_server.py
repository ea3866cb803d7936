"""The CNI socket: reads one request, has it answered, writes one response, closes.

Every worker accepts for itself, so a call changes threads nowhere. A worker that waits for a block blocks
only itself; when all do, callers queue in the socket's backlog and the plugin's own deadline bounds them.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

from fairlead_agent.ports import PortError
from fairlead_core import cni
from fairlead_core.cni import Call, Code, Failure
from fairlead_core.cni_wire import (
    Request,
    Response,
    WireError,
    decode_request,
    encode_response,
    request_length,
)

WORKERS = 32
_STACK_BYTES = 512 * 1024  # 32 default stacks of 8 MiB would only be address space, but limits count it
_REQUEST_TIMEOUT_S = 5.0
_DRAIN_S = 8.0  # an ADD waits 5 s for a block at most
_READ_BYTES = 64 * 1024

Answer = Callable[[Call, int | None, Callable[[], bool]], bytes | Failure]
Observe = Callable[[str, str, float], None]


class CNIServer:
    """Listens from `start` to `stop`. `observe` is told verb, outcome and seconds of every call."""

    def __init__(self, path: Path, answer: Answer, observe: Observe, workers: int = WORKERS) -> None:
        self._path, self._answer, self._observe, self._workers = path, answer, observe, workers
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        self._busy: set[object] = set()  # adding and discarding are atomic under the interpreter's lock
        self.serving = False

    def start(self) -> None:
        """Binds the socket (0600, over what a dead agent left) and starts the workers. Raises PortError."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._path.unlink(missing_ok=True)
            # No window in which others could connect: the mode is there before the name is.
            before = os.umask(0o177)
            try:
                self._listener.bind(str(self._path))
            finally:
                os.umask(before)
            self._listener.listen(128)
        except OSError as error:
            raise PortError(f"socket {self._path} listen: {error}") from error
        threading.stack_size(_STACK_BYTES)
        for index in range(self._workers):
            threading.Thread(target=self._work, name=f"cni-{index}", daemon=True).start()
        threading.stack_size(0)
        self.serving = True

    def stop(self) -> None:
        """Takes no more calls; waits a while for those under way, so that no pod is left half wired."""
        self.serving = False
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._path.unlink(missing_ok=True)
        give_up_s = time.monotonic() + _DRAIN_S
        while self._busy and time.monotonic() < give_up_s:
            time.sleep(0.01)

    def _work(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                if not self.serving:
                    return
                time.sleep(0.1)  # out of descriptors: others give theirs back
                continue
            call = object()
            self._busy.add(call)
            with connection:
                self._serve(connection)
            self._busy.discard(call)

    def _serve(self, connection: socket.socket) -> None:
        descriptors: list[int] = []
        try:
            connection.settimeout(_REQUEST_TIMEOUT_S)
            request = _receive(connection, descriptors)
            netns_fd = descriptors[0] if descriptors else None
            response = self._respond(request, netns_fd, lambda: _waits(connection))
            connection.sendall(encode_response(response))
        except WireError as error:
            failure = Failure(Code.DECODE, f"request to the agent: {error}")
            with contextlib.suppress(OSError):
                connection.sendall(encode_response(Response(1, cni.error_document(failure))))
        except OSError:
            pass  # the plugin gave up; the runtime will DEL what it does not know of
        finally:
            for descriptor in descriptors:
                os.close(descriptor)

    def _respond(self, request: Request, netns_fd: int | None, waits: Callable[[], bool]) -> Response:
        started_s = time.monotonic()
        call = cni.parse_call(request.env, request.stdin)
        answer = call if isinstance(call, Failure) else self._answer(call, netns_fd, waits)
        verb = "invalid" if isinstance(call, Failure) else call.verb
        outcome = answer.code.name.lower() if isinstance(answer, Failure) else "ok"
        self._observe(verb, outcome, time.monotonic() - started_s)
        if isinstance(answer, Failure):
            return Response(1, cni.error_document(answer, cni.requested_version(request.stdin)))
        return Response(0, answer)


def _waits(connection: socket.socket) -> bool:
    """Whether the plugin is still there: it closes its end only when it is done or has given up."""
    poll = select.poll()
    poll.register(connection, select.POLLRDHUP)
    return not poll.poll(0)


def _receive(connection: socket.socket, descriptors: list[int]) -> Request:
    """One whole request. Its descriptors are appended before anything can fail, so that they get closed."""
    deadline_s = time.monotonic() + _REQUEST_TIMEOUT_S
    data, received, _flags, _address = socket.recv_fds(connection, _READ_BYTES, 1)
    descriptors.extend(received)
    frame = bytearray(data)
    while (length := request_length(bytes(frame[:64]))) is None or len(frame) < length:
        if time.monotonic() > deadline_s:
            raise TimeoutError("the request did not arrive in time")
        more = connection.recv(_READ_BYTES)
        if not more:
            raise ConnectionError("the caller hung up in the middle of its request")
        frame += more
    return decode_request(bytes(frame))
