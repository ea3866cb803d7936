"""Requests to the API server: bytes or typed structs in and out, KubeError for everything else.

Paths are the API's own ("/api/v1/nodes", "/apis/fairlead.dev/v1alpha1/ippools/blue"). Bodies are anything
that msgspec encodes. Every wait has a bound. Thread-safe: urllib3's pool hands each request its own
connection.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar, overload
from urllib.parse import urlencode

import msgspec
import urllib3

from fairlead_kube.config import KubeConfig, ssl_context
from fairlead_kube.errors import NO_ANSWER, KubeError

T = TypeVar("T")
Query = Mapping[str, str]

CONNECT_TIMEOUT_S: Final = 5.0
REQUEST_TIMEOUT_S: Final = 30.0
PAGE: Final = 500
JSON: Final = "application/json"
APPLY_PATCH: Final = "application/apply-patch+yaml"
MERGE_PATCH: Final = "application/merge-patch+json"
JSON_PATCH: Final = "application/json-patch+json"


class ListMeta(msgspec.Struct, rename="camel"):
    resource_version: str = ""
    continue_: str = msgspec.field(default="", name="continue")


class _Page(msgspec.Struct):
    kind: str
    metadata: ListMeta
    items: list[msgspec.Raw] | None = None


class _Failure(msgspec.Struct):
    kind: str = ""
    reason: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True)
class Listing(Generic[T]):
    """A consistent list of objects and the resource version to watch from."""

    items: tuple[T, ...]
    resource_version: str


class KubeClient:
    """One identity at one API server."""

    def __init__(self, config: KubeConfig, user_agent: str = "fairlead", connections: int = 8) -> None:
        self._config = config
        self._user_agent = user_agent
        self._pool = _pool(config, connections)

    @property
    def config(self) -> KubeConfig:
        return self._config

    @overload
    def get(self, path: str, type_: None = None, query: Query | None = None) -> bytes: ...
    @overload
    def get(self, path: str, type_: type[T], query: Query | None = None) -> T: ...
    def get(self, path: str, type_: type[T] | None = None, query: Query | None = None) -> bytes | T:
        """One object, as bytes or as `type_`."""
        answer = self.request("GET", path, query=query)
        return answer if type_ is None else decode(f"GET {path}", answer, type_)

    def list(self, path: str, type_: type[T], query: Query | None = None) -> Listing[T]:
        """All objects under `path` (a quorum read, in pages). One that does not fit `type_` fails the
        list."""
        raw = self.list_raw(path, query)
        return Listing(tuple(decode(f"LIST {path}", item, type_) for item in raw.items), raw.resource_version)

    def list_raw(self, path: str, query: Query | None = None, page: int = PAGE) -> Listing[msgspec.Raw]:
        """Like `list`, each object as its own JSON.

        Raises KubeError, also (BadAnswer) for a 200 that is no list with a resource version: an empty or
        foreign answer must never look like "there are no objects".
        """
        items: list[msgspec.Raw] = []
        token = ""
        while True:
            part = self._page(path, {**(query or {}), "limit": str(page), "continue": token})
            items += part.items or ()
            token = part.metadata.continue_
            if not token:
                return Listing(tuple(items), part.metadata.resource_version)

    def apply(
        self, path: str, body: object, field_manager: str, *, force: bool = True, subresource: str = ""
    ) -> bytes:
        """Server-side apply; creates the object when it is absent (not with a subresource)."""
        query = {"fieldManager": field_manager, "force": "true" if force else "false"}
        return self.request(
            "PATCH", _join(path, subresource), query=query, body=body, content_type=APPLY_PATCH
        )

    def patch(
        self, path: str, body: object, *, subresource: str = "", content_type: str = MERGE_PATCH
    ) -> bytes:
        """A JSON merge patch, or with `content_type` JSON_PATCH a JSON patch."""
        return self.request("PATCH", _join(path, subresource), body=body, content_type=content_type)

    def create(self, path: str, body: object) -> bytes:
        """POST to a collection."""
        return self.request("POST", path, body=body)

    def replace(self, path: str, body: object, *, subresource: str = "") -> bytes:
        """PUT; the body's resourceVersion makes it conditional."""
        return self.request("PUT", _join(path, subresource), body=body)

    def delete(self, path: str, *, uid: str = "", resource_version: str = "") -> None:
        """Delete the object, only this one (uid) and only this state of it (resource version) when given."""
        conditions = {"uid": uid, "resourceVersion": resource_version}
        preconditions = {key: value for key, value in conditions.items() if value}
        body = {"kind": "DeleteOptions", "apiVersion": "v1", "preconditions": preconditions}
        self.request("DELETE", path, body=body if preconditions else None)

    def request(
        self,
        method: str,
        path: str,
        *,
        query: Query | None = None,
        body: object = None,
        content_type: str = JSON,
        timeout_s: float = REQUEST_TIMEOUT_S,
    ) -> bytes:
        """One request and its whole answer. Raises KubeError for every status but 2xx and for no answer."""
        what = f"{method} {path}"
        timeout = urllib3.Timeout(connect=CONNECT_TIMEOUT_S, read=timeout_s)
        response = self._send(
            what, method, _url(self._config.server, path, query), body, content_type, timeout
        )
        try:
            answer = bytes(response.data)
        except urllib3.exceptions.HTTPError as error:
            raise KubeError(NO_ANSWER, "Unreachable", f"{what}: answer cut short: {error}") from error
        if not 200 <= response.status < 300:
            raise failure(what, response.status, answer)
        return answer

    def stream(self, path: str, query: Query, read_timeout_s: float) -> urllib3.BaseHTTPResponse:
        """An open watch; the caller reads lines and closes it. Raises KubeError when it does not open."""
        what = f"WATCH {path}"
        timeout = urllib3.Timeout(connect=CONNECT_TIMEOUT_S, read=read_timeout_s)
        response = self._send(what, "GET", _url(self._config.server, path, query), None, JSON, timeout)
        if response.status == 200:
            return response
        try:
            raise failure(what, response.status, bytes(response.read(4096)))
        finally:
            response.close()

    def close(self) -> None:
        """Give idle connections back."""
        self._pool.clear()

    def _page(self, path: str, query: Query) -> _Page:
        what = f"LIST {path}"
        page = decode(what, self.request("GET", path, query=query), _Page)
        if not (page.kind.endswith("List") and page.metadata.resource_version):
            raise KubeError(NO_ANSWER, "BadAnswer", f"{what}: answer of kind {page.kind!r} is no list")
        return page

    def _send(
        self, what: str, method: str, url: str, body: object, content_type: str, timeout: urllib3.Timeout
    ) -> urllib3.BaseHTTPResponse:
        headers = {"Accept": JSON, "User-Agent": self._user_agent}
        if authorization := self._config.authorization():
            headers["Authorization"] = authorization
        if body is not None:
            headers["Content-Type"] = content_type
        try:
            return self._pool.request(
                method, url, headers=headers, body=None if body is None else msgspec.json.encode(body),
                timeout=timeout, preload_content=False, redirect=False,
            )  # fmt: skip
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise KubeError(
                NO_ANSWER, "Unreachable", f"{what} at {self._config.server}: {_cause(error)}"
            ) from error


