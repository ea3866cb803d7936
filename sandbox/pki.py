"""Keys and certificates of a cluster, by openssl: one authority, every name that a component answers to."""

from __future__ import annotations

import base64
import secrets
from dataclasses import dataclass
from pathlib import Path

from sandbox.shell import run
from sandbox.state import State, write
from sandbox.topology import API_PORT, SERVICES_V4, SERVICES_V6, Topology

DAYS = "3650"
SERVICE = "kubernetes.default.svc.cluster.local"


@dataclass(frozen=True, slots=True)
class Identity:
    """A certificate to issue: file name, who it says it is, and the names and addresses it serves under."""

    file: str
    common_name: str
    organisation: str = ""
    serves: tuple[str, ...] = ()


def identities(plan: Topology) -> list[Identity]:
    """Every certificate of the cluster."""
    return [
        Identity("apiserver", "kube-apiserver", serves=_api_names(plan)),
        Identity("apiserver-kubelet-client", "kube-apiserver-kubelet-client", "system:masters"),
        Identity("front-proxy-client", "front-proxy-client"),
        Identity("admin", "kubernetes-admin", "system:masters"),
        Identity("controller-manager", "system:kube-controller-manager"),
        Identity("scheduler", "system:kube-scheduler"),
        *(Identity(node.name, f"system:node:{node.name}", "system:nodes") for node in plan.nodes),
        *(
            Identity(
                f"{one.name}-serving", one.name, serves=(f"DNS:{one.name}", f"IP:{one.v4}", f"IP:{one.v6}")
            )
            for one in plan.nodes
        ),
    ]


def _api_names(plan: Topology) -> tuple[str, ...]:
    # Clients inside the cluster use any of the Service's shorter names.
    names = ["localhost", *(SERVICE.rsplit(".", dots)[0] for dots in (0, 2, 3, 4))]
    addresses = [
        plan.core.v4,
        plan.core.v6,
        plan.core_address,
        SERVICES_V4[1],
        SERVICES_V6[1],
        "127.0.0.1",
        "::1",
    ]
    return (*(f"DNS:{name}" for name in names), *(f"IP:{address}" for address in addresses))


def ensure(place: State, plan: Topology) -> None:
    """Make what is missing; what is there stays, so that running components keep their trust."""
    place.pki.mkdir(parents=True, exist_ok=True)
    if not (place.pki / "ca.crt").exists():
        _authority(place.pki)
    if not (place.pki / "service-account.pub").exists():
        _key(place.pki / "service-account.key")
        private = (place.pki / "service-account.key").read_text()
        write(place.pki / "service-account.pub", run(["openssl", "pkey", "-pubout"], stdin=private))
    for identity in identities(plan):
        if not (place.pki / f"{identity.file}.crt").exists():
            _issue(place.pki, identity)


def _key(path: Path) -> None:
    fresh = path.with_suffix(".tmp")
    run(["openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", fresh])
    fresh.chmod(0o600)
    fresh.rename(path)


def _authority(folder: Path) -> None:
    _key(folder / "ca.key")
    is_authority = "basicConstraints=critical,CA:TRUE"
    may_sign = "keyUsage=critical,keyCertSign,cRLSign"
    request = ["openssl", "req", "-x509", "-new", "-key", folder / "ca.key", "-subj", "/CN=sandbox"]
    write(folder / "ca.crt", run([*request, "-days", DAYS, "-addext", is_authority, "-addext", may_sign]))


def _issue(folder: Path, identity: Identity) -> None:
    _key(folder / f"{identity.file}.key")
    organisation = f"/O={identity.organisation}" if identity.organisation else ""
    request = ["openssl", "req", "-new", "-key", folder / f"{identity.file}.key"]
    signing = run([*request, "-subj", f"{organisation}/CN={identity.common_name}"])
    extensions = folder / f"{identity.file}.ext"
    usage = "extendedKeyUsage=clientAuth,serverAuth\n"
    names = f"subjectAltName={','.join(identity.serves)}\n" if identity.serves else ""
    extensions.write_text("keyUsage=critical,digitalSignature\n" + usage + names)
    authority = ["-CA", folder / "ca.crt", "-CAkey", folder / "ca.key", "-days", DAYS]
    # Numbers from openssl's own file would need it whole, also after a start that was interrupted.
    number = ["-set_serial", f"0x{secrets.token_hex(15)}"]
    certificate = run(["openssl", "x509", "-req", *authority, *number, "-extfile", extensions], stdin=signing)
    write(folder / f"{identity.file}.crt", certificate)
    extensions.unlink()


def write_kubeconfig(place: State, target: Path, identity: str, server: str) -> None:
    """A kubeconfig with everything in it, so that it works from any folder and any namespace."""
    write(target, kubeconfig(place.pki, identity, f"https://{server}:{API_PORT}"), mode=0o600)


def kubeconfig(folder: Path, identity: str, url: str) -> str:
    """The text of a kubeconfig for one identity."""

    def inline(file: str) -> str:
        return base64.b64encode((folder / file).read_bytes()).decode()

    return f"""apiVersion: v1
kind: Config
current-context: sandbox
clusters:
- name: sandbox
  cluster: {{server: "{url}", certificate-authority-data: {inline("ca.crt")}}}
users:
- name: {identity}
  user: {{client-certificate-data: {inline(identity + ".crt")}, client-key-data: {inline(identity + ".key")}}}
contexts:
- name: sandbox
  context: {{cluster: sandbox, user: {identity}}}
"""
