"""fairlead-operator: one process, one loop, one Lease."""

from __future__ import annotations

import logging
import os
import signal
import sys

import structlog

from fairlead_kube.client import KubeClient
from fairlead_kube.config import load
from fairlead_kube.errors import KubeError
from fairlead_operator.loop import Loop
from fairlead_operator.metrics import Metrics, Probe
from fairlead_operator.notices import Notices
from fairlead_operator.settings import Settings, read_settings

log = structlog.get_logger()


def main() -> int:
    """Runs until SIGTERM or SIGINT. Exit code 1: the environment or the kubeconfig is wrong, or kopf
    ended."""
    _log_as_json()
    try:
        settings = read_settings(os.environ)
        client = KubeClient(load(os.environ), user_agent="fairlead-operator", connections=16)
    except (ValueError, KubeError) as error:
        log.error("cannot start", error=str(error))
        return 1
    return _serve(settings, client)


def _serve(settings: Settings, client: KubeClient) -> int:
    metrics = Metrics()
    loop = Loop(client, settings, metrics)
    notices = Notices(
        client.config, settings.identity, loop.notice, lambda told: log.warning("notices", error=told)
    )

    def health() -> str:
        return loop.health() or ("" if notices.alive else "kopf has ended")

    probe = Probe((settings.metrics_address, settings.metrics_port), metrics, health, loop.readiness)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: loop.stop())
    notices.start()
    probe.start()
    log.info("operator started", identity=settings.identity, server=client.config.server, port=probe.port)
    loop.run()
    notices.stop()
    log.info("operator stopped", identity=settings.identity)
    return 0


def _log_as_json() -> None:
    shared: list[structlog.typing.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    structlog.configure(
        processors=[*shared, structlog.processors.JSONRenderer()],
        logger_factory=structlog.PrintLoggerFactory(sys.stdout),
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared, processor=structlog.processors.JSONRenderer()
        )
    )
    logging.basicConfig(level=logging.WARNING, handlers=[handler])


if __name__ == "__main__":
    sys.exit(main())
