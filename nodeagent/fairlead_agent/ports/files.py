"""Small files: written whole or not at all, the spool of remembered DELs, sysctls."""

from __future__ import annotations

import os
from pathlib import Path

from fairlead_agent.ports import PortError
from fairlead_core.cni import AttachmentKey
from fairlead_core.cni_wire import BadSpoolNameError, SpoolKey, parse_spool_name, spool_name


def read_file(path: Path) -> bytes | None:
    """The file's bytes; None when there is none. Raises PortError."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise PortError(f"file {path} read: {error}") from error


def write_file(path: Path, content: bytes, mode: int = 0o600) -> None:
    """Puts `content` at `path` so that a reader, also after a power cut, sees old or new whole."""
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.rename(path)
        _sync_directory(path.parent)
    except OSError as error:
        raise PortError(f"file {path} write: {error}") from error


def remove_file(path: Path) -> None:
    """Removes a file; one that is gone is fine."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise PortError(f"file {path} remove: {error}") from error


class Spool:
    """DEL calls that the plugin remembered while nobody answered: one file per attachment."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def outstanding(self) -> tuple[AttachmentKey, ...]:
        """The attachments whose DEL is outstanding. Foreign files, and those being written, are not seen."""
        try:
            names = sorted(os.listdir(self._directory))
        except FileNotFoundError:
            return ()
        except OSError as error:
            raise PortError(f"spool {self._directory} list: {error}") from error
        return tuple(key for name in names if (key := _spool_key(name)) is not None)

    def has(self, key: AttachmentKey) -> bool:
        """Whether a DEL of this attachment is outstanding."""
        return self._path(key).exists()

    def done(self, key: AttachmentKey) -> None:
        """Forgets a DEL that was carried out."""
        remove_file(self._path(key))

    def _path(self, key: AttachmentKey) -> Path:
        return self._directory / spool_name(SpoolKey(key.container_id, key.ifname))


class Sysctls:
    """Kernel settings of the node's network namespace, by dotted path ("net.ipv4.ip_forward")."""

    def __init__(self, root: Path = Path("/proc/sys")) -> None:
        self._root = root

    def get(self, parts: tuple[str, ...]) -> str:
        """The setting's text. Parts, because an interface name may contain dots."""
        content = read_file(self._root.joinpath(*parts))
        if content is None:
            raise PortError(f"sysctl {'.'.join(parts)} read: there is none")
        return content.decode().strip()

    def put(self, parts: tuple[str, ...], value: str) -> None:
        """Sets it. Raises PortError."""
        try:
            self._root.joinpath(*parts).write_text(value)
        except OSError as error:
            raise PortError(f"sysctl {'.'.join(parts)} set to {value}: {error}") from error


def _spool_key(name: str) -> AttachmentKey | None:
    try:
        key = parse_spool_name(name)
    except BadSpoolNameError:
        return None
    return AttachmentKey(key.container_id, key.ifname)


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
