"""How many free addresses a node asks for in one pool."""

from collections import deque
from typing import Final

MINUTE_S: Final = 60.0
MEMORY_S: Final = 10 * MINUTE_S
WANTED_MIN: Final = 16
WANTED_MAX: Final = 256


class Demand:
    """Recent use of one pool: takes per minute over ten minutes, and who asked in vain in the last one."""

    def __init__(self) -> None:
        self._takes: deque[tuple[int, int]] = deque()
        self._short: dict[str, float] = {}

    def took(self, now: float) -> None:
        """One address was given at `now` (epoch seconds)."""
        minute = int(now // MINUTE_S)
        if self._takes and self._takes[-1][0] >= minute:
            last, count = self._takes.pop()
            self._takes.append((last, count + 1))
            return
        self._takes.append((minute, 1))
        self._forget(now)

    def lacked(self, pod: str, now: float) -> None:
        """`pod` got nothing. Counted once, as each try of a kubelet comes with a new container id."""
        self._short[pod] = now

    def served(self, pod: str) -> None:
        """`pod` is no longer short of an address."""
        self._short.pop(pod, None)

    def wanted(self, now: float) -> int:
        """Free addresses to ask for: the busiest minute of the last ten, at least WANTED_MIN, plus one for
        each pod that got none in the last minute; never above WANTED_MAX.

        A node with that many free ones gets through such a minute without a word from the API server.
        """
        self._forget(now)
        busiest = max((count for _, count in self._takes), default=0)
        return min(WANTED_MAX, max(WANTED_MIN, busiest) + len(self._short))

    def _forget(self, now: float) -> None:
        oldest = (now - MEMORY_S) // MINUTE_S
        while self._takes and self._takes[0][0] < oldest:
            self._takes.popleft()
        self._short = {pod: at for pod, at in self._short.items() if now - at <= MINUTE_S}
