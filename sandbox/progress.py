"""What a person sees while they wait, and waits that always end."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class SandboxError(Exception):
    """Something a person must read: names the object, the action and the cause."""


@contextmanager
def step(title: str) -> Iterator[None]:
    """Print the title, run the body, print how long it took."""
    started = time.monotonic()
    sys.stderr.write(f"{title} ... ")
    sys.stderr.flush()
    try:
        yield
    except BaseException:
        sys.stderr.write(f"not done after {time.monotonic() - started:.1f} s\n")
        raise
    sys.stderr.write(f"{time.monotonic() - started:.1f} s\n")


def say(text: str) -> None:
    """One line for the person who waits."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def wait_until(
    true: Callable[[], bool], timeout_s: float, why_not: Callable[[], str], every_s: float = 0.05
) -> None:
    """Ask again and again until the answer is yes. Raises SandboxError with `why_not()` after `timeout_s`."""
    deadline = time.monotonic() + timeout_s
    while not true():
        if time.monotonic() > deadline:
            raise SandboxError(f"{why_not()} (waited {timeout_s:.0f} s)")
        time.sleep(every_s)
