"""etcd, API server, controller manager and scheduler on the machine `core`."""

from __future__ import annotations

import http.client
import ssl

from sandbox.processes import Program
from sandbox.programs import SERVERS
from sandbox.state import State
from sandbox.topology import API_PORT, SERVICES_V4, SERVICES_V6, Topology

PROGRAMS = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler")
assert set(PROGRAMS) < set(SERVERS)
ISSUER = "https://kubernetes.default.svc.cluster.local"


def program(place: State, plan: Topology, name: str) -> Program:
    """How one of the four is started."""
    arguments, hint = {
        "etcd": (_etcd(place), "its data folder is damaged: `make down` starts afresh"),
        "kube-apiserver": (_api_server(place, plan), "etcd does not answer, or a flag is unknown here"),
        "kube-controller-manager": (_controller_manager(place), "the API server does not answer"),
        "kube-scheduler": (_scheduler(place), "the API server does not answer"),
    }[name]
    return Program("core", name, (str(place.bin / name), *arguments), hint)


def _etcd(place: State) -> list[str]:
    return [
        f"--data-dir={place.disk('core') / 'etcd'}",
        "--listen-client-urls=http://127.0.0.1:2379",
        "--advertise-client-urls=http://127.0.0.1:2379",
        "--listen-peer-urls=http://127.0.0.1:2380",
        "--log-level=warn",
    ]


def _api_server(place: State, plan: Topology) -> list[str]:
    pki = place.pki
    return [
        f"--advertise-address={plan.core.v4}",
        "--bind-address=::",
        f"--secure-port={API_PORT}",
        "--etcd-servers=http://127.0.0.1:2379",
        f"--service-cluster-ip-range={SERVICES_V4},{SERVICES_V6}",
        "--allow-privileged=true",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        f"--client-ca-file={pki}/ca.crt",
        f"--tls-cert-file={pki}/apiserver.crt",
        f"--tls-private-key-file={pki}/apiserver.key",
        f"--kubelet-certificate-authority={pki}/ca.crt",
        f"--kubelet-client-certificate={pki}/apiserver-kubelet-client.crt",
        f"--kubelet-client-key={pki}/apiserver-kubelet-client.key",
        # Nodes have no resolvable names here.
        "--kubelet-preferred-address-types=InternalIP",
        f"--service-account-issuer={ISSUER}",
        f"--service-account-key-file={pki}/service-account.pub",
        f"--service-account-signing-key-file={pki}/service-account.key",
        f"--requestheader-client-ca-file={pki}/ca.crt",
        "--requestheader-allowed-names=front-proxy-client",
        "--requestheader-username-headers=X-Remote-User",
        "--requestheader-group-headers=X-Remote-Group",
        "--requestheader-extra-headers-prefix=X-Remote-Extra-",
        f"--proxy-client-cert-file={pki}/front-proxy-client.crt",
        f"--proxy-client-key-file={pki}/front-proxy-client.key",
    ]


def _controller_manager(place: State) -> list[str]:
    pki = place.pki
    return [
        f"--kubeconfig={place.etc}/controller-manager.kubeconfig",
        f"--cluster-signing-cert-file={pki}/ca.crt",
        f"--cluster-signing-key-file={pki}/ca.key",
        f"--root-ca-file={pki}/ca.crt",
        f"--service-account-private-key-file={pki}/service-account.key",
        "--use-service-account-credentials=true",
        # Addresses of pods are Fairlead's to give.
        "--allocate-node-cidrs=false",
        # There is one of it; an election would only delay its restart.
        "--leader-elect=false",
        "--bind-address=127.0.0.1",
    ]


def _scheduler(place: State) -> list[str]:
    config = f"--kubeconfig={place.etc}/scheduler.kubeconfig"
    return [config, "--leader-elect=false", "--bind-address=127.0.0.1"]


def api_ready(place: State, plan: Topology, timeout_s: float = 1.0) -> bool:
    """Whether the API server says that it is ready, asked from the host as kubectl would."""
    context = ssl.create_default_context(cafile=str(place.pki / "ca.crt"))
    context.load_cert_chain(place.pki / "admin.crt", place.pki / "admin.key")
    host = str(plan.core_address)
    connection = http.client.HTTPSConnection(host, API_PORT, timeout=timeout_s, context=context)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
