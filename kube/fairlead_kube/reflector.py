"""A live copy of one collection: list, then watch, for ever.

    list ok ──────────▶ replace the view (what is gone is a delete, also when nobody told us)
    list fails ───────▶ keep the view, back off, list again
    watch ends ───────▶ watch again from the last resource version
    watch breaks ─────▶ back off, watch again from there
    410, garbage, a resource version that went backwards ─▶ back off, list again

A listener is told only that something changed: it reads `view()` and decides from that.
Source: API concepts "Efficient detection of changes" (bookmarks, 410 Gone, chunked lists).
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Generic, Protocol, TypeVar

import msgspec
import urllib3

from fairlead_kube.client import PAGE, KubeClient, Query, decode, failure, lines
from fairlead_kube.errors import NO_ANSWER, KubeError


class HasMetadata(Protocol):
    """The object metadata a reflector needs; msgspec structs fit."""

    @property
    def name(self) -> str: ...
    @property
    def namespace(self) -> str | None: ...
    @property
    def resource_version(self) -> str: ...


class HasIdentity(Protocol):
    @property
    def metadata(self) -> HasMetadata: ...


T = TypeVar("T", bound=HasIdentity)


@dataclass(frozen=True, slots=True)
class Pace:
    """How often and how long. The server ends a watch after a random time in `watch_s`, so that a restarted
    API server is not met by all clients at once; bookmarks come each minute, so silence of 75 s is a dead
    peer."""

    page: int = PAGE
    watch_s: tuple[int, int] = (240, 300)
    read_timeout_s: float = 75.0
    backoff_s: tuple[float, float] = (0.5, 30.0)


class _Event(msgspec.Struct):
    type: str
    object: msgspec.Raw


class _Meta(msgspec.Struct, rename="camel"):
    name: str = ""
    namespace: str | None = None
    resource_version: str = ""


class _Bare(msgspec.Struct):
    metadata: _Meta
    code: int = 0


_EVENT: Final = msgspec.json.Decoder(_Event)


def same(old: object, new: object) -> bool:
    return old == new


class Reflector(Generic[T]):
    """The objects under `path` as `type_`, kept current by one daemon thread.

    `on_change` is called from that thread after the view changed (also after the first list) and must not
    block. `unchanged(old, new)` may say that a difference is of no interest: the view takes it, nobody is
    woken. `on_trouble` hears each KubeError, also of single objects that do not fit `type_`; those keep their
    old form.
    """

    def __init__(  # noqa: PLR0913
        self,
        client: KubeClient,
        path: str,
        type_: type[T],
        on_change: Callable[[], None],
        *,
        query: Query | None = None,
        pace: Pace | None = None,
        unchanged: Callable[[T, T], bool] = same,
        on_trouble: Callable[[KubeError], None] = lambda _: None,
    ) -> None:
        self._client, self._path, self._type, self._on_change = client, path, type_, on_change
        self._query, self._pace = dict(query or {}), pace or Pace()
        self._unchanged, self._on_trouble = unchanged, on_trouble
        self._decoder = msgspec.json.Decoder(type_)
        self._objects: dict[str, T] = {}
        self._version = ""
        self._lock = threading.Lock()
        self._synced, self._stopping = threading.Event(), threading.Event()
        self._heard_s: float | None = None
        self._failures = 0
        self._open: urllib3.BaseHTTPResponse | None = None
        self._thread = threading.Thread(target=self._run, name=f"reflect {path}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self, timeout_s: float = 5.0) -> None:
        """End the thread; the view stays as it is."""
        self._stopping.set()
        with self._lock:
            stream = self._open
        if stream is not None:
            _cut(stream)
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    def wait_synced(self, timeout_s: float) -> bool:
        """True once the first whole list is in the view."""
        return self._synced.wait(timeout_s)

    @property
    def synced(self) -> bool:
        return self._synced.is_set()

    def view(self) -> dict[str, T]:
        """A copy of the objects by name, or "namespace/name"."""
        with self._lock:
            return dict(self._objects)

    def stale_s(self) -> float:
        """Seconds since the server last said anything (a list, an event, a bookmark); infinite before the
        first list."""
        return float("inf") if self._heard_s is None else time.monotonic() - self._heard_s

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                if not self._version:
                    self._list()
                self._watch()
                self._failures = 0
            except KubeError as error:
                if self._stopping.is_set():
                    return
                self._on_trouble(error)
                # Only a broken connection may go on from where it was; any answer that is not a watch may
                # mean that the server no longer knows our resource version (compaction, a restored etcd).
                if error.reason != "Unreachable":
                    self._version = ""
                self._stopping.wait(self._backoff_s())
                self._failures += 1

    def _backoff_s(self) -> float:
        low, high = self._pace.backoff_s
        return float(min(high, low * 2 ** min(self._failures, 16)) * random.uniform(0.5, 1.0))

    def _list(self) -> None:
        listing = self._client.list_raw(self._path, self._query, self._pace.page)
        fresh = [self._parse(raw) for raw in listing.items]
        with self._lock:
            old = self._objects
            objects = {key: value if value is not None else old.get(key) for key, value in fresh}
            self._objects = {key: value for key, value in objects.items() if value is not None}
            changed = not self._synced.is_set() or self._differs(old, self._objects)
        self._version, self._heard_s = listing.resource_version, time.monotonic()
        self._synced.set()
        if changed:
            self._on_change()

    def _differs(self, old: Mapping[str, T], new: Mapping[str, T]) -> bool:
        return old.keys() != new.keys() or any(not self._unchanged(old[key], new[key]) for key in new)

    def _watch(self) -> None:
        query = {
            **self._query,
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": self._version,
            "timeoutSeconds": str(random.randint(*self._pace.watch_s)),
        }
        stream = self._client.stream(self._path, query, self._pace.read_timeout_s)
        with self._lock:
            self._open = stream
        try:
            if not self._stopping.is_set():
                self._follow(stream)
        finally:
            with self._lock:
                self._open = None
            stream.close()

    def _follow(self, stream: urllib3.BaseHTTPResponse) -> None:
        heard = False
        try:
            for line in lines(stream):
                self._take(line)
                heard, self._failures, self._heard_s = True, 0, time.monotonic()
        except KubeError as error:
            if heard or error.reason != "Unreachable":
                raise
            # An open watch without even a bookmark: the server may wait for a version that it will never
            # reach.
            raise KubeError(
                NO_ANSWER, "Silent", f"WATCH {self._path}: opened, then nothing: {error}"
            ) from error

    def _take(self, line: bytes) -> None:
        event = self._event(line)
        if event.type == "ERROR":
            raise failure(
                f"WATCH {self._path}", decode("watch error", event.object, _Code).code, bytes(event.object)
            )
        if event.type == "BOOKMARK":
            self._advance(decode(f"WATCH {self._path}", event.object, _Bare).metadata.resource_version)
            return
        key, new = self._parse(event.object)
        if self._store(event.type, key, new):
            self._on_change()
        self._advance(decode(f"WATCH {self._path}", event.object, _Bare).metadata.resource_version)

    def _event(self, line: bytes) -> _Event:
        try:
            event = _EVENT.decode(line)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise KubeError(NO_ANSWER, "BadAnswer", f"WATCH {self._path}: {error}") from error
        if event.type not in ("ADDED", "MODIFIED", "DELETED", "BOOKMARK", "ERROR"):
            raise KubeError(NO_ANSWER, "BadAnswer", f"WATCH {self._path}: event of type {event.type!r}")
        return event

    def _store(self, kind: str, key: str, new: T | None) -> bool:
        with self._lock:
            old = self._objects.get(key)
            if kind == "DELETED":
                return self._objects.pop(key, None) is not None
            if new is None:
                return False
            self._objects[key] = new
            return old is None or not self._unchanged(old, new)

    def _advance(self, version: str) -> None:
        """Go on from `version`. One that is smaller comes from a restored etcd: our view is of a lost
        future."""
        if version.isdigit() and self._version.isdigit() and int(version) < int(self._version):
            told = f"WATCH {self._path}: resource version went back from {self._version} to {version}"
            raise KubeError(NO_ANSWER, "BadAnswer", told)
        self._version = version or self._version

    def _parse(self, raw: msgspec.Raw) -> tuple[str, T | None]:
        """The object and its key; None for one that does not fit, which must not hide all the others."""
        try:
            item = self._decoder.decode(raw)
            return _key(item.metadata), item
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            meta = decode(self._path, raw, _Bare).metadata
            if not meta.name:
                raise KubeError(NO_ANSWER, "BadAnswer", f"{self._path}: an object without a name") from error
            told = f"{self._path}: {_key(meta)} does not fit: {error}"
            self._on_trouble(KubeError(NO_ANSWER, "BadObject", told))
            return _key(meta), None


class _Code(msgspec.Struct):
    code: int = 0


def _key(meta: HasMetadata) -> str:
    return f"{meta.namespace}/{meta.name}" if meta.namespace else meta.name


def _cut(stream: urllib3.BaseHTTPResponse) -> None:
    """Wake a thread that waits in a read; close() alone would wait for it."""
    try:
        stream.shutdown()
    except (ValueError, RuntimeError, OSError):
        return  # the watch has just ended by itself
