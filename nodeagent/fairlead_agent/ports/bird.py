"""BIRD's control socket and its configuration file.

The file and what BIRD runs are one transaction, so that a BIRD that restarts by itself reads what it ran:

    write bird.conf.new, fsync -> configure check -> configure soft ... timeout 10 -> read back
      bad:  configure undo                              file untouched
      good: rename to bird.conf -> configure confirm -> reload out

An agent that dies in the middle leaves the undo timer running: BIRD itself returns to what the file says.
`soft` keeps sessions whose filters changed; `reload out` then sends them what the new filters say.
"""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

from fairlead_agent.ports import PortError
from fairlead_core import birdc
from fairlead_core.bird import DEVICE, BirdConfig
from fairlead_core.bird_tokens import Network
from fairlead_core.sessions import ESTABLISHED, Seen

UNDO_AFTER_S = 10
READ_BACK_S = 3.0
DEADLINE_S = 5.0


class Bird:
    """The BIRD whose configuration and control socket are in `directory` (same path in BIRD's container)."""

    def __init__(self, directory: Path, deadline_s: float = DEADLINE_S) -> None:
        self._config = directory / "bird.conf"
        self._candidate = directory / "bird.conf.new"
        self._socket = directory / "bird.ctl"
        self._deadline_s = deadline_s

    def running(self) -> str | None:
        """The digest of what BIRD runs; None when that is none of ours. Raises PortError."""
        with self._session() as bird:
            return _running(bird)

    def stored(self) -> str | None:
        """The text that BIRD will read when it starts; None when there is none. Raises PortError."""
        try:
            return self._config.read_text()
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError) as error:
            raise PortError(f"{self._config}: cannot be read: {error}") from error

    def apply(self, config: BirdConfig) -> None:
        """Make BIRD run and store this configuration, or leave both as they are and raise PortError."""
        self._write_candidate(config.text)
        with self._session() as bird:
            bird.ask(f'configure check "{self._candidate}"')
            bird.ask(f'configure soft "{self._candidate}" timeout {UNDO_AFTER_S}')
            try:
                _require_running(bird, config)
                self._commit_candidate()
            except PortError:
                bird.ask("configure undo")
                raise
            bird.ask("configure confirm")
            bird.ask('reload out "peer_*"')

    def store(self, config: BirdConfig) -> None:
        """Put back the file of the configuration that BIRD already runs. Raises PortError."""
        self._write_candidate(config.text)
        self._commit_candidate()

    def seen(self) -> Seen:
        """Sessions, BFD and what each established session has really exported. Raises PortError."""
        with self._session() as bird, _answers_of("show"):
            protocols = birdc.parse_protocols(bird.ask("show protocols all"))
            # Without a BFD protocol the question is an error.
            has_bfd = any(protocol.kind == "BFD" for protocol in protocols)
            bfd = birdc.parse_bfd_sessions(bird.ask("show bfd sessions")) if has_bfd else ()
            up = [protocol.name for protocol in protocols if protocol.bgp_state == ESTABLISHED]
            return Seen(protocols, bfd, {name: _exported(bird, name) for name in up})

    @contextlib.contextmanager
    def _session(self) -> Iterator[_Session]:
        deadline_s = time.monotonic() + self._deadline_s
        try:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(self._deadline_s)
                connection.connect(str(self._socket))
                session = _Session(connection, deadline_s)
                session.read()
                yield session
        except OSError as error:
            raise PortError(f"BIRD at {self._socket}: does not answer: {error}") from error

    def _write_candidate(self, text: str) -> None:
        # It may hold passwords: nobody but root reads it.
        try:
            descriptor = os.open(self._candidate, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "w") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise PortError(f"{self._candidate}: cannot be written: {error}") from error

    def _commit_candidate(self) -> None:
        try:
            self._candidate.replace(self._config)
        except OSError as error:
            raise PortError(f"{self._config}: cannot be replaced: {error}") from error


class _Session:
    """One connection; every read ends at the deadline that all its commands share."""

    def __init__(self, connection: socket.socket, deadline_s: float) -> None:
        self._connection = connection
        self._deadline_s = deadline_s

    def ask(self, command: str) -> birdc.Reply:
        self._connection.sendall(command.encode() + b"\n")
        reply = self.read(command)
        with _answers_of(command):
            return birdc.require_done(reply)

    def read(self, command: str = "greeting") -> birdc.Reply:
        buffer = b""
        while not birdc.is_complete(buffer):
            self._connection.settimeout(max(0.001, self._deadline_s - time.monotonic()))
            part = self._connection.recv(65536)
            if not part or len(buffer) > birdc.REPLY_BYTES_MAX:
                raise PortError(f"BIRD, {command}: the answer ends after {len(buffer)} bytes")
            buffer += part
        with _answers_of(command):
            return birdc.parse_reply(buffer)


@contextlib.contextmanager
def _answers_of(command: str) -> Iterator[None]:
    try:
        yield
    except (birdc.BirdReplyError, birdc.BirdRefusedError) as error:
        raise PortError(f"BIRD, {command}: {error}") from error


def _running(bird: _Session) -> str | None:
    protocols = birdc.parse_protocols(bird.ask("show protocols all"))
    return next((found.description for found in protocols if found.name == DEVICE), None)


def _require_running(bird: _Session, config: BirdConfig) -> None:
    # BIRD answers "0004 in progress" when a session has to close first, so its answer alone proves nothing.
    give_up_s = time.monotonic() + READ_BACK_S
    while True:
        missing = _missing(bird, config)
        if not missing:
            return
        if time.monotonic() > give_up_s:
            raise PortError(f"BIRD, configure soft: {missing} is not there {READ_BACK_S} s later; undone")
        time.sleep(0.02)


def _missing(bird: _Session, config: BirdConfig) -> str:
    protocols = birdc.parse_protocols(bird.ask("show protocols all"))
    if config.digest not in {found.description for found in protocols if found.name == DEVICE}:
        return f"configuration {config.digest}"
    names = {found.name for found in protocols}
    return next((name for name in config.protocols.values() if name not in names), "")


def _exported(bird: _Session, protocol: str) -> tuple[Network, ...]:
    # "exported" is what went out, "export" only what today's filter would send. A session may close now.
    try:
        return birdc.parse_routes(bird.ask(f"show route exported {protocol}"))
    except PortError:
        return ()
