"""Images as containerd takes them."""

import hashlib
import io
import json
import tarfile
from pathlib import Path
from typing import Any

from sandbox import oci


def layer(folder: Path, text: str) -> oci.Layer:
    source = folder / f"src-{text}"
    source.mkdir()
    (source / "file").write_text(text)
    return oci.layer_of(source, "/opt/there")


def unpacked(image: oci.Image, known: tuple[str, ...] = ()) -> dict[str, bytes]:
    packed = io.BytesIO()
    oci.write_archive(packed, image, known)
    packed.seek(0)
    with tarfile.open(fileobj=packed) as tar:
        return {entry.name: content.read() for entry in tar if (content := tar.extractfile(entry))}


def manifest(files: dict[str, bytes]) -> Any:
    digest = json.loads(files["index.json"])["manifests"][0]["digest"]
    return json.loads(files["blobs/sha256/" + digest.removeprefix("sha256:")])


def test_every_blob_of_an_image_has_the_hash_that_it_is_named_by(tmp_path: Path) -> None:
    files = unpacked(oci.Image("name:1", (layer(tmp_path, "a"), layer(tmp_path, "b")), oci.Settings()))

    blobs = {name: content for name, content in files.items() if name.startswith("blobs/")}
    assert len(blobs) == 4
    for name, content in blobs.items():
        assert name == f"blobs/sha256/{hashlib.sha256(content).hexdigest()}"


def test_a_layer_that_the_node_has_is_named_but_not_sent(tmp_path: Path) -> None:
    old, new = layer(tmp_path, "old"), layer(tmp_path, "new")

    files = unpacked(oci.Image("name:1", (old, new), oci.Settings()), known=(old.sha256,))

    assert f"blobs/sha256/{old.sha256}" not in files
    assert f"blobs/sha256/{new.sha256}" in files
    named = [entry["digest"] for entry in manifest(files)["layers"]]
    assert named == [f"sha256:{old.sha256}", f"sha256:{new.sha256}"]


def test_the_same_content_is_the_same_layer_whenever_it_was_written(tmp_path: Path) -> None:
    first = layer(tmp_path, "a")
    again = tmp_path / "again"
    again.mkdir()
    (again / "file").write_text("a")

    assert oci.layer_of(again, "/opt/there") == first


def test_a_file_keeps_its_place_and_its_right_to_run(tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_text("#!/bin/sh")
    program.chmod(0o700)

    with tarfile.open(oci.layer_of(program, "/usr/bin/tool").file) as tar:
        entry = tar.getmember("usr/bin/tool")

    assert (entry.mode, entry.uid, entry.mtime) == (0o755, 0, 0)
