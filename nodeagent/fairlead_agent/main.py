"""The agent's process: puts the parts together, starts them, ends them.

It needs no API server: it starts from the last good state on disk and serves CNI within a second.
"""

from __future__ import annotations

import fcntl
import os
import signal
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path

import structlog

from fairlead_agent.cni_server import CNIServer
from fairlead_agent.desired import LastGood
from fairlead_agent.health import Health, serve_health
from fairlead_agent.ipam import NodeIPAM, open_ipam
from fairlead_agent.locks import KeyedLocks
from fairlead_agent.loop import Loop, Parts, Target
from fairlead_agent.metrics import Metrics
from fairlead_agent.node import NodeState
from fairlead_agent.ports import PortError
from fairlead_agent.ports.bird import Bird
from fairlead_agent.ports.files import Spool, Sysctls
from fairlead_agent.ports.netlink import Netlink
from fairlead_agent.report import Reporter
from fairlead_agent.settings import Settings, read_settings
from fairlead_agent.targets import sysctls
from fairlead_agent.targets.bgp import Bgp
from fairlead_agent.targets.leased import LeaseGuard
from fairlead_agent.targets.links import Links, living
from fairlead_agent.targets.neighbours import Neighbours
from fairlead_agent.targets.routes import Routes
from fairlead_agent.verbs import Verbs
from fairlead_agent.watch import FileSource, KubeSource, Source
from fairlead_core.lease import Lease
from fairlead_kube.errors import KubeError

LOCK_WAIT_S = 30.0  # an agent that is being replaced still answers its last calls
_log = structlog.get_logger("fairlead.agent")


def main() -> None:
    """Entry point of `fairlead-agent`."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    try:
        run(read_settings(os.environ), os.environ)
    except (PortError, ValueError) as error:
        _log.error("agent cannot start", cause=str(error))
        sys.exit(1)


def run(settings: Settings, env: Mapping[str, str]) -> None:
    """Runs until SIGTERM or SIGINT. Raises PortError when it cannot even start."""
    lock = hold_state(settings.state_dir)
    wake = threading.Event()
    ipam = open_ipam(settings.journal_path, settings.node_name)
    if ipam.damaged_lines:
        _log.error("journal has damaged lines", path=str(settings.journal_path), lines=ipam.damaged_lines)
    loop, server, source, reporter = assemble(settings, env, ipam, wake)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: loop.stop())
    server.start()
    reporter.start()
    source.start(wake.set)
    _log.info("agent started", node=settings.node_name, leases=len(ipam.leases()))
    loop.run()
    server.stop()
    ipam.close()
    os.close(lock)
    _log.info("agent stopped", node=settings.node_name)


def assemble(
    settings: Settings, env: Mapping[str, str], ipam: NodeIPAM, wake: threading.Event
) -> tuple[Loop, CNIServer, Source, Reporter]:
    """All parts, with the last good state in force and the remembered DELs carried out, not yet started."""
    kernel, node, locks = Netlink(), NodeState(), KeyedLocks()
    last_good = LastGood(settings.desired_path)
    source = _source(settings, env)
    verbs = Verbs(
        ipam, kernel, node, Spool(settings.spool_dir),
        locks=locks, wake=wake.set, block_wait_s=settings.block_wait_s,
    )  # fmt: skip
    reporter = Reporter(source.publish, settings.report_interval_s)
    metrics = Metrics(lambda: reporter.latest, source.age_s, lambda: _endpoints(ipam, kernel))
    server = CNIServer(settings.socket_path, verbs.answer, metrics.cni)
    bgp = Bgp(Bird(settings.run_dir / "bird"), source.secret, settings.node_name)
    guard = LeaseGuard(ipam, locks)
    links = Links(kernel, ipam, settings.sweep_grace_s, _tell_swept)
    targets: dict[str, Target] = {
        "sysctls": sysctls.Sysctls(Sysctls(), kernel),
        "links": links,
        "neighbours": Neighbours(kernel, guard),
        "routes": Routes(kernel, guard),
        "bgp": bgp,
    }
    parts = Parts(
        settings=settings, source=source, ipam=ipam, kernel=kernel, node=node, verbs=verbs,
        last_good=last_good, targets=targets, peers=bgp.peers, reporter=reporter, metrics=metrics,
        serving=lambda: server.serving, sweep_at_start=links.sweep_at_start,
    )  # fmt: skip
    loop = Loop(parts, wake)
    loop.resume()
    serve_health(Health(metrics.registry, loop.unhealthy, loop.unready), settings.metrics_port)
    return loop, server, source, reporter


def hold_state(directory: Path) -> int:
    """Takes the state directory for this process alone; the descriptor holds it. Raises PortError."""
    path = directory / "agent.lock"
    try:
        directory.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise PortError(f"state directory {directory} open: {error}") from error
    give_up_s = time.monotonic() + LOCK_WAIT_S
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return descriptor
        except OSError as error:
            if time.monotonic() > give_up_s:
                raise PortError(
                    f"state directory {directory} lock: another agent holds it: {error}"
                ) from error
            time.sleep(0.05)


def _source(settings: Settings, env: Mapping[str, str]) -> Source:
    if settings.desired_file is not None:
        return FileSource(settings.desired_file)
    return KubeSource(settings.node_name, env, _tell_trouble)


def _endpoints(ipam: NodeIPAM, kernel: Netlink) -> dict[str, int]:
    present = living(kernel.links())
    leased = {lease.host_ifname for lease in ipam.leases()}
    return {
        "attached": len(leased & present.keys()),
        "missing": len(leased - present.keys()),
        "orphaned": len(present.keys() - leased),
    }


def _tell_swept(lease: Lease) -> None:
    owner = lease.owner
    _log.info("lease swept: its link is gone", pod=f"{owner.namespace}/{owner.pod_name}",
              container=owner.container_id, addresses=[str(a) for a in lease.addresses])  # fmt: skip


def _tell_trouble(error: KubeError) -> None:
    _log.warning("API server", reason=error.reason, cause=str(error))


if __name__ == "__main__":
    main()
