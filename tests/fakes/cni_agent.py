"""An agent for the plugin's tests: a thread on a unix socket that records requests and answers as told."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from fairlead_core import cni_wire
from fairlead_core.cni_wire import Request, Response


@dataclass(frozen=True, slots=True)
class Received:
    """One request, and the inode of the namespace that came beside it (None: no descriptor came)."""

    request: Request
    netns_inode: int | None


Answer = Callable[[Received], bytes | None]


def says(response: Response) -> Answer:
    """The same whole answer to everybody."""
    frame = cni_wire.encode_response(response)
    return lambda _: frame


class FakeAgent:
    """`answer` gives the bytes to send before the connection is closed; None keeps it open and silent.

    An impatient agent answers after the header, whatever else is on its way.
    """

    def __init__(self, path: Path, answer: Answer, impatient: bool = False) -> None:
        self.path, self._impatient = path, impatient
        self.received: list[Received] = []
        self._answer = answer
        self._open: list[socket.socket] = []
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(path))
        self._listener.listen(64)
        self._thread = threading.Thread(target=self._accept, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join(timeout=5)
        for connection in (self._listener, *self._open):
            connection.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._converse(connection)

    def _converse(self, connection: socket.socket) -> None:
        received = _only_header(connection) if self._impatient else receive(connection)
        self.received.append(received)
        answer = self._answer(received)
        if answer is None:
            self._open.append(connection)
            return
        connection.sendall(answer)
        connection.close()


def receive(connection: socket.socket) -> Received:
    """Reads one request and looks at the namespace that came with it."""
    data, descriptors, _, _ = socket.recv_fds(connection, 65536, 1)
    while (length := cni_wire.request_length(data)) is None or len(data) < length:
        data += connection.recv(65536)
    return Received(cni_wire.decode_request(data), _inode(descriptors))


def _only_header(connection: socket.socket) -> Received:
    connection.recv(cni_wire.HEADER_BYTES)
    return Received(Request({}, b""), None)


def _inode(descriptors: list[int]) -> int | None:
    inodes = [os.fstat(descriptor).st_ino for descriptor in descriptors]
    for descriptor in descriptors:
        os.close(descriptor)
    return inodes[0] if inodes else None
