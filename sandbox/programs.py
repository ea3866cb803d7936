"""The programs of a cluster, built from pinned Go modules and a few lines of C, and where to find them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from sandbox import cache, golang
from sandbox.progress import SandboxError, step
from sandbox.shell import run
from sandbox.state import REPOSITORY, State

MODULE = REPOSITORY / "sandbox" / "binaries"
KUBERNETES = "v1.36.3"
LDFLAGS = f"-s -w -X k8s.io/component-base/version.gitVersion={KUBERNETES}"
BUILD_TIMEOUT_S = 3000

# program -> the package that becomes it
PACKAGES = {
    "cluster": "./cluster",
    "containerd": "github.com/containerd/containerd/v2/cmd/containerd",
    "containerd-shim-runc-v2": "github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2",
    "ctr": "github.com/containerd/containerd/v2/cmd/ctr",
    "kubectl": "k8s.io/kubernetes/cmd/kubectl",
    "helm": "helm.sh/helm/v3/cmd/helm",
    "cnitool": "github.com/containernetworking/cni/cnitool",
    "agnhost": "k8s.io/kubernetes/test/images/agnhost",
    "kube-proxy": "k8s.io/kubernetes/cmd/kube-proxy",
    "e2e.test": "k8s.io/kubernetes/test/e2e",
}
# What `up` needs; the others are built when somebody asks.
ALWAYS = ("cluster", "containerd", "containerd-shim-runc-v2", "ctr", "kubectl", "helm", "cnitool", "agnhost")
# Names by which the one program of the servers is called.
SERVERS = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet")


def _key(program: str) -> str:
    sources = [MODULE / "go.mod", MODULE / "go.sum"]
    if program == "cluster":
        sources += sorted((MODULE / "cluster").glob("*.go"))
    return cache.digest(program, PACKAGES[program], LDFLAGS, *(path.read_bytes() for path in sources))


def build(names: Iterable[str] = ALWAYS) -> None:
    """Build what is not in the cache yet. Go's own cache makes the second program cheaper than the first."""
    wanted = [name for name in names if not cache.has("program", _key(name))]
    if not wanted:
        return
    compiler = golang.go()
    for name in wanted:
        with step(f"building {name}"):
            cache.artefact("program", _key(name), lambda folder, name=name: _compile(compiler, name, folder))  # type: ignore[misc]


def _compile(compiler: Path, name: str, folder: Path) -> None:
    verb = ["test", "-c", "-vet=off"] if name == "e2e.test" else ["build"]
    argv = [compiler, *verb, "-trimpath", "-ldflags", LDFLAGS, "-o", folder / name, PACKAGES[name]]
    environment = {"CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOWORK": "off"}
    run(["nice", "-n", "5", *argv], timeout_s=BUILD_TIMEOUT_S, env=environment, cwd=MODULE)


def path(name: str) -> Path:
    """Where the built program lies. Raises SandboxError when it was not built."""
    program = "cluster" if name in SERVERS else name
    if not cache.has("program", _key(program)):
        raise SandboxError(f"{name} is not built: run `python -m sandbox build {program}`")
    return cache.root() / "program" / _key(program) / program


def pause() -> Path:
    """The program that only reaps: first process of every pod and every machine."""
    source = REPOSITORY / "sandbox" / "pause.c"

    def compile_c(folder: Path) -> None:
        run(["gcc", "-O2", "-static", "-Wall", "-Werror", "-o", folder / "pause", source])

    return cache.artefact("pause", cache.digest(source.read_bytes()), compile_c) / "pause"


def link_all(place: State) -> None:
    """Give every built program its name in the sandbox's bin folder."""
    place.bin.mkdir(parents=True, exist_ok=True)
    for name in (*SERVERS, *PACKAGES):
        program = "cluster" if name in SERVERS else name
        if program == name == "cluster" or not cache.has("program", _key(program)):
            continue
        link = place.bin / name
        fresh = place.bin / f".{name}.new"
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(path(name))
        fresh.rename(link)
