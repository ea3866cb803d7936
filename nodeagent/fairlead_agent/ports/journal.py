"""The address journal on disk: no address is answered that is not in it.

    records ... | zero bytes, at least HEADROOM_BYTES, up to a multiple of FILL_BYTES

Zero bytes are written (and made durable) ahead, because overwriting costs the file system no change of
metadata: a third less time per answer. The headroom is for releases alone: on a full disk no address is given
any more, but pods can still go away.
"""

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from threading import Condition
from typing import Final

from fairlead_agent.ports import PortError
from fairlead_core.journal import PADDING, Hold, Record, Replay, decode, encode

FILL_BYTES: Final = 256 * 1024
HEADROOM_BYTES: Final = 64 * 1024
DAMAGED_SUFFIX: Final = ".damaged"


class JournalFile:
    """An append-only file, safe for many threads; one fdatasync serves all that wait (group commit)."""

    def __init__(self, path: Path, sync: Callable[[int], None] = os.fdatasync) -> None:
        self.path = path
        self._sync = sync
        self._fd = -1
        self._end = 0  # everything before it is written, and takes are on disk
        self._filled = 0  # length of the file, zero bytes from _end on
        self._torn = False  # a failed write may have left bytes behind _end
        self._renamed = False  # the file's name may not be on disk yet
        self._changed = Condition()
        self._waiting: list[_Batch] = []
        self._writing = False

    @property
    def size_bytes(self) -> int:
        """Bytes of records, without the zero bytes behind them."""
        return self._end

    def load(self) -> Replay:
        """Opens or creates the file (0600), cuts a torn tail, returns its records. Raises PortError.

        A journal with damaged lines is also kept beside it, as <name>.damaged, for a person to look at.
        """
        try:
            self._open()
            replay = decode(self._content())
            if replay.damaged:
                self._keep_copy()
            self._end, self._torn = replay.good_bytes, True
            self._mend()
        except OSError as error:
            raise self._failure("open", error) from error
        self._make_room(HEADROOM_BYTES)  # a full disk is no reason not to start
        return replay

    def append(self, records: Sequence[Record]) -> None:
        """Returns when takes are on disk and releases are written. Raises PortError: none will be replayed.

        A release does not wait for the disk: a power cut that undoes it has ended its pod as well, and a
        lease without a link is given back at the next start. The sync of a later take covers it.
        """
        takes = any(isinstance(record, Hold) for record in records)
        batch = _Batch(b"".join(encode(record) for record in records), takes)
        with self._changed:
            self._waiting.append(batch)
            while self._writing and not batch.done:
                self._changed.wait()
            if not batch.done:
                self._writing = True
        if not batch.done:
            self._lead()
        if batch.error is not None:
            raise self._failure("write", batch.error) from batch.error

    def compact(self, records: Sequence[Record]) -> None:
        """Replaces the file by `records` in one step (temporary file, rename). Raises PortError.

        The caller sees to it that no append is under way.
        """
        content = b"".join(encode(record) for record in records)
        try:
            self._replace(content)
            self._mend()
        except OSError as error:
            raise self._failure("compact", error) from error

    def close(self) -> None:
        """Gives the file back with everything in it on disk."""
        with self._changed:
            if self._fd >= 0:
                with suppress(OSError):
                    self._sync(self._fd)
                os.close(self._fd)
            self._fd = -1

    def _replace(self, content: bytes) -> None:
        temporary = self.path.with_name(self.path.name + ".new")
        fd = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            _write(fd, content, 0)
            os.fsync(fd)
            temporary.rename(self.path)
        except OSError:
            os.close(fd)
            raise
        os.close(self._fd)
        self._fd, self._end, self._filled = fd, len(content), len(content)
        self._torn, self._renamed = False, True

    def _lead(self) -> None:
        """Writes what waits, for every thread that waits, and leaves the lead to one of the later ones."""
        with self._changed:
            batches, self._waiting = self._waiting, []
        full = self._make_room(HEADROOM_BYTES + sum(len(batch.content) for batch in batches))
        writing = [batch for batch in batches if full is None or not batch.takes]
        content, durable = b"".join(batch.content for batch in writing), any(batch.takes for batch in writing)
        error = self._commit(content, durable) if writing else None
        with self._changed:
            for batch in batches:
                batch.done, batch.error = True, error if batch in writing else full
            self._writing = False
            self._changed.notify_all()

    def _make_room(self, room_bytes: int) -> OSError | None:
        try:
            self._mend()
            self._fill(self._end + room_bytes)
        except OSError as error:
            with suppress(OSError):
                self._mend()
            return error
        return None

    def _commit(self, content: bytes, durable: bool) -> OSError | None:
        try:
            self._fill(self._end + len(content))
            self._torn = True
            _write(self._fd, content, self._end)
            if durable:
                self._sync(self._fd)
        except OSError as error:
            with suppress(OSError):
                self._mend()
            return error
        self._torn = False
        self._end += len(content)
        return None

    def _mend(self) -> None:
        """Makes zero bytes of what a failed write (or a crash) left behind the last good record."""
        if self._renamed:
            # Until the directory is on disk, a crash would bring the old file back, without later records.
            self._sync_directory()
            self._renamed = False
        if self._torn:
            size = os.fstat(self._fd).st_size
            _write(self._fd, PADDING * (size - self._end), self._end)
            os.fsync(self._fd)
            self._filled, self._torn = size, False

    def _fill(self, wanted: int) -> None:
        """Zero bytes up to a multiple of FILL_BYTES, durable, so that `wanted` bytes only overwrite."""
        if wanted <= self._filled:
            return
        target = -(-wanted // FILL_BYTES) * FILL_BYTES
        self._torn = True
        _write(self._fd, PADDING * (target - self._filled), self._filled)
        os.fsync(self._fd)
        self._filled, self._torn = target, False

    def _open(self) -> None:
        self._fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        os.fchmod(self._fd, 0o600)
        self._renamed = True

    def _content(self) -> bytes:
        content = bytearray()
        while chunk := os.pread(self._fd, FILL_BYTES, len(content)):
            content += chunk
        return bytes(content)

    def _keep_copy(self) -> None:
        copy = self.path.with_name(self.path.name + DAMAGED_SUFFIX)
        with open(copy, "wb", opener=_private) as file:
            file.write(self._content().rstrip(PADDING))

    def _sync_directory(self) -> None:
        directory = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)

    def _failure(self, action: str, error: OSError) -> PortError:
        return PortError(f"address journal {self.path}: {action}: {error.strerror or error}")


class _Batch:
    """The lines of one append, whether they take addresses, and what became of them."""

    __slots__ = ("content", "done", "error", "takes")

    def __init__(self, content: bytes, takes: bool) -> None:
        self.content = content
        self.takes = takes
        self.done = False
        self.error: OSError | None = None


def _write(fd: int, content: bytes, offset: int) -> None:
    rest = memoryview(content)
    while rest:
        written = os.pwrite(fd, rest, offset)
        rest, offset = rest[written:], offset + written


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_CLOEXEC, 0o600)
