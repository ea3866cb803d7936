"""The reference CNI plugins that ours is compared with, built from their Go module."""

from __future__ import annotations

import os
from pathlib import Path

from sandbox import cache
from sandbox.golang import go
from sandbox.shell import run

VERSION = "v1.9.1"
MODULE = "github.com/containernetworking/plugins/plugins"
PLUGINS = ("ipam/host-local", "main/ptp", "main/bridge")


def reference_plugins() -> Path:
    """A folder with host-local, ptp and bridge; built once and kept by version."""

    def build(folder: Path) -> None:
        environment = {**os.environ, "GOBIN": str(folder), "CGO_ENABLED": "0"}
        run(
            [go(), "install", *(f"{MODULE}/{name}@{VERSION}" for name in PLUGINS)],
            env=environment,
            timeout_s=600,
        )

    return cache.artefact("reference-plugins", cache.digest(VERSION, *PLUGINS), build)
