"""What Prometheus and the kubelet ask: /metrics, /healthz (hung?), /readyz (of use?)."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric

from fairlead_core.snapshot import BlockTally, ClusterPlan

PASS_BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class Metrics:
    """The operator's series; labels are pools, kinds and outcomes only."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.pass_seconds = Histogram(
            "fairlead_operator_pass_seconds",
            "Time of one pass by step.",
            ["step"],
            buckets=PASS_BUCKETS,
            registry=self.registry,
        )
        self.writes = Counter(
            "fairlead_operator_writes_total",
            "Writes by kind and outcome.",
            ["kind", "outcome"],
            registry=self.registry,
        )
        self.leader = Gauge(
            "fairlead_operator_leader", "1 while this replica may write.", registry=self.registry
        )
        self.age = Gauge(
            "fairlead_desired_state_age_seconds",
            "Seconds since the API server last said anything to the leader's watches.",
            registry=self.registry,
        )
        self._tallies: Mapping[str, BlockTally] = {}
        self.registry.register(_Blocks(lambda: self._tallies))

    def planned(self, plan: ClusterPlan) -> None:
        self._tallies = plan.tallies

    def count(self, kind: str, outcome: str) -> None:
        self.writes.labels(kind, outcome).inc()


class _Blocks:
    def __init__(self, tallies: Callable[[], Mapping[str, BlockTally]]) -> None:
        self._tallies = tallies

    def collect(self) -> Iterable[Metric]:
        blocks = GaugeMetricFamily(
            "fairlead_pool_blocks", "Blocks of a pool over all nodes.", labels=["pool", "state"]
        )
        for pool, tally in self._tallies().items():
            blocks.add_metric([pool, "active"], tally.active)
            blocks.add_metric([pool, "draining"], tally.draining)
            blocks.add_metric([pool, "free"], max(0, tally.total - tally.granted))
        yield blocks


class Probe(ThreadingHTTPServer):
    """Serves the three paths. `health` and `readiness` answer "" or what is wrong."""

    daemon_threads = True

    def __init__(
        self,
        address: tuple[str, int],
        metrics: Metrics,
        health: Callable[[], str],
        readiness: Callable[[], str],
    ) -> None:
        both = not address[0] and socket.has_dualstack_ipv6()
        self.address_family = socket.AF_INET6 if both or ":" in address[0] else socket.AF_INET
        self.metrics, self.health, self.readiness = metrics, health, readiness
        super().__init__(address, _Handler)

    def start(self) -> None:
        threading.Thread(target=self.serve_forever, name="probe", daemon=True).start()

    @property
    def port(self) -> int:
        return int(self.server_address[1])


class _Handler(BaseHTTPRequestHandler):
    server: Probe

    def do_GET(self) -> None:
        if self.path == "/metrics":
            self._answer(200, generate_latest(self.server.metrics.registry))
            return
        checks = {"/healthz": self.server.health, "/readyz": self.server.readiness}
        check = checks.get(self.path)
        if check is None:
            self._answer(404, b"not found\n")
            return
        trouble = check()
        self._answer(503 if trouble else 200, f"{trouble or 'ok'}\n".encode())

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        return
