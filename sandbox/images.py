"""The images of a sandbox: Fairlead's own, and those that Kubernetes and its tests expect to find."""

from __future__ import annotations

import dataclasses
import shutil
import subprocess
import sys
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from sandbox import cache, cluster, containerfile, node, oci, programs, rootfs
from sandbox.oci import Image
from sandbox.progress import SandboxError
from sandbox.shell import attempt, run, tail
from sandbox.state import REPOSITORY, State
from sandbox.topology import Machine, Topology

CONTEXT = REPOSITORY / "build" / "image"
OWN_PACKAGES = (
    "core/fairlead_core",
    "kube/fairlead_kube",
    "operator/fairlead_operator",
    "nodeagent/fairlead_agent",
    "cli/fairlead_cli",
)
# command -> the package whose main.main it is
COMMANDS = {
    "fairlead-operator": "fairlead_operator",
    "fairlead-agent": "fairlead_agent",
    "fairlead": "fairlead_cli",
}
REPOSITORY_NAME = "docker.io/library/fairlead"
AGNHOST = "registry.k8s.io/e2e-test-images/agnhost:2.63.0"
# The suite moves pods from one version to the other and looks at nothing but the name.
AGNHOST_PREVIOUS = "registry.k8s.io/e2e-test-images/agnhost:2.55"
BUSYBOX = "registry.k8s.io/e2e-test-images/busybox:1.37.0-1"
# What the Service tests of Kubernetes call inside agnhost, and what people look around with.
AGNHOST_PACKAGES = tuple(
    "bind9-dnsutils curl iperf iproute2 iptables iputils-ping netcat-openbsd socat".split()  # noqa: SIM905
)


def pause() -> Image:
    return Image(
        node.PAUSE_IMAGE, (oci.layer_of(programs.pause(), "/pause"),), oci.Settings(entrypoint=("/pause",))
    )


def agnhost() -> Image:
    """The test image of Kubernetes: its one program on a small Debian."""
    base = oci.layer_from(rootfs.tar_of("agnhost", AGNHOST_PACKAGES))
    program = oci.layer_of(programs.path("agnhost"), "/agnhost")
    return Image(AGNHOST, (base, program), oci.Settings(entrypoint=("/agnhost",), command=("pause",)))


def for_e2e() -> list[Image]:
    """What the end-to-end tests of pods and networks run."""
    current = agnhost()
    return [pause(), current, dataclasses.replace(current, reference=AGNHOST_PREVIOUS), busybox()]


def busybox() -> Image:
    """Debian's static busybox with a link for each of its applets."""
    binary = Path("/bin/busybox")

    def build(folder: Path) -> None:
        for place in ("bin", "tmp", "etc"):
            (folder / place).mkdir()
        shutil.copy(binary, folder / "bin" / "busybox")
        (folder / "etc" / "passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
        for applet in run([binary, "--list"]).split():
            if applet != "busybox":
                (folder / "bin" / applet).symlink_to("busybox")

    root = cache.artefact("busybox", cache.digest(binary.read_bytes()), build)
    return Image(BUSYBOX, (oci.layer_of(root, "/"),), oci.Settings(command=("sh",)))


def fairlead(context: Path = CONTEXT) -> Image:
    """Fairlead's image, tagged by its content; `context` is filled with what it is made of."""
    stage_context(context)
    base = oci.layer_from(rootfs.tar_of("fairlead", base_packages()))
    recipe = containerfile.read(REPOSITORY / "image" / "Containerfile", base="sandbox")
    layers = (base, *(oci.layer_of(context / copy.source, copy.destination) for copy in recipe.copies))
    tag = cache.digest(repr(recipe.settings), *(layer.sha256 for layer in layers))[:12]
    return Image(f"{REPOSITORY_NAME}:{tag}", layers, recipe.settings)


def fairlead_libraries() -> Image:
    """The lower, large layers of Fairlead's image, which change with its pins only."""
    base = oci.layer_from(rootfs.tar_of("fairlead", base_packages()))
    recipe = containerfile.read(REPOSITORY / "image" / "Containerfile", base="sandbox")
    large = oci.layer_of(libraries(), recipe.copies[0].destination)
    return Image(f"{REPOSITORY_NAME}-libraries:{large.sha256[:12]}", (base, large), oci.Settings())


def base_packages() -> list[str]:
    lines = (REPOSITORY / "image" / "base-packages.txt").read_text().splitlines()
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]


