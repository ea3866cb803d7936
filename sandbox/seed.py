"""A node's first disk: containerd's folder with the images already in it, as on a prepared machine image.

Importing and unpacking 600 MB on every node of every fresh cluster is what a start would mostly wait for. So
it is done once, by a containerd of its own, and nodes get hard links: no layer is written to after it was
unpacked, only the two databases of containerd are, and those are copied.
"""

from __future__ import annotations

import contextlib
import shutil
import signal
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from sandbox import cache, images, programs
from sandbox.oci import Image
from sandbox.progress import SandboxError, step, wait_until
from sandbox.shell import attempt, run, tail
from sandbox.state import State
from sandbox.topology import Machine

CONFIGURATION = """version = 3
root = "{root}"
state = "{state}"
disabled_plugins = [
  "io.containerd.grpc.v1.cri", "io.containerd.cri.v1.images", "io.containerd.cri.v1.runtime",
]
[grpc]
  address = "{state}/containerd.sock"
"""


@dataclass(frozen=True, slots=True)
class Seed:
    """A folder of containerd and the images in it."""

    folder: Path
    images: tuple[Image, ...]


def seed() -> Seed:
    """The folder with all images of a fresh node, but for Fairlead's own code."""
    wanted = (images.pause(), images.agnhost(), images.busybox(), images.fairlead_libraries())
    key = cache.digest(*(image.key for image in wanted), str(programs.path("containerd")))

    def build(folder: Path) -> None:
        with step("images for the nodes' first disks"):
            _fill(folder, wanted)

    return Seed(cache.artefact("containerd", key, build), wanted)


def _fill(folder: Path, wanted: Sequence[Image]) -> None:
    with _containerd(folder) as ctr:
        known: set[str] = set()
        for image in wanted:
            images.stream(ctr, image, known, folder / "import.log")
            known.update(layer.sha256 for layer in image.layers)
    (folder / "import.log").unlink()
    shutil.rmtree(folder / "state")


@contextlib.contextmanager
def _containerd(folder: Path) -> Iterator[list[str]]:
    """A containerd that only stores; gives the words of a `ctr` that speaks to it."""
    state = folder / "state"
    state.mkdir()
    configuration = state / "config.toml"
    configuration.write_text(CONFIGURATION.format(root=folder / "root", state=state))
    ctr = [str(programs.path("ctr")), "-a", f"{state}/containerd.sock", "-n", "k8s.io"]
    log = state / "log"
    argv = [
        "unshare",
        "--mount",
        "--propagation",
        "private",
        programs.path("containerd"),
        "--config",
        configuration,
    ]
    with log.open("wb") as said:
        daemon = subprocess.Popen(
            [str(word) for word in argv], stdout=said, stderr=said, stdin=subprocess.DEVNULL
        )
    try:
        answers = [*ctr, "version"]
        silent = "containerd that fills the first disks does not answer"
        wait_until(
            lambda: attempt(answers, timeout_s=10).returncode == 0,
            30,
            lambda: f"{silent}\n{tail(log.read_text())}",
        )
        yield ctr
    finally:
        daemon.send_signal(signal.SIGTERM)
        try:
            daemon.wait(timeout=20)
        except subprocess.TimeoutExpired as error:
            daemon.kill()
            daemon.wait()
            # Its databases may lack the end of what was imported.
            raise SandboxError("containerd that fills the first disks does not end") from error


def plant(place: State, node: Machine, grown: Seed) -> None:
    """Give the node its first disk; nothing happens when it has one."""
    target = place.disk(node.name) / "containerd"
    if target.exists():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    fresh = target.with_name("containerd.new")
    shutil.rmtree(fresh, ignore_errors=True)
    source = grown.folder / "root"
    same_disk = source.stat().st_dev == target.parent.stat().st_dev
    run(["cp", "-a", *(["--link"] if same_disk else []), source, fresh], timeout_s=120)
    for database in source.rglob("*.db"):
        linked = fresh / database.relative_to(source)
        linked.unlink()
        shutil.copy2(database, linked)
    fresh.rename(target)
    for image in grown.images:
        images.note(place, node, image)
