"""The agent's loop: read what is offered, decide, bring target after target to it, report.

wake (news, shortage) or interval ──▶ pass:  offer -> accept -> keep on disk -> ledger
                                             remembered DELs -> targets -> conflist -> report
every second                      ──▶ counts only: report
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import structlog

from fairlead_agent.adoption import adopt_survivors
from fairlead_agent.conflist import conflist
from fairlead_agent.desired import LastGood
from fairlead_agent.ipam import NodeIPAM
from fairlead_agent.metrics import Metrics
from fairlead_agent.node import NodeState
from fairlead_agent.ports import PortError
from fairlead_agent.ports.files import read_file, write_file
from fairlead_agent.ports.netlink import Netlink
from fairlead_agent.report import Observed, Reporter
from fairlead_agent.settings import Settings
from fairlead_agent.verbs import Verbs
from fairlead_agent.watch import Offer, Source
from fairlead_core.accept import accept
from fairlead_core.api import NodeNetworkSpec, PeerStatus
from fairlead_core.outcome import Rejected

TICK_S = 1.0
GAP_S = 0.05  # a burst of pods that all find no address is one reason for a pass, not one each
STUCK_S = 120.0  # a pass asks kernel, BIRD and for secrets, each bounded by seconds
_log = structlog.get_logger("fairlead.agent")


class Target(Protocol):
    """A fenced piece of the world."""

    def realise(self, spec: NodeNetworkSpec) -> None: ...


@dataclass(frozen=True, slots=True)
class Parts:
    """Everything that a pass works with."""

    settings: Settings
    source: Source
    ipam: NodeIPAM
    kernel: Netlink
    node: NodeState
    verbs: Verbs
    last_good: LastGood
    targets: Mapping[str, Target]
    """By the name in conditions and metrics, in the order of their turns."""
    peers: Callable[[], tuple[PeerStatus, ...]]
    reporter: Reporter
    metrics: Metrics
    serving: Callable[[], bool]
    sweep_at_start: Callable[[], None]


class Loop:
    """Runs passes until it is stopped."""

    def __init__(self, parts: Parts, wake: threading.Event) -> None:
        self._parts, self._wake = parts, wake
        self._stopping = False
        self._seen: Offer | None = None  # the newest, judged or not
        self._judged: Offer | None = None
        self._refusal: Rejected | None = None
        self._failures: dict[str, str] = {}
        self._failed_passes = 0
        self._peers: tuple[PeerStatus, ...] = ()
        self._trouble = ""
        self._beat_s = time.monotonic()

    def resume(self) -> None:
        """What must stand before the first CNI call: last good state, who has gone meanwhile, the MTU."""
        failures: dict[str, str] = {}
        self._attempt("desired", self._load, failures)
        self._attempt("adoption", self._adopt, failures)
        self._attempt("spool", self._settle_spool, failures)
        self._attempt("links", self._parts.sweep_at_start, failures)
        self._attempt("uplink", self._measure, failures)
        self._tell(failures)
        self._failures = failures

    def run(self) -> None:
        """Passes until `stop`."""
        due_s = time.monotonic()
        while not self._stopping:
            if self._wake.is_set() or time.monotonic() >= due_s:
                self._wake.clear()
                self.run_pass()
                due_s = time.monotonic() + self.pause_s()
            else:
                self._report()
            self._beat_s = time.monotonic()
            time.sleep(GAP_S)
            self._wake.wait(TICK_S)

    def pause_s(self) -> float:
        """Seconds until the next pass that nobody asks for: soon after a failure (BIRD starts beside us)."""
        interval_s = self._parts.settings.pass_interval_s
        return min(interval_s, TICK_S * 2**self._failed_passes) if self._failures else interval_s

    def stop(self) -> None:
        """Ends `run` after the pass that is under way."""
        self._stopping = True
        self._wake.set()

    def unhealthy(self) -> str:
        """Why kubelet should restart us; "" when all is well."""
        still_s = time.monotonic() - self._beat_s
        return f"no pass for {still_s:.0f} s" if still_s > STUCK_S else ""

    def unready(self) -> str:
        """Why an ADD could not succeed; "" when it could."""
        spec = self._parts.node.spec
        if spec is None or not spec.blocks:
            return "no accepted desired state with blocks"
        return "" if self._parts.serving() else "the CNI socket is not served"

    def run_pass(self) -> None:
        """One pass; every part of it may fail without the others."""
        failures: dict[str, str] = {}
        self._attempt("desired", self._follow, failures)
        self._attempt("spool", self._settle_spool, failures)
        self._attempt("uplink", self._measure, failures)
        spec = self._parts.node.spec
        if spec is not None:
            for name, target in self._parts.targets.items():
                self._attempt(name, partial(target.realise, spec), failures)
            self._attempt("conflist", self._publish_conflist, failures)
            self._peers = self._parts.peers()
        self._tell(failures)
        self._failures = failures
        self._failed_passes = min(self._failed_passes + 1, 16) if failures else 0
        self._report()

    def _attempt(self, name: str, step: Callable[[], None], failures: dict[str, str]) -> None:
        started_s = time.monotonic()
        try:
            step()
        except PortError as error:
            failures[name] = str(error)
        except Exception as error:
            # A fault of ours in one target must not keep the others, and the CNI socket, from working.
            _log.exception("bug", target=name)
            failures[name] = f"internal error: {error!r}"
        self._parts.metrics.target(name, time.monotonic() - started_s)

    def _load(self) -> None:
        spec = self._parts.last_good.load()
        if spec is not None:
            self._parts.ipam.reconfigure(spec)
            self._parts.node.accept(spec)

    def _follow(self) -> None:
        offer = self._parts.source.offered()
        self._seen = offer or self._seen
        if offer is None or (offer == self._judged and self._refusal is None):
            return
        node = self._parts.node
        verdict = accept(node.spec, offer.spec, self._parts.ipam.held_blocks())
        if isinstance(verdict, Rejected):
            if self._refusal != verdict:
                _log.warning("spec refused", reason=verdict.reason, message=verdict.message)
        elif verdict != node.spec:
            self._take_over(verdict)
        self._judged = offer
        self._refusal = verdict if isinstance(verdict, Rejected) else None

    def _take_over(self, spec: NodeNetworkSpec) -> None:
        # Disk before memory: what we act on must still be known after a crash.
        self._parts.last_good.save(spec)
        self._parts.ipam.reconfigure(spec)
        if self._parts.node.spec is None:
            self._adopt()  # the first blocks: who lives in them comes before anybody new
        self._parts.node.accept(spec)
        _log.info("spec accepted", revision=spec.revision, blocks=[block.cidr for block in spec.blocks])

    def _adopt(self) -> None:
        adopted, refused = adopt_survivors(self._parts.kernel, self._parts.ipam)
        for lease in adopted:
            pod = f"{lease.owner.namespace}/{lease.owner.pod_name}"
            addresses = [str(address) for address in lease.addresses]
            _log.warning("pod adopted: the journal did not know it", pod=pod, addresses=addresses)
        for cause in refused:
            _log.warning("pod not adopted", cause=cause)

    def _settle_spool(self) -> None:
        failures = self._parts.verbs.settle_spool()
        if failures:
            raise PortError("; ".join(str(failure) for failure in failures))

    def _measure(self) -> None:
        fixed = self._parts.settings.mtu_bytes
        uplink = None if fixed else self._parts.kernel.uplink()
        if fixed or uplink is not None:
            self._parts.node.mtu_bytes = uplink.mtu if uplink is not None else fixed

    def _publish_conflist(self) -> None:
        settings = self._parts.settings
        content = conflist(settings)
        if not self.unready() and read_file(settings.conflist_path) != content:
            write_file(settings.conflist_path, content, mode=0o644)
            _log.info("conflist written", path=str(settings.conflist_path))

    def _tell(self, failures: dict[str, str]) -> None:
        for name, cause in failures.items():
            if self._failures.get(name) != cause:
                _log.warning("target failed", target=name, cause=cause)
        for name in self._failures.keys() - failures.keys():
            _log.info("target recovered", target=name)

    def _report(self) -> None:
        parts = self._parts
        seen = Observed(
            spec=parts.node.spec,
            generation=self._seen.generation if self._seen else 0,
            serving=parts.serving(),
            refusal=self._refusal,
            failures=self._failures,
            held=parts.ipam.held_blocks(),
            usage=parts.ipam.usage(),
            peers=self._peers,
        )
        parts.reporter.offer(seen, self._seen.conditions if self._seen else None)
        self._tell_trouble(parts.reporter.trouble)

    def _tell_trouble(self, trouble: str) -> None:
        if trouble != self._trouble:
            _log.warning("status not written", cause=trouble) if trouble else _log.info(
                "status written again"
            )
            self._trouble = trouble
