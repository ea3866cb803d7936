"""What Prometheus sees of an agent. Names and labels are a contract; labels are bounded: no pod names."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry, Histogram
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from fairlead_core.api import NodeNetworkStatus

_CNI_BUCKETS_S = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1, 5, 30)
_PASS_BUCKETS_S = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5)


class Metrics:
    """The registry of one agent. `status`, `age_s` and `endpoints` are asked at each scrape."""

    def __init__(
        self,
        status: Callable[[], NodeNetworkStatus | None],
        age_s: Callable[[], float],
        endpoints: Callable[[], dict[str, int]],
    ) -> None:
        self.registry = CollectorRegistry()
        self._cni = Histogram(
            "fairlead_cni_operation_seconds", "CNI calls by verb and outcome",
            ["verb", "outcome"], buckets=_CNI_BUCKETS_S, registry=self.registry,
        )  # fmt: skip
        self._passes = Histogram(
            "fairlead_agent_pass_seconds", "One pass over a target",
            ["target"], buckets=_PASS_BUCKETS_S, registry=self.registry,
        )  # fmt: skip
        self.registry.register(_Gauges(status, age_s, endpoints))

    def cni(self, verb: str, outcome: str, seconds: float) -> None:
        """One CNI call was answered."""
        self._cni.labels(verb, outcome).observe(seconds)

    def target(self, name: str, seconds: float) -> None:
        """One target had its turn."""
        self._passes.labels(name).observe(seconds)


class _Gauges(Collector):
    """Gauges made from the latest status, so that they cannot disagree with it."""

    def __init__(
        self,
        status: Callable[[], NodeNetworkStatus | None],
        age_s: Callable[[], float],
        endpoints: Callable[[], dict[str, int]],
    ) -> None:
        self._status, self._age_s, self._endpoints = status, age_s, endpoints

    def collect(self) -> Iterator[GaugeMetricFamily]:
        age = GaugeMetricFamily(
            "fairlead_desired_state_age_seconds", "Since the API server last confirmed it"
        )
        age.add_metric([], self._age_s())
        yield age
        endpoints = GaugeMetricFamily("fairlead_endpoint_state", "Attachments by state", labels=["state"])
        for state, count in self._endpoints().items():
            endpoints.add_metric([state], count)
        yield endpoints
        status = self._status()
        if status is not None:
            yield from _ipam(status)
            yield from _bgp(status)


def _ipam(status: NodeNetworkStatus) -> Iterator[GaugeMetricFamily]:
    addresses = GaugeMetricFamily(
        "fairlead_ipam_addresses", "Addresses by pool and state", labels=["pool", "state"]
    )
    for pool, usage in status.ipam.items():
        for state in ("used", "free", "cooling", "wanted"):
            addresses.add_metric([pool, state], getattr(usage, state))
    yield addresses
    blocks = GaugeMetricFamily("fairlead_ipam_blocks", "Blocks by pool and state", labels=["pool", "state"])
    counts: dict[tuple[str, str], int] = {}
    for block in status.blocks:
        counts[block.pool, block.state] = counts.get((block.pool, block.state), 0) + 1
    for (pool, state), count in counts.items():
        blocks.add_metric([pool, state], count)
    yield blocks


def _bgp(status: NodeNetworkStatus) -> Iterator[GaugeMetricFamily]:
    up = GaugeMetricFamily("fairlead_bgp_session_up", "1 while a session is Established", labels=["peer"])
    bfd = GaugeMetricFamily("fairlead_bfd_up", "1 while BFD sees the peer", labels=["peer"])
    labels = ["peer", "family"]
    sent = GaugeMetricFamily("fairlead_bgp_prefixes_advertised", "Prefixes sent to a peer", labels=labels)
    for peer in status.bgp.peers if status.bgp else ():
        up.add_metric([peer.name], peer.session == "Established")
        if peer.bfd is not None:
            bfd.add_metric([peer.name], peer.bfd == "Up")
        for family, mark in (("IPv4", "."), ("IPv6", ":")):
            sent.add_metric([peer.name, family], sum(mark in prefix for prefix in peer.prefixes_sent))
    yield from (up, bfd, sent)
