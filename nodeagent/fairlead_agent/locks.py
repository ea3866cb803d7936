"""One lock per attachment: CNI calls and repairs of the same attachment run one after the other."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from fairlead_core.cni import AttachmentKey


class KeyedLocks:
    """One lock per attachment, kept only as long as somebody uses it."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._locks: dict[AttachmentKey, tuple[threading.Lock, int]] = {}

    @contextmanager
    def hold(self, key: AttachmentKey) -> Iterator[None]:
        """Runs the body while no other body of the same key runs."""
        with self._guard:
            lock, users = self._locks.get(key, (threading.Lock(), 0))
            self._locks[key] = (lock, users + 1)
        try:
            with lock:
                yield
        finally:
            with self._guard:
                lock, users = self._locks.pop(key)
                if users > 1:
                    self._locks[key] = (lock, users - 1)
