"""Where the API server is and how we prove who we are.

load()            in a pod: the service account's files; else $KUBECONFIG; else ~/.kube/config
in_cluster()      the agents' way: a few lines of our own, because an agent counts its memory
from_kubeconfig() a person's way: the official client reads what kubectl would read
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from fairlead_kube.errors import NO_ANSWER, KubeError

SERVICE_ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")


def anonymous() -> None:
    """No Authorization header: a client certificate tells who we are, or nobody does."""


@dataclass(frozen=True, slots=True)
class KubeConfig:
    """One API server and one identity.

    `server` is a URL without a trailing slash. `authorization` answers the Authorization header of the
    moment ("Bearer ...") before each request and may raise KubeError (BadConfig). Files are PEM.
    """

    server: str
    authorization: Callable[[], str | None] = anonymous
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    namespace: str = "default"
    server_name: str | None = None
    proxy: str | None = None
    verify: bool = True


def load(
    env: Mapping[str, str],
    path: Path | None = None,
    context: str | None = None,
    service_account: Path = SERVICE_ACCOUNT,
) -> KubeConfig:
    """The configuration that kubectl would find: `path`, $KUBECONFIG, the pod's service account,
    ~/.kube/config.

    Raises KubeError (BadConfig) that names the file and what is missing.
    """
    paths = str(path) if path else env.get("KUBECONFIG", "")
    if not paths and "KUBERNETES_SERVICE_HOST" in env and (service_account / "token").exists():
        return in_cluster(env, service_account)
    return from_kubeconfig(paths or str(Path(env.get("HOME", "/")) / ".kube/config"), context)


def in_cluster(env: Mapping[str, str], service_account: Path = SERVICE_ACCOUNT) -> KubeConfig:
    """The configuration of a pod: $KUBERNETES_SERVICE_HOST and _PORT and the mounted service account."""
    host = env.get("KUBERNETES_SERVICE_HOST", "")
    if not host:
        raise _bad("in-cluster configuration: KUBERNETES_SERVICE_HOST is not set")
    host = f"[{host}]" if ":" in host else host
    try:
        namespace = (service_account / "namespace").read_text().strip()
    except OSError as error:
        raise _bad(f"in-cluster configuration: {error}") from error
    return KubeConfig(
        server=f"https://{host}:{env.get('KUBERNETES_SERVICE_PORT') or '443'}",
        authorization=partial(token_file, service_account / "token"),
        ca_file=service_account / "ca.crt",
        namespace=namespace or "default",
    )


def token_file(path: Path) -> str:
    """The header for the token in `path`, read on every request: kubelet rotates it."""
    try:
        return f"Bearer {path.read_text().strip()}"
    except OSError as error:
        raise _bad(f"token file: {error}") from error


def from_kubeconfig(paths: str, context: str | None = None) -> KubeConfig:
    """The configuration of one context (default: current-context) of kubeconfig files, merged as kubectl
    does.

    `paths` as in $KUBECONFIG. A credential plugin runs here, and again when its token expires. Raises
    KubeError (BadConfig) that names the files and what the client library did not find in them.
    """
    try:
        from fairlead_kube import kubeconfig  # noqa: PLC0415  23 MB and half a second that agents do not pay

        return kubeconfig.read(paths, context)
    except Exception as error:  # KeyError, YAMLError, OSError: what the library lets a malformed file raise
        cause = " ".join(str(error).split())
        raise _bad(f"kubeconfig {paths}: {type(error).__name__}: {cause}") from error


def ssl_context(config: KubeConfig) -> ssl.SSLContext:
    """TLS as `config` says. Raises KubeError (BadConfig) when a certificate or key is not readable as PEM."""
    try:
        context = ssl.create_default_context(cafile=config.ca_file)
        if config.cert_file:
            context.load_cert_chain(config.cert_file, config.key_file)
    except (OSError, ValueError) as error:
        files = ", ".join(str(file) for file in (config.ca_file, config.cert_file, config.key_file) if file)
        raise _bad(f"TLS for {config.server} with {files}: {error}") from error
    if not config.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _bad(message: str) -> KubeError:
    return KubeError(NO_ANSWER, "BadConfig", message)
