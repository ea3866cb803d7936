"""Commands of the host: run one, and say what it said when it did not work."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from sandbox.progress import SandboxError

TAIL_LINES = 15


def run(
    argv: Sequence[object],
    *,
    timeout_s: float = 60,
    stdin: str | None = None,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> str:
    """Standard output of a command that must succeed within `timeout_s`.

    `env` adds to the environment. Raises SandboxError with the command and the last lines it printed.
    """
    result = attempt(argv, timeout_s=timeout_s, stdin=stdin, env=env, cwd=cwd)
    if result.returncode:
        said = tail((result.stderr or "") + (result.stdout or ""))
        raise SandboxError(f"`{_shown(argv)}` ended with {result.returncode}:\n{said}")
    return result.stdout


def attempt(
    argv: Sequence[object],
    *,
    timeout_s: float = 60,
    stdin: str | None = None,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> subprocess.CompletedProcess[str]:
    """The finished command, whatever its exit code. Raises SandboxError when it does not end or exist."""
    feed = {"stdin": subprocess.DEVNULL} if stdin is None else {"input": stdin}
    try:
        return subprocess.run(
            [str(word) for word in argv],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout_s,
            check=False,
            cwd=cwd,
            env={**os.environ, **(env or {})},
            **feed,
        )
    except subprocess.TimeoutExpired as error:
        raise SandboxError(f"`{_shown(argv)}` did not end within {timeout_s:.0f} s") from error
    except FileNotFoundError as error:
        raise SandboxError(f"`{argv[0]}` is not installed: {error}") from error


def tail(text: str, lines: int = TAIL_LINES) -> str:
    """The last lines of a text, indented."""
    return "\n".join(f"    {line}" for line in text.rstrip().splitlines()[-lines:])


def _shown(argv: Sequence[object]) -> str:
    text = " ".join(str(word) for word in argv)
    return text if len(text) < 160 else text[:157] + "..."
