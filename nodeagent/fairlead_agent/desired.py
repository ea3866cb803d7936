"""The last good desired state: what the agent starts from when no API server answers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import msgspec

from fairlead_agent.ports import PortError
from fairlead_agent.ports.files import read_file, write_file
from fairlead_core.api import NodeNetworkSpec


@dataclass(frozen=True, slots=True)
class LastGood:
    """The spec that this node follows, kept at `path`."""

    path: Path

    def load(self) -> NodeNetworkSpec | None:
        """The kept spec; None when there never was one. Raises PortError for a file that cannot be read."""
        content = read_file(self.path)
        return None if content is None else decode_spec(self.path, content)

    def save(self, spec: NodeNetworkSpec) -> None:
        """Keeps `spec`; on disk when it returns. Raises PortError."""
        write_file(self.path, msgspec.json.format(msgspec.json.encode(spec)) + b"\n")


def decode_spec(path: Path, content: bytes) -> NodeNetworkSpec:
    """The spec in a file's bytes. Raises PortError that names the file and the field."""
    try:
        return msgspec.json.decode(content, type=NodeNetworkSpec)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise PortError(f"desired state {path} decode: {error}") from error
