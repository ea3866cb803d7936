"""A small Kubernetes API server for tests: real HTTP, in memory, with the faults that real ones show.

Knows collections, not kinds: lists in pages, watches with bookmarks and 410, status subresource, optimistic
locking, finalizers, server-side apply with field owners (lists are atomic, finalizers a set).

    with FakeAPIServer({"/api/v1/nodes": "Node"}) as api:
        api.put("/api/v1/nodes", {"metadata": {"name": "n1"}})
        client = KubeClient(api.config())
        api.faults.append(Fault("GET", "/nodes", status=500, times=2))
"""

from __future__ import annotations

import copy
import json
import re
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from fairlead_kube.config import KubeConfig

Object = dict[str, Any]
Leaf = tuple[str, ...]


@dataclass
class Fault:
    """The next `times` requests that match get `status` with `body` (raw; default a Status), or are cut."""

    method: str
    path: str
    status: int = 500
    body: bytes | None = None
    cut: bool = False
    times: int = 1

    def takes(self, method: str, path: str) -> bool:
        return (
            self.times > 0
            and re.fullmatch(self.method, method) is not None
            and re.search(self.path, path) is not None
        )


class APIError(Exception):
    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status, self.reason = status, reason


class FakeAPIServer:
    """`collections` maps a path to the kind in it; "/api/v1/pods" also lists "/api/v1/namespaces/*/pods"."""

    def __init__(self, collections: Mapping[str, str]) -> None:
        self.collections = dict(collections)
        self.objects: dict[str, Object] = {}  # full path -> object
        self.owners: dict[str, dict[str, set[Leaf]]] = {}  # full path -> field manager -> leaves
        self.events: list[tuple[int, str, str, Object]] = []  # version, collection, type, object
        self.requests: list[tuple[str, str]] = []
        self.headers: list[dict[str, str]] = []
        self.faults: list[Fault] = []
        self.oldest = 0  # watches from before this version get 410
        self.version = 0
        self.epoch = 0  # a watch of an older epoch is cut
        self.changed = threading.Condition(threading.RLock())
        handler = type("Handler", (_Handler,), {"api": self})
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.server.daemon_threads = True
        self.thread = threading.Thread(
            target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        )

    def __enter__(self) -> FakeAPIServer:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.drop_watches()
        self.server.shutdown()
        self.server.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    def config(self) -> KubeConfig:
        return KubeConfig(server=self.url)

    # what a test does to the cluster

    def put(self, collection: str, value: Object) -> Object:
        """Create or replace as cluster admin, status included."""
        with self.changed:
            path = f"{collection}/{value['metadata']['name']}"
            return self.store(
                collection, path, {"kind": self.collections[collection], **copy.deepcopy(value)}
            )

    def remove(self, path: str, *, silently: bool = False) -> None:
        """Delete without finalizers; silently = no watch event, as when it happened during an outage."""
        with self.changed:
            gone = self.objects.pop(path)
            if silently:
                self.version += 1
            else:
                self.announce(path.rpartition("/")[0], "DELETED", gone)

    def get(self, path: str) -> Object:
        with self.changed:
            return copy.deepcopy(self.objects[path])

    def names(self, collection: str) -> list[str]:
        with self.changed:
            return sorted(
                value["metadata"]["name"]
                for path, value in self.objects.items()
                if self.holds(collection, path)
            )

    def writes(self) -> list[tuple[str, str]]:
        with self.changed:
            return [(method, path) for method, path in self.requests if method != "GET"]

    def compact(self) -> None:
        """Forget history: every watch from an older version gets 410."""
        with self.changed:
            self.version += 1
            self.oldest = self.version
            self.drop_watches()

    def drop_watches(self) -> None:
        with self.changed:
            self.epoch += 1
            self.changed.notify_all()

    def bookmark(self, version: int | None = None) -> None:
        with self.changed:
            told = {"metadata": {"resourceVersion": str(version or self.version)}}
            for collection in self.collections:
                self.events.append((self.version + 1, collection, "BOOKMARK", told))
            self.changed.notify_all()

    def say(self, collection: str, kind: str, value: Object) -> None:
        """Send any watch event, true or not."""
        with self.changed:
            self.announce(collection, kind, value)

    def wait(self, true: Callable[[], bool], timeout_s: float = 10.0) -> None:
        """Until `true()`; fails the test when it does not come."""
        until = time.monotonic() + timeout_s
        while not true():
            assert time.monotonic() < until, "waited in vain"
            time.sleep(0.01)

    # what requests do

    def holds(self, collection: str, path: str) -> bool:
        parent = path.rpartition("/")[0]
        return parent == collection or re.sub(r"/namespaces/[^/]+/", "/", parent) == collection

    def announce(self, collection: str, kind: str, value: Object) -> None:
        self.version += 1
        told = copy.deepcopy(value)
        told.setdefault("metadata", {})["resourceVersion"] = str(self.version)
        self.events.append((self.version, collection, kind, told))
        self.changed.notify_all()

    def store(self, collection: str, path: str, value: Object) -> Object:
        old = self.objects.get(path)
        meta = value.setdefault("metadata", {})
        meta["uid"] = old["metadata"]["uid"] if old else meta.get("uid") or f"uid-{self.version + 1}"
        meta.setdefault(
            "creationTimestamp",
            (old or {"metadata": {}})["metadata"].get("creationTimestamp", "2026-01-01T00:00:00Z"),
        )
        meta["generation"] = _generation(old, value)
        meta.pop("resourceVersion", None)
        if old and _without_version(old) == value:
            return old
        if meta.get("deletionTimestamp") and not meta.get("finalizers"):
            gone = self.objects.pop(path)
            self.announce(collection, "DELETED", gone)
            return gone
        self.announce(collection, "MODIFIED" if old else "ADDED", value)
        self.objects[path] = self.events[-1][3]
        return self.objects[path]

    def apply(self, path: str, body: Object, manager: str, subresource: str) -> Object:
        collection = path.rpartition("/")[0]
        old = self.objects.get(path)
        if old is None and subresource:
            raise APIError(404, "NotFound")
        value = _without_version(old) if old else {"metadata": {"name": path.rpartition("/")[2]}}
        body = {**body, "kind": self.collections[collection]}
        _check_preconditions(old, body)
        scoped = (
            {"status": body.get("status", {})}
            if subresource
            else {k: v for k, v in body.items() if k != "status"}
        )
        owned = self.owners.setdefault(path, {})
        mine = owned.get(f"{manager}/{subresource}", set())
        wanted = _leaves(scoped)
        others = set().union(
            *(leaves for name, leaves in owned.items() if name != f"{manager}/{subresource}")
        )
        for leaf in mine - set(wanted) - others:
            _remove(value, leaf)
        for leaf, content in wanted.items():
            _assign(value, leaf, content)
        owned[f"{manager}/{subresource}"] = set(wanted)
        return self.store(collection, path, value)

    def write(self, method: str, path: str, query: dict[str, str], body: Object, content_type: str) -> Object:
        if method == "POST":
            meta = body["metadata"]
            meta["name"] = meta.get("name") or f"{meta['generateName']}{self.version}"
            target = f"{path}/{meta['name']}"
            if target in self.objects:
                raise APIError(409, "AlreadyExists")
            return self.store(path, target, body)
        subresource = "status" if path.endswith("/status") else ""
        path = path.removesuffix("/status")
        if method == "PATCH" and "apply" in content_type:
            return self.apply(path, body, query.get("fieldManager", ""), subresource)
        old = self.objects.get(path)
        if old is None:
            raise APIError(404, "NotFound")
        _check_preconditions(old, body if method != "DELETE" else {"metadata": body.get("preconditions", {})})
        collection = path.rpartition("/")[0]
        if method == "DELETE":
            return self.delete(path, old)
        new = _merge(_without_version(old), body) if method == "PATCH" else body
        kept = {**_without_version(old), "status": new.get("status")} if subresource else new
        return self.store(collection, path, {key: value for key, value in kept.items() if value is not None})

    def delete(self, path: str, old: Object) -> Object:
        if old["metadata"].get("finalizers"):
            new = _without_version(old)
            new["metadata"].setdefault("deletionTimestamp", "2026-01-01T00:00:00Z")
            return self.store(path.rpartition("/")[0], path, new)
        self.remove(path)
        return old

    def select(self, collection: str, query: Mapping[str, str]) -> list[Object]:
        return [
            value for path, value in sorted(self.objects.items())
            if self.holds(collection, path) and _selected(value, query)
        ]  # fmt: skip


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    api: FakeAPIServer

    def log_message(self, *_: object) -> None:
        return

    def handle_any(self) -> None:
        url = urlsplit(self.path)
        query = {key: values[0] for key, values in parse_qs(url.query).items()}
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        with self.api.changed:
            self.api.requests.append((self.command, url.path))
            self.api.headers.append(dict(self.headers))
            fault = next((one for one in self.api.faults if one.takes(self.command, self.path)), None)
            if fault:
                fault.times -= 1
        if fault:
            self.misbehave(fault)
        elif query.get("watch"):
            self.watch(url.path, query)
        else:
            self.serve(url.path, query, raw)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = handle_any  # noqa: N815

    def misbehave(self, fault: Fault) -> None:
        if fault.cut:
            self.close_connection = True
            self.connection.close()
            return
        body = fault.body
        self.answer(fault.status, body if body is not None else _status(fault.status, "InternalError"))

    def serve(self, path: str, query: dict[str, str], raw: bytes) -> None:
        try:
            with self.api.changed:
                if self.command == "GET":
                    found = self.read(path, query)
                else:
                    body = json.loads(raw or b"{}")
                    found = self.api.write(
                        self.command, path, query, body, self.headers.get("Content-Type", "")
                    )
                answer = json.dumps(found).encode()
            self.answer(201 if self.command == "POST" else 200, answer)
        except APIError as error:
            self.answer(error.status, _status(error.status, error.reason))

    def read(self, path: str, query: dict[str, str]) -> Object:
        if path in self.api.objects:
            return self.api.objects[path]
        if path not in self.api.collections:
            raise APIError(404, "NotFound")
        items = self.api.select(path, query)
        start, size = int(query.get("continue", 0)), int(query.get("limit", 10**9))
        more = str(start + size) if start + size < len(items) else ""
        metadata = {"resourceVersion": str(max(1, self.api.version)), "continue": more}
        return {
            "kind": f"{self.api.collections[path]}List",
            "metadata": metadata,
            "items": items[start : start + size],
        }

    def answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def watch(self, collection: str, query: dict[str, str]) -> None:
        version, until = (
            int(query["resourceVersion"]),
            time.monotonic() + float(query.get("timeoutSeconds", 300)),
        )
        if version < self.api.oldest:
            self.answer(410, _status(410, "Expired"))
            return
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        try:
            self.follow(collection, query, version, until)
        except OSError:
            self.close_connection = True

    def follow(self, collection: str, query: dict[str, str], version: int, until: float) -> None:
        api, seen, epoch = self.api, 0, self.api.epoch
        while time.monotonic() < until:
            with api.changed:
                api.changed.wait_for(lambda seen=seen: len(api.events) > seen or api.epoch != epoch, 0.2)
                fresh, seen = api.events[seen:], len(api.events)
                if api.epoch != epoch:
                    self.close_connection = True
                    self.connection.close()
                    return
            for at, where, kind, value in fresh:
                told = where == collection or re.sub(r"/namespaces/[^/]+/", "/", where) == collection
                if told and at > version and (kind in ("BOOKMARK", "ERROR") or _selected(value, query)):
                    self.chunk(json.dumps({"type": kind, "object": value}).encode() + b"\n")
        self.wfile.write(b"0\r\n\r\n")

    def chunk(self, data: bytes) -> None:
        self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
        self.wfile.flush()