def stage_context(context: Path) -> None:
    """Fill the folder that image/Containerfile copies from; what did not change comes from the cache."""
    shutil.rmtree(context, ignore_errors=True)
    context.mkdir(parents=True)
    (context / "libraries").symlink_to(libraries())
    (context / "packages").symlink_to(own_packages())
    (context / "commands").mkdir()
    for command, package in COMMANDS.items():
        script = context / "commands" / command
        script.write_text(
            f"#!/usr/bin/python3\nimport sys\n\nfrom {package}.main import main\n\nsys.exit(main())\n"
        )
        script.chmod(0o755)
    shutil.copy(REPOSITORY / "image" / "bird-supervisor.sh", context)
    (context / "cni").mkdir()
    run(["make", "-s", "-C", REPOSITORY / "nodeagent" / "cni"], timeout_s=120)
    shutil.copy(REPOSITORY / "nodeagent" / "cni" / "build" / "fairlead", context / "cni" / "fairlead")


def own_packages() -> Path:
    """Fairlead's own Python packages side by side, compiled."""
    sources = [REPOSITORY / folder for folder in OWN_PACKAGES]

    def collect(folder: Path) -> None:
        for source in sources:
            shutil.copytree(source, folder / source.name, ignore=shutil.ignore_patterns("__pycache__"))
        _compile_python(folder, "/usr/lib/fairlead/packages")

    key = cache.digest(*(part for source in sources for part in (source.name, cache.tree_digest(source))))
    return cache.artefact("packages", key, collect)


def libraries() -> Path:
    """The pinned Python packages of the image, installed into a folder of their own."""
    pins = REPOSITORY / "requirements" / "image.txt"

    def install(folder: Path) -> None:
        wheels = ["--only-binary=:all:", "--python-version=3.11", "--implementation=cp"]
        pip = [sys.executable, "-m", "pip", "install", "-q", "--no-compile", "--require-hashes", *wheels]
        run([*pip, "--target", folder, "-r", pins], timeout_s=600)
        shutil.rmtree(folder / "bin", ignore_errors=True)
        _compile_python(folder, "/usr/lib/fairlead/libraries")

    return cache.artefact("libraries", cache.digest(pins.read_text()), install)


def _compile_python(folder: Path, destination: str) -> None:
    # "unchecked-hash": layers carry no times that Python could compare.
    flags = ["-q", "--invalidation-mode", "unchecked-hash", "-s", str(folder), "-p", destination]
    attempt([_python(), "-m", "compileall", *flags, folder], timeout_s=300)


def _python() -> str:
    """A Python of the image's minor version, whose bytecode it can use."""
    return sys.executable if sys.version_info[:2] == (3, 11) else "python3.11"


def load(place: State, plan: Topology, images: Sequence[Image]) -> None:
    """Put the images on all nodes that lack them, some nodes at once."""
    with ThreadPoolExecutor(max_workers=3) as pool:
        for done in [pool.submit(_load_on, place, one, images) for one in plan.nodes]:
            done.result()


def _load_on(place: State, one: Machine, images: Sequence[Image]) -> None:
    for image in images:
        memory = _memory(place, one)
        if not (memory / image.key).exists():
            _import(place, one, image, {file.name for file in memory.glob("*")})
            note(place, one, image)


def _memory(place: State, one: Machine) -> Path:
    """The node's disk remembers what it was given: one that comes back after a power cut needs nothing."""
    return place.disk(one.name) / "images"


def note(place: State, one: Machine, image: Image) -> None:
    """Remember that the node has the image and its layers."""
    memory = _memory(place, one)
    memory.mkdir(parents=True, exist_ok=True)
    for name in (image.key, *(layer.sha256 for layer in image.layers)):
        (memory / name).touch()


def _import(place: State, one: Machine, image: Image, known: Collection[str]) -> None:
    """Stream the image into the node's containerd, without layers that it has."""
    ctr = cluster.inside(place, one, [place.bin / "ctr", "-a", node.SOCKET, "-n", "k8s.io"])
    try:
        stream(ctr, image, known, place.log(one.name, "import"))
    except SandboxError as error:
        raise SandboxError(f"{one.name}: {error}") from error


def stream(ctr: Sequence[str], image: Image, known: Collection[str], log: Path) -> None:
    """Write the image into `ctr images import`. Raises SandboxError with what containerd says."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as said:
        argv = [*ctr, "images", "import", "-"]
        importer = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=said, stderr=said)
        assert importer.stdin
        try:
            oci.write_archive(importer.stdin, image, known)
            importer.stdin.close()
            code = importer.wait(timeout=180)
        except (OSError, subprocess.TimeoutExpired):
            importer.kill()
            code = importer.wait()
    if code:
        raise SandboxError(f"containerd does not take {image.reference}:\n{tail(log.read_text())}")