def lines(response: urllib3.BaseHTTPResponse) -> Iterator[bytes]:
    """The newline-ended documents of a watch as they come. Raises KubeError when the connection breaks."""
    rest = b""
    try:
        for part in response.stream(65536):
            *whole, rest = (rest + part).split(b"\n")
            yield from (line for line in whole if line)
    except (urllib3.exceptions.HTTPError, OSError) as error:
        raise KubeError(NO_ANSWER, "Unreachable", f"watch broke: {_cause(error)}") from error


def decode(what: str, answer: bytes | msgspec.Raw, type_: type[T]) -> T:
    """`answer` as `type_`. Raises KubeError (BadAnswer) that names the request and the field that does not
    fit."""
    try:
        return msgspec.json.decode(answer, type=type_)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise KubeError(NO_ANSWER, "BadAnswer", f"{what}: {error}") from error


def failure(what: str, status: int, answer: bytes) -> KubeError:
    """The error that the server told, from its metav1.Status or, from a proxy in between, its first bytes."""
    try:
        told = msgspec.json.decode(answer, type=_Failure)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        told = _Failure()
    if told.kind != "Status":
        told = _Failure(reason="BadAnswer", message=answer[:120].decode("utf-8", "replace"))
    return KubeError(status, told.reason, f"{what}: {status} {told.reason}: {told.message}")


def _pool(config: KubeConfig, connections: int) -> urllib3.PoolManager:
    settings: dict[str, Any] = {"num_pools": 1, "maxsize": connections, "retries": False}
    if config.server.startswith("https"):
        settings["ssl_context"] = ssl_context(config)
        if config.server_name:
            settings |= {"server_hostname": config.server_name, "assert_hostname": config.server_name}
    if not config.proxy:
        return urllib3.PoolManager(**settings)
    try:
        return urllib3.ProxyManager(config.proxy, **settings)
    except urllib3.exceptions.HTTPError as error:
        raise KubeError(NO_ANSWER, "BadConfig", f"proxy for {config.server}: {error}") from error


def _cause(error: BaseException) -> str:
    return str(getattr(error, "reason", None) or error)


def _join(path: str, subresource: str) -> str:
    return f"{path}/{subresource}" if subresource else path


def _url(server: str, path: str, query: Query | None) -> str:
    wanted = {key: value for key, value in (query or {}).items() if value}
    return f"{server}{path}?{urlencode(wanted)}" if wanted else f"{server}{path}"
