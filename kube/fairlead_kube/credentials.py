"""The bearer token of the moment."""

from __future__ import annotations

import os
import subprocess
import time
from typing import Final

import msgspec

from fairlead_kube.config import ExecPlugin, KubeConfig
from fairlead_kube.errors import NO_ANSWER, KubeError

PLUGIN_TIMEOUT_S: Final = 60.0
PLUGIN_TOKEN_REUSE_S: Final = (
    60.0  # shorter than any provider's token life; asking again is cheap, a 401 is not
)


class _Credential(msgspec.Struct):
    token: str | None = None


class _ExecCredential(msgspec.Struct):
    status: _Credential = msgspec.field(default_factory=_Credential)


class Credentials:
    """Answers `token()` for each request: fixed, from a file that kubelet rotates, or from an exec plugin."""

    def __init__(self, config: KubeConfig) -> None:
        self._config = config
        self._cached: str | None = None
        self._cached_until_s = 0.0

    def token(self) -> str | None:
        """The bearer token, None for a client certificate. Raises KubeError (BadConfig)."""
        if self._config.token_file is not None:
            return self._from_file()
        if self._config.token is None and self._config.exec_plugin is not None:
            return self._from_plugin(self._config.exec_plugin)
        return self._config.token

    def _from_file(self) -> str:
        try:
            return str(self._config.token_file.read_text()).strip() if self._config.token_file else ""
        except OSError as error:
            raise KubeError(NO_ANSWER, "BadConfig", f"token file: {error}") from error

    def _from_plugin(self, plugin: ExecPlugin) -> str | None:
        if time.monotonic() >= self._cached_until_s:
            self._cached = _run(plugin)
            self._cached_until_s = time.monotonic() + PLUGIN_TOKEN_REUSE_S
        return self._cached


def _run(plugin: ExecPlugin) -> str:
    name = plugin.command[0]
    try:
        answer = subprocess.run(
            plugin.command, env={**os.environ, **dict(plugin.env)}, stdout=subprocess.PIPE, check=True,
            timeout=PLUGIN_TIMEOUT_S,
        ).stdout  # fmt: skip
        token = msgspec.json.decode(answer, type=_ExecCredential).status.token
    except (OSError, subprocess.SubprocessError, msgspec.MsgspecError) as error:
        raise KubeError(NO_ANSWER, "BadConfig", f"credential plugin {name}: {error}") from error
    if not token:
        raise KubeError(NO_ANSWER, "BadConfig", f"credential plugin {name}: printed no token")
    return token
