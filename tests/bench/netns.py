"""Network namespaces for contenders, gone with the process that holds them."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def empty_netns() -> Iterator[str]:
    """A path to a new network namespace without links."""
    holder = subprocess.Popen(
        ["unshare", "-n", "sh", "-c", "echo ready; exec sleep 100000"], stdout=subprocess.PIPE
    )
    try:
        assert holder.stdout is not None
        holder.stdout.readline()
        yield f"/proc/{holder.pid}/ns/net"
    finally:
        holder.kill()
        holder.wait()
