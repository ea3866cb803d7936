"""Container images without registry or daemon: a layer is a plain tar, an image an OCI layout in one tar."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from sandbox import cache

LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar"
CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"


@dataclass(frozen=True, slots=True)
class Layer:
    """An uncompressed tar, and the SHA-256 of it in hexadecimal."""

    file: Path
    sha256: str


@dataclass(frozen=True, slots=True)
class Settings:
    """What an image says about how to run it."""

    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    environment: tuple[str, ...] = ("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",)
    labels: dict[str, str] = field(default_factory=dict)


def layer_of(source: Path, destination: str) -> Layer:
    """The layer that puts a file, or the content of a folder, at `destination`. Same content, same layer."""
    key = cache.digest(destination, cache.content_name(source), str(source.is_file()))

    def pack(folder: Path) -> None:
        with tarfile.open(folder / "layer.tar", "w", format=tarfile.PAX_FORMAT) as tar:
            for file in [source] if source.is_file() else sorted(source.rglob("*")):
                inside = Path(destination.lstrip("/")) / file.relative_to(source)
                tar.add(file, str(inside), recursive=False, filter=_anonymous)

    return layer_from(cache.artefact("layer", key, pack) / "layer.tar")


def _anonymous(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    """Nobody's name and no time: two builds of the same content are the same bytes."""
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    entry.mtime = 0
    entry.mode = 0o755 if entry.isdir() or entry.mode & 0o100 else 0o644
    return entry


def layer_from(file: Path) -> Layer:
    """A tar as a layer; its hash is kept beside it."""
    kept = file.with_suffix(".sha256")
    if not kept.exists():
        with file.open("rb") as content:
            kept.write_text(hashlib.file_digest(content, "sha256").hexdigest())
    return Layer(file, kept.read_text())


@dataclass(frozen=True, slots=True)
class Image:
    """An image by the name under which nodes know it."""

    reference: str
    layers: tuple[Layer, ...]
    settings: Settings

    @property
    def key(self) -> str:
        """One name for the whole content."""
        return cache.digest(self.reference, repr(self.settings), *(layer.sha256 for layer in self.layers))


def write_archive(target: IO[bytes], image: Image, known: Collection[str] = ()) -> None:
    """Write the image as one tar for `ctr images import`, without layers whose SHA-256 is `known` there."""
    config = _json(_config(image.layers, image.settings))
    layers = [_descriptor(LAYER_TYPE, layer.sha256, layer.file.stat().st_size) for layer in image.layers]
    content = {"config": _blob(CONFIG_TYPE, config), "layers": layers}
    manifest = _json({"schemaVersion": 2, "mediaType": MANIFEST_TYPE, **content})
    named = {**_blob(MANIFEST_TYPE, manifest), "annotations": {"io.containerd.image.name": image.reference}}
    with tarfile.open(fileobj=target, mode="w|", format=tarfile.PAX_FORMAT) as tar:
        _add(tar, "oci-layout", _json({"imageLayoutVersion": "1.0.0"}))
        _add(tar, "index.json", _json({"schemaVersion": 2, "manifests": [named]}))
        for blob in (config, manifest):
            _add(tar, f"blobs/sha256/{hashlib.sha256(blob).hexdigest()}", blob)
        for sha256, file in {layer.sha256: layer.file for layer in image.layers}.items():
            if sha256 not in known:
                tar.add(file, f"blobs/sha256/{sha256}", filter=_anonymous)


def _config(layers: Iterable[Layer], settings: Settings) -> dict[str, Any]:
    return {
        "architecture": "amd64",
        "os": "linux",
        "config": {
            "Entrypoint": list(settings.entrypoint) or None,
            "Cmd": list(settings.command) or None,
            "Env": list(settings.environment),
            "Labels": settings.labels,
        },
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{layer.sha256}" for layer in layers]},
    }


def _blob(media_type: str, blob: bytes) -> dict[str, Any]:
    return _descriptor(media_type, hashlib.sha256(blob).hexdigest(), len(blob))


def _descriptor(media_type: str, sha256: str, size: int) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": f"sha256:{sha256}", "size": size}


def _json(value: object) -> bytes:
    return json.dumps(value, sort_keys=True).encode()


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    tar.addfile(entry, io.BytesIO(content))
