"""The address journal on disk: nothing is answered that is not in it."""

from collections.abc import Sequence
from pathlib import Path

from fairlead_core.journal import Record, Replay


class JournalFile:
    """An append-only file, safe for many threads; one fdatasync serves all that wait (group commit)."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def load(self) -> Replay:
        """Opens or creates the file (0600), cuts a torn tail, returns its records. Raises PortError."""
        raise NotImplementedError

    def append(self, records: Sequence[Record]) -> None:
        """Returns when the records are on disk. Raises PortError, and then none of them will be replayed."""
        raise NotImplementedError

    def compact(self, records: Sequence[Record]) -> None:
        """Replaces the file by `records` in one step (temporary file, rename). Raises PortError."""
        raise NotImplementedError

    def close(self) -> None:
        """Gives the file back; everything appended is on disk already."""
        raise NotImplementedError
