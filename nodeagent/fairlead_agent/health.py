"""One small HTTP server: /metrics for Prometheus, /healthz and /readyz for kubelet."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from fairlead_agent.ports import PortError


@dataclass(frozen=True, slots=True)
class Health:
    """What the endpoints answer: each gives "" for good, or why not."""

    registry: CollectorRegistry
    unhealthy: Callable[[], str]
    unready: Callable[[], str]


def serve_health(health: Health, port: int) -> ThreadingHTTPServer:
    """Answers on `port` of every address from now on, in the background. Raises PortError."""

    class Handler(_Handler):
        asked = health

    try:
        server = _DualStackServer(("::", port), Handler)
    except OSError as error:
        raise PortError(f"port {port} listen for metrics: {error}") from error
    threading.Thread(target=server.serve_forever, name="health", daemon=True).start()
    return server


class _Handler(BaseHTTPRequestHandler):
    asked: ClassVar[Health]
    timeout = 5  # a client that says nothing holds a thread no longer

    def do_GET(self) -> None:
        if self.path == "/metrics":
            return self._answer(200, generate_latest(self.asked.registry), CONTENT_TYPE_LATEST)
        probes = {"/healthz": self.asked.unhealthy, "/readyz": self.asked.unready}
        if self.path not in probes:
            return self._answer(404, b"not found\n")
        why = probes[self.path]()
        return self._answer(503 if why else 200, f"{why or 'ok'}\n".encode())

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
        """Probes are not news."""

    def _answer(self, status: int, body: bytes, kind: str = "text/plain; charset=utf-8") -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class _DualStackServer(ThreadingHTTPServer):
    address_family = socket.AF_INET6
    daemon_threads = True
    allow_reuse_address = True

    def server_bind(self) -> None:
        self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        super().server_bind()
