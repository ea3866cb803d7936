"""The network configuration that makes a runtime call us: on disk exactly when calls can be served."""

from __future__ import annotations

import msgspec

from fairlead_agent.settings import Settings
from fairlead_core.cni import NEWEST
from fairlead_core.lease import CLUSTER_NETWORK


def conflist(settings: Settings) -> bytes:
    """The file's content. Defaults of the plugin are left out, so that a person sees only what is special."""
    plugin: dict[str, object] = {"type": "fairlead"}
    defaults = Settings(settings.node_name)
    if settings.socket_path != defaults.socket_path:
        plugin["socketPath"] = str(settings.socket_path)
    if settings.spool_dir != defaults.spool_dir:
        plugin["spoolDir"] = str(settings.spool_dir)
    document = {"cniVersion": NEWEST, "name": CLUSTER_NETWORK, "plugins": [plugin]}
    return msgspec.json.format(msgspec.json.encode(document)) + b"\n"
