"""What the loop knows and the CNI server asks: one small object that both share."""

from __future__ import annotations

import threading
import time

from fairlead_core.api import NodeNetworkSpec

DEFAULT_MTU_BYTES = 1500  # a node without any default route still connects its own pods


class NodeState:
    """The accepted spec and what follows from the node itself. Thread-safe."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._version = 0
        self.spec: NodeNetworkSpec | None = None
        self.mtu_bytes = DEFAULT_MTU_BYTES

    @property
    def version(self) -> int:
        """Counts accepted specs."""
        return self._version

    def accept(self, spec: NodeNetworkSpec) -> None:
        """Takes a spec over and wakes who waits for addresses."""
        with self._changed:
            self.spec = spec
            self._version += 1
            self._changed.notify_all()

    def wait_newer(self, version: int, deadline_s: float) -> bool:
        """Waits for a spec after `version`, until `deadline_s` (monotonic); whether there is one."""
        with self._changed:
            return self._changed.wait_for(
                lambda: self._version > version, timeout=max(0.0, deadline_s - time.monotonic())
            )