def _status(status: int, reason: str) -> bytes:
    return json.dumps(
        {"kind": "Status", "code": status, "reason": reason, "message": f"fake says {reason}"}
    ).encode()


def _without_version(value: Object) -> Object:
    new = copy.deepcopy(value)
    new["metadata"].pop("resourceVersion", None)
    return new


def _generation(old: Object | None, new: Object) -> int:
    if old is None:
        return 1
    return int(old["metadata"]["generation"]) + (old.get("spec") != new.get("spec"))


def _check_preconditions(old: Object | None, body: Object) -> None:
    wanted = body.get("metadata", {})
    for key in ("resourceVersion", "uid"):
        if wanted.get(key) and (old is None or old["metadata"].get(key) != wanted[key]):
            raise APIError(409, "Conflict")


def _selected(value: Object, query: Mapping[str, str]) -> bool:
    fields = [part.split("=") for part in query.get("fieldSelector", "").split(",") if part]
    labels = [part.split("=") for part in query.get("labelSelector", "").split(",") if part]
    return all(_dig(value, key.split(".")) == wanted for key, wanted in fields) and all(
        value["metadata"].get("labels", {}).get(key) == wanted for key, wanted in labels
    )


def _dig(value: Any, keys: list[str]) -> Any:
    for key in keys:
        value = value.get(key, {})
    return value


