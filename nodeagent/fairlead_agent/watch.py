"""Where the desired state comes from: this node's NodeNetwork at the API server, or a file."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

import msgspec

from fairlead_agent.desired import decode_spec
from fairlead_agent.ports import PortError
from fairlead_agent.ports.files import read_file
from fairlead_core.api import (
    API_VERSION,
    Condition,
    NodeNetwork,
    NodeNetworkSpec,
    NodeNetworkStatus,
    SecretRef,
)
from fairlead_kube.client import KubeClient
from fairlead_kube.config import load
from fairlead_kube.errors import KubeError
from fairlead_kube.reflector import Reflector

NODE_NETWORKS = f"/apis/{API_VERSION}/nodenetworks"
FIELD_MANAGER = "fairlead-agent"
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Offer:
    """A spec to judge, of which generation, and the conditions that its object shows now."""

    spec: NodeNetworkSpec
    generation: int = 0
    conditions: tuple[Condition, ...] = ()


class Source(Protocol):
    """Offers desired state, takes status."""

    def start(self, wake: Callable[[], None]) -> None: ...
    def offered(self) -> Offer | None: ...
    def publish(self, status: NodeNetworkStatus) -> None: ...
    def secret(self, ref: SecretRef) -> str | None: ...
    def age_s(self) -> float: ...


class FileSource:
    """A NodeNetworkSpec as JSON in a file, read anew on every pass; nobody hears the status."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def start(self, wake: Callable[[], None]) -> None:
        """Nothing runs in the background: the pass looks."""

    def offered(self) -> Offer | None:
        """The file's spec; None when there is no file. Raises PortError when it is none."""
        content = read_file(self._path)
        return None if content is None else Offer(decode_spec(self._path, content))

    def publish(self, status: NodeNetworkStatus) -> None:
        """Nobody is told."""

    def secret(self, ref: SecretRef) -> str | None:
        """A file has no Secrets."""
        return None

    def age_s(self) -> float:
        """A file does not age."""
        return 0.0


class _Secret(msgspec.Struct):
    data: dict[str, str] = {}


class KubeSource:
    """This node's NodeNetwork. A configuration that is not there yet is looked for again."""

    def __init__(self, node_name: str, env: Mapping[str, str], trouble: Callable[[KubeError], None]) -> None:
        self._node_name, self._env, self._trouble = node_name, env, trouble
        self._wake: Callable[[], None] = lambda: None
        self._client: KubeClient | None = None
        self._reflector: Reflector[NodeNetwork] | None = None

    def start(self, wake: Callable[[], None]) -> None:
        """Watches in the background; `wake` is called after every change."""
        self._wake = wake
        self._connect()

    def offered(self) -> Offer | None:
        """The object as last seen; None when it was never seen or is gone."""
        reflector = self._connect()
        found = reflector.view().get(self._node_name) if reflector else None
        return Offer(found.spec, found.metadata.generation, found.status.conditions) if found else None

    def publish(self, status: NodeNetworkStatus) -> None:
        """Writes the status of the own object. Raises PortError."""
        body = {
            "apiVersion": API_VERSION,
            "kind": "NodeNetwork",
            "metadata": {"name": self._node_name},
            "status": status,
        }
        path = f"{NODE_NETWORKS}/{self._node_name}"
        self._ask(lambda client: client.apply(path, body, FIELD_MANAGER, subresource="status"))

    def secret(self, ref: SecretRef) -> str | None:
        """One key of a Secret in the agent's own namespace; None when it is not there. Raises PortError."""
        try:
            found = self._ask(
                lambda c: c.get(f"/api/v1/namespaces/{c.config.namespace}/secrets/{ref.name}", _Secret)
            )
        except _NotFoundError:
            return None
        encoded = found.data.get(ref.key)
        try:
            return None if encoded is None else base64.b64decode(encoded, validate=True).decode()
        except ValueError as error:
            raise PortError(f"secret {ref.name} key {ref.key} read: not text: {error}") from error

    def age_s(self) -> float:
        """Seconds since the API server last confirmed what we follow."""
        return self._reflector.stale_s() if self._reflector else float("inf")

    def _ask(self, ask: Callable[[KubeClient], T]) -> T:
        self._connect()
        if self._client is None:
            raise PortError("API server request: no configuration yet")
        try:
            return ask(self._client)
        except KubeError as error:
            raise (_NotFoundError if error.not_found else PortError)(str(error)) from error

    def _connect(self) -> Reflector[NodeNetwork] | None:
        if self._reflector is None:
            try:
                self._client = KubeClient(load(self._env), user_agent=FIELD_MANAGER, connections=4)
            except KubeError as error:
                self._trouble(error)
                return None
            query = {"fieldSelector": f"metadata.name={self._node_name}"}
            self._reflector = Reflector(
                self._client, NODE_NETWORKS, NodeNetwork, self._wake, query=query,
                unchanged=_same_spec, on_trouble=self._trouble,
            )  # fmt: skip
            self._reflector.start()
        return self._reflector


class _NotFoundError(PortError):
    """The object is not there."""


def _same_spec(old: NodeNetwork, new: NodeNetwork) -> bool:
    # Our own status writes come back as events; they are no news.
    return old.spec == new.spec and old.metadata.uid == new.metadata.uid
