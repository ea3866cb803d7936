"""kopf tells that an IPPool or a BGPPeer changed. Nothing else of it is used: the event's content is not
read.

Runs in a thread with its own event loop; a change sets the wake-up, and the pass reads everything anew.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from typing import Any, Final

import kopf

from fairlead_core.api import GROUP, VERSION
from fairlead_kube.config import KubeConfig

RESTART_S: Final = 5.0


class Notices:
    """kopf in a thread, from `start` to `stop`. When it ends by itself (an API server that is away for long
    does that to it) `on_trouble` hears why and it starts anew; until then passes come by their period."""

    def __init__(
        self,
        config: KubeConfig,
        identity: str,
        on_change: Callable[[], None],
        on_trouble: Callable[[str], None],
    ) -> None:
        self._config, self._identity = config, identity
        self._on_change, self._on_trouble = on_change, on_trouble
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="kopf", daemon=True)

    def start(self) -> None:
        # kopf logs each event at INFO; the operator logs changes of the world itself. That signals are not
        # kopf's here is as it shall be, so its warning about that is muted too.
        logging.getLogger("kopf").setLevel(logging.WARNING)
        logging.getLogger("kopf._core.reactor.running").setLevel(logging.ERROR)
        self._thread.start()

    def stop(self, timeout_s: float = 5.0) -> None:
        self._stop.set()
        self._thread.join(timeout_s)

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                asyncio.run(self._listen())
                cause = "it ended"
            except Exception as error:
                cause = f"{type(error).__name__}: {error}"
            if not self._stop.is_set():
                self._on_trouble(f"kopf starts anew in {RESTART_S:.0f} s: {cause}")
                self._stop.wait(RESTART_S)

    async def _listen(self) -> None:
        await kopf.operator(
            registry=_registry(self._config, self._on_change),
            settings=kopf_settings(),
            clusterwide=True,
            # Without one kopf asks for the user's name, which a container's bare uid does not have.
            identity=self._identity,  # type: ignore[arg-type]  # a NewType of str that kopf does not export
            standalone=True,  # peering is no leader election: equal priorities freeze every replica
            stop_flag=self._stop,
        )


def kopf_settings() -> kopf.OperatorSettings:
    """kopf as a mere listener: it keeps no state on objects; would it ever, then under our own names."""
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False
    settings.peering.standalone = True
    settings.persistence.finalizer = f"{GROUP}/kopf"
    settings.persistence.progress_storage = kopf.AnnotationsProgressStorage(prefix=f"kopf.{GROUP}")
    settings.persistence.diffbase_storage = kopf.AnnotationsDiffBaseStorage(prefix=f"kopf.{GROUP}")
    settings.process.ultimate_exiting_timeout = None  # the process belongs to main, which bounds its own end
    settings.networking.connect_timeout = 5.0
    settings.networking.request_timeout = 30.0
    settings.watching.server_timeout = 270  # an int: the API server refuses "270.0"
    settings.watching.connect_timeout = 5.0
    return settings


def _registry(config: KubeConfig, on_change: Callable[[], None]) -> kopf.OperatorRegistry:
    registry = kopf.OperatorRegistry()

    def changed(**_: Any) -> None:
        on_change()

    async def login(**_: Any) -> kopf.ConnectionInfo:
        return _connection(config)

    for plural in ("ippools", "bgppeers"):
        kopf.on.event(GROUP, VERSION, plural, registry=registry)(_async(changed))
    kopf.on.login(registry=registry)(login)
    return registry


def _async(function: Callable[..., None]) -> Callable[..., Any]:
    async def call(**known: Any) -> None:
        function(**known)

    return call


def _connection(config: KubeConfig) -> kopf.ConnectionInfo:
    scheme, _, token = (config.authorization() or "").partition(" ")
    return kopf.ConnectionInfo(
        server=config.server,
        ca_path=config.ca_file,
        insecure=not config.verify,
        scheme=scheme or None,
        token=token or None,
        certificate_path=config.cert_file,
        private_key_path=config.key_file,
        proxy_url=config.proxy,
        default_namespace=config.namespace,
    )