def _merge(old: Any, patch: Any) -> Any:
    if not isinstance(patch, dict) or not isinstance(old, dict):
        return patch
    merged = {**old, **{key: _merge(old.get(key), value) for key, value in patch.items()}}
    return {key: value for key, value in merged.items() if value is not None}


def _leaves(value: Object, at: Leaf = ()) -> dict[Leaf, Any]:
    found: dict[Leaf, Any] = {}
    for key, content in value.items():
        here = (*at, key)
        if here in (
            ("metadata", "name"),
            ("metadata", "uid"),
            ("metadata", "resourceVersion"),
            ("kind",),
            ("apiVersion",),
        ):
            found[here] = content
        elif here == ("metadata", "finalizers"):
            found |= {(*here, entry): entry for entry in content}
        elif isinstance(content, dict) and content:
            found |= _leaves(content, here)
        else:
            found[here] = content
    return found


def _assign(value: Object, leaf: Leaf, content: Any) -> None:
    if leaf[:2] == ("metadata", "finalizers"):
        known = value["metadata"].setdefault("finalizers", [])
        known += [content] if content not in known else []
        return
    for key in leaf[:-1]:
        if not isinstance(value.get(key), dict):
            value[key] = {}
        value = value[key]
    value[leaf[-1]] = content


def _remove(value: Object, leaf: Leaf) -> None:
    if leaf[:2] == ("metadata", "finalizers"):
        value["metadata"]["finalizers"] = [
            one for one in value["metadata"].get("finalizers", []) if one != leaf[2]
        ]
        return
    for key in leaf[:-1]:
        value = value.get(key, {})
    if isinstance(value, dict):
        value.pop(leaf[-1], None)
