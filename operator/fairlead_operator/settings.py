"""What the operator is told from outside, read once from its environment."""

from __future__ import annotations

import secrets
import socket
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds. The order request < margin < lease is what makes two writers at once impossible (ADR 0009).

    lease       a standby takes over when the Lease was not renewed for so long
    renew       the leader stops to write when its own renewal is older than that
    retry       between two looks at the Lease
    request     longest that a write may take, at the server too
    """

    lease_s: float = 15.0
    renew_s: float = 10.0
    retry_s: float = 2.0
    request_s: float = 4.0
    period_s: float = 30.0  # a pass without any event
    debounce_s: float = 0.1  # between two passes
    status_s: float = 2.0  # between two writes of one status when only its counts changed
    list_age_s: float = 60.0  # pools and peers are read again after that, also without an event


@dataclass(frozen=True, slots=True)
class Settings:
    """One operator process."""

    identity: str
    namespace: str = "fairlead-system"
    lease_name: str = "fairlead-operator"
    metrics_port: int = 9964
    metrics_address: str = ""  # every address of both families, or of IPv4 where there is no IPv6
    node_gone_grace_s: float = 600.0
    timing: Timing = Timing()


def read_settings(env: Mapping[str, str]) -> Settings:
    """Raises ValueError that names the variable that is no number."""
    return Settings(
        # One per process, not per pod: a container restarted in place must not take its predecessor's Lease
        # for its own, as the last write of that one may still be on its way.
        identity=f"{env.get('POD_NAME') or socket.gethostname()}_{secrets.token_hex(4)}",
        namespace=env.get("POD_NAMESPACE") or "fairlead-system",
        metrics_port=int(_number(env, "FAIRLEAD_METRICS_PORT", 9964)),
        node_gone_grace_s=_number(env, "FAIRLEAD_NODE_GONE_GRACE_SECONDS", 600.0),
    )


def _number(env: Mapping[str, str], name: str, default: float) -> float:
    text = env.get(name) or str(default)
    try:
        value = float(text)
    except ValueError as error:
        raise ValueError(f"{name}: {text!r} is no number") from error
    if value < 0:
        raise ValueError(f"{name}: {text} is negative")
    return value
