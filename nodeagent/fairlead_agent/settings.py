"""Where the agent finds its node's things: read once from the environment, passed in everywhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Settings:
    """The agent's surroundings. Paths are as seen inside its container."""

    node_name: str
    state_dir: Path = Path("/var/lib/fairlead")
    run_dir: Path = Path("/run/fairlead")
    cni_conf_dir: Path = Path("/etc/cni/net.d")
    desired_file: Path | None = None
    """A NodeNetworkSpec on disk in the place of the API server: for trying things out."""
    metrics_port: int = 9965
    mtu_bytes: int = 0
    """MTU of pods; 0: that of the uplink."""
    pass_interval_s: float = 10.0
    report_interval_s: float = 10.0
    block_wait_s: float = 5.0
    """How long an ADD waits for the operator to grant a block before it answers "try later"."""
    sweep_grace_s: float = 60.0

    @property
    def socket_path(self) -> Path:
        return self.run_dir / "cni.sock"

    @property
    def journal_path(self) -> Path:
        return self.state_dir / "ipam.journal"

    @property
    def desired_path(self) -> Path:
        return self.state_dir / "desired.json"

    @property
    def spool_dir(self) -> Path:
        return self.state_dir / "cni" / "del"

    @property
    def conflist_path(self) -> Path:
        return self.cni_conf_dir / "10-fairlead.conflist"


def read_settings(env: Mapping[str, str]) -> Settings:
    """Settings from NODE_NAME and FAIRLEAD_*. Raises ValueError that names the variable."""
    if not env.get("NODE_NAME"):
        raise ValueError("NODE_NAME is not set: the agent does not know whose NodeNetwork is its own")
    defaults = Settings(env["NODE_NAME"])
    desired = env.get("FAIRLEAD_DESIRED_FILE")
    return Settings(
        node_name=env["NODE_NAME"],
        state_dir=Path(env.get("FAIRLEAD_STATE_DIR", defaults.state_dir)),
        run_dir=Path(env.get("FAIRLEAD_RUN_DIR", defaults.run_dir)),
        cni_conf_dir=Path(env.get("FAIRLEAD_CNI_CONF_DIR", defaults.cni_conf_dir)),
        desired_file=Path(desired) if desired else None,
        metrics_port=int(_number(env, "FAIRLEAD_METRICS_PORT", defaults.metrics_port)),
        mtu_bytes=int(_number(env, "FAIRLEAD_MTU", defaults.mtu_bytes)),
        pass_interval_s=_number(env, "FAIRLEAD_PASS_SECONDS", defaults.pass_interval_s),
        report_interval_s=_number(env, "FAIRLEAD_REPORT_SECONDS", defaults.report_interval_s),
        block_wait_s=_number(env, "FAIRLEAD_BLOCK_WAIT_SECONDS", defaults.block_wait_s),
        sweep_grace_s=_number(env, "FAIRLEAD_SWEEP_GRACE_SECONDS", defaults.sweep_grace_s),
    )


def _number(env: Mapping[str, str], name: str, default: float) -> float:
    text = env.get(name)
    try:
        return float(text) if text else default
    except ValueError as error:
        raise ValueError(f"{name} {text!r} is not a number") from error
