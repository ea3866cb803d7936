"""containerd and kubelet of one node: their configuration and how they are started."""

from __future__ import annotations

from sandbox.namespaces import PATH
from sandbox.processes import Program
from sandbox.state import REPOSITORY, State, write
from sandbox.topology import Machine

TEMPLATES = REPOSITORY / "sandbox" / "templates"
PROGRAMS = ("containerd", "kubelet")
PAUSE_IMAGE = "registry.k8s.io/pause:3.10.2"
SOCKET = "/run/containerd/containerd.sock"


def write_configuration(place: State, node: Machine) -> None:
    """The files that both programs read."""
    values = {
        "PAUSE_IMAGE": PAUSE_IMAGE,
        "SOCKET": SOCKET,
        "CGROUP": node.namespace,
        "CA": str(place.pki / "ca.crt"),
        "CERTIFICATE": str(place.pki / f"{node.name}-serving.crt"),
        "KEY": str(place.pki / f"{node.name}-serving.key"),
    }
    for file in ("containerd.toml", "kubelet.yaml"):
        write(place.etc / node.name / file, filled((TEMPLATES / file).read_text(), values))


def filled(template: str, values: dict[str, str]) -> str:
    """The template with every @NAME@ replaced."""
    for name, value in values.items():
        template = template.replace(f"@{name}@", value)
    return template


def program(place: State, node: Machine, name: str) -> Program:
    """How containerd or kubelet is started on that node."""
    return {"containerd": _containerd, "kubelet": _kubelet}[name](place, node)


def _containerd(place: State, node: Machine) -> Program:
    argv = (str(place.bin / "containerd"), "--config", str(place.etc / node.name / "containerd.toml"))
    # It looks for its shim on the PATH.
    environment = (("PATH", f"{place.bin}:{PATH}"),)
    return Program(node.name, "containerd", argv, "its folder on the node's disk is damaged", environment)


def _kubelet(place: State, node: Machine) -> Program:
    argv = (
        str(place.bin / "kubelet"),
        f"--config={place.etc}/{node.name}/kubelet.yaml",
        f"--kubeconfig={place.etc}/{node.name}/kubeconfig",
        f"--hostname-override={node.name}",
        f"--node-ip={node.v4},{node.v6}",
        f"--node-labels=topology.kubernetes.io/zone=zone-{'ab'[int(node.name[4:]) % 2]}",
        "--v=2",
    )
    hint = "containerd or the API server does not answer, or a cgroup is missing"
    return Program(node.name, "kubelet", argv, hint)
