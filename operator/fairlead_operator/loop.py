"""The operator's only loop: wait for a wake-up, gather, plan, publish.

A standby waits; its first pass as leader begins with fresh lists. Passes are at least `debounce_s` apart and
as long as the last one took, so that a storm of events costs half of one processor at most.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

import structlog

from fairlead_core.plan import plan_cluster
from fairlead_kube.client import KubeClient
from fairlead_kube.errors import KubeError
from fairlead_kube.reflector import Pace
from fairlead_operator.gather import Gather
from fairlead_operator.leader import Election
from fairlead_operator.metrics import Metrics
from fairlead_operator.publish import Outcome, Publisher
from fairlead_operator.settings import Settings

HUNG_S: Final = 120.0
STALE_S: Final = 180.0
RETRY_S: Final = 1.0

log = structlog.get_logger()


class Loop:
    """Runs until `stop`. `wake` may be called from any thread; it only sets an event."""

    def __init__(
        self,
        client: KubeClient,
        settings: Settings,
        metrics: Metrics,
        pace: Pace | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._client, self._settings, self._metrics, self._pace = client, settings, metrics, pace
        self._clock = clock
        self._event, self._stopping = threading.Event(), threading.Event()
        self.election = Election(client, settings, self.wake)
        self._term: tuple[int, Gather, Publisher] | None = None
        self._beat_s = time.monotonic()
        self._passes = 0
        self._holding = ""

    def wake(self) -> None:
        self._event.set()

    def notice(self) -> None:
        """A pool or a peer changed."""
        term = self._term
        if term:
            term[1].notice()
        self.wake()

    def stop(self) -> None:
        self._stopping.set()
        self.wake()

    def run(self) -> None:
        """Blocks until stopped; then nothing writes any more and the Lease is released."""
        self.election.start()
        wait_s = 0.0
        while not self._stopping.is_set():
            self._event.wait(wait_s)
            self._event.clear()
            self._beat()
            wait_s = self._turn()
        # Nothing writes any more: the standby may begin while this process still tidies up.
        self.election.stop()
        self._resign()

    def health(self) -> str:
        """ "" or why the process should be restarted."""
        age_s = time.monotonic() - self._beat_s
        if age_s > HUNG_S:
            return f"the loop has not turned for {age_s:.0f} s"
        return "" if self.election.alive else "the election has ended"

    def readiness(self) -> str:
        """ "" or why this replica is of no use at the moment."""
        if time.monotonic() - self.election.answered_s > self._settings.timing.lease_s * 2:
            error = self.election.last_error
            return (
                f"the API server does not answer for the Lease: {error.message if error else 'no answer yet'}"
            )
        term = self._term
        if term is None:
            return ""
        if not self._passes:
            return "leader, but no pass is complete yet"
        stale_s = term[1].stale_s()
        return f"leader, but its view is {stale_s:.0f} s old" if stale_s > STALE_S else ""

    def _turn(self) -> float:
        """One turn; answers how long to wait for the next wake-up."""
        timing = self._settings.timing
        leading = self.election.leading()
        self._metrics.leader.set(leading)
        if not leading:
            self._resign()
            return timing.period_s
        gather, publisher = self._take_office()
        if not gather.synced:
            return RETRY_S
        started_s = time.monotonic()
        again_s = self._pass(gather, publisher)
        self._stopping.wait(max(timing.debounce_s, time.monotonic() - started_s))
        return min(timing.period_s, again_s)

    def _pass(self, gather: Gather, publisher: Publisher) -> float:
        timing = self._settings.timing
        try:
            with self._metrics.pass_seconds.labels("gather").time():
                snapshot = gather.snapshot()
            self._metrics.age.set(gather.stale_s())
            self._note_holding(snapshot.hold_grants)
            with self._metrics.pass_seconds.labels("plan").time():
                plan = plan_cluster(snapshot, self._clock())
            with self._metrics.pass_seconds.labels("publish").time():
                outcome = publisher.publish(plan)
        except KubeError as error:
            log.warning("pass put off", error=error.message)
            return RETRY_S
        except Exception:
            # A surprise is a bug of ours: told with its stack, and the next pass may meet another cluster.
            log.exception("pass failed")
            return RETRY_S
        self._metrics.planned(plan)
        self._passes += 1
        self._note_loss(outcome)
        return timing.period_s if outcome.again_s is None else max(timing.debounce_s, outcome.again_s)

    def _take_office(self) -> tuple[Gather, Publisher]:
        if self._term and self._term[0] != self.election.term:
            self._resign()
        if self._term is None:
            gather = Gather(self._client, self._settings, self.wake, self._trouble, self._pace)
            publisher = Publisher(
                self._client,
                self._settings,
                gather,
                self._may_write,
                beat=self._beat,
                count=self._metrics.count,
            )
            self._term = (self.election.term, gather, publisher)
            self._passes = 0
            gather.start()
            log.info("leader", identity=self._settings.identity, term=self.election.term)
        return self._term[1], self._term[2]

    def _may_write(self) -> bool:
        return self.election.leading() and not self._stopping.is_set()

    def _resign(self) -> None:
        if self._term is None:
            return
        _, gather, _ = self._term
        self._term = None
        gather.stop()
        log.info("no longer leader", identity=self._settings.identity)

    def _note_loss(self, outcome: Outcome) -> None:
        if outcome.lost_lease:
            log.warning("lease lost while writing", wrote=outcome.wrote)

    def _note_holding(self, why: str) -> None:
        if why != self._holding:
            self._holding = why
            log.warning("no block is granted", cause=why) if why else log.info("blocks are granted again")

    def _trouble(self, error: KubeError) -> None:
        log.warning("watch", error=error.message)

    def _beat(self) -> None:
        self._beat_s = time.monotonic()
