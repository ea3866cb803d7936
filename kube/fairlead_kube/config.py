"""Where the API server is and how we prove who we are.

load()         in a pod: the service account's files; else $KUBECONFIG; else ~/.kube/config
credentials    client certificate, token, token file (read again on every request: kubelet rotates it),
               or an exec plugin (client.authentication.k8s.io)
"""

from __future__ import annotations

import base64
import os
import ssl
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from fairlead_kube.errors import NO_ANSWER, KubeError

SERVICE_ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")


@dataclass(frozen=True, slots=True)
class ExecPlugin:
    """A command that prints an ExecCredential."""

    command: tuple[str, ...]
    env: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class KubeConfig:
    """One API server and one identity. `server` is a URL without a path's trailing slash; PEM is bytes."""

    server: str
    ca_pem: bytes | None = None
    cert_pem: bytes | None = None
    key_pem: bytes | None = None
    token: str | None = None
    token_file: Path | None = None
    exec_plugin: ExecPlugin | None = None
    namespace: str = "default"
    server_name: str | None = None
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
    if path is None and "KUBECONFIG" in env:
        path = _first_existing(env["KUBECONFIG"])
    if path is None and "KUBERNETES_SERVICE_HOST" in env and (service_account / "token").exists():
        return in_cluster(env, service_account)
    return from_kubeconfig(path or Path(env.get("HOME", "/")) / ".kube/config", context)


def in_cluster(env: Mapping[str, str], service_account: Path = SERVICE_ACCOUNT) -> KubeConfig:
    """The configuration of a pod: $KUBERNETES_SERVICE_HOST and _PORT and the mounted service account."""
    host = env.get("KUBERNETES_SERVICE_HOST", "")
    if not host:
        raise _bad("in-cluster configuration: KUBERNETES_SERVICE_HOST is not set")
    host = f"[{host}]" if ":" in host else host
    try:
        ca_pem = (service_account / "ca.crt").read_bytes()
        namespace = (service_account / "namespace").read_text().strip()
    except OSError as error:
        raise _bad(f"in-cluster configuration: {error}") from error
    return KubeConfig(
        server=f"https://{host}:{env.get('KUBERNETES_SERVICE_PORT') or '443'}",
        ca_pem=ca_pem,
        token_file=service_account / "token",
        namespace=namespace or "default",
    )


def from_kubeconfig(path: Path, context: str | None = None) -> KubeConfig:
    """The configuration of one context (default: current-context) of a kubeconfig file."""
    document = _read_yaml(path)
    name = context or document.get("current-context") or ""
    chosen = _named(path, document, "contexts", name).get("context") or {}
    cluster = _named(path, document, "clusters", chosen.get("cluster", "")).get("cluster") or {}
    user = _named(path, document, "users", chosen.get("user", "")).get("user") or {}
    if not cluster.get("server"):
        raise _bad(f"{path}: cluster {chosen.get('cluster')!r} has no server")
    token_file = user.get("tokenFile")
    return KubeConfig(
        server=str(cluster["server"]).rstrip("/"),
        ca_pem=_pem(path, cluster, "certificate-authority"),
        cert_pem=_pem(path, user, "client-certificate"),
        key_pem=_pem(path, user, "client-key"),
        token=user.get("token"),
        token_file=path.parent / token_file if token_file else None,
        exec_plugin=_exec_plugin(path, user.get("exec")),
        namespace=chosen.get("namespace") or "default",
        server_name=cluster.get("tls-server-name"),
        verify=not cluster.get("insecure-skip-tls-verify", False),
    )


def ssl_context(config: KubeConfig) -> ssl.SSLContext:
    """TLS as `config` says. Raises KubeError (BadConfig) when a certificate or key is not readable as PEM."""
    try:
        context = ssl.create_default_context(cadata=config.ca_pem.decode() if config.ca_pem else None)
        if config.cert_pem and config.key_pem:
            _load_client_certificate(context, config.cert_pem + b"\n" + config.key_pem)
    except (ssl.SSLError, ValueError) as error:
        raise _bad(f"TLS for {config.server}: {error}") from error
    if not config.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _load_client_certificate(context: ssl.SSLContext, chain_and_key: bytes) -> None:
    # OpenSSL's binding takes a file only; mkstemp gives 0600 and the file lives for this call alone.
    descriptor, name = tempfile.mkstemp(prefix="fairlead-client-")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(chain_and_key)
        context.load_cert_chain(name)
    finally:
        os.unlink(name)


def _read_yaml(path: Path) -> dict[str, Any]:
    import yaml  # noqa: PLC0415  only people's kubeconfigs are YAML; the agent never pays for the parser

    try:
        document = yaml.safe_load(path.read_text())
    except (OSError, yaml.YAMLError) as error:
        raise _bad(f"kubeconfig {path}: {error}") from error
    if not isinstance(document, dict):
        raise _bad(f"kubeconfig {path}: is not a mapping")
    return document


def _named(path: Path, document: dict[str, Any], section: str, name: str) -> dict[str, Any]:
    for entry in document.get(section) or ():
        if isinstance(entry, dict) and entry.get("name") == name:
            return entry
    raise _bad(f"kubeconfig {path}: {section} has no entry {name!r}")


def _pem(path: Path, section: dict[str, Any], key: str) -> bytes | None:
    try:
        if section.get(f"{key}-data"):
            return base64.b64decode(section[f"{key}-data"], validate=True)
        return (path.parent / section[key]).read_bytes() if section.get(key) else None
    except (OSError, ValueError) as error:
        raise _bad(f"kubeconfig {path}: {key}: {error}") from error


def _exec_plugin(path: Path, section: dict[str, Any] | None) -> ExecPlugin | None:
    if not section:
        return None
    if not section.get("command"):
        raise _bad(f"kubeconfig {path}: the user's exec has no command")
    env = tuple((str(item["name"]), str(item["value"])) for item in section.get("env") or ())
    return ExecPlugin((str(section["command"]), *map(str, section.get("args") or ())), env)


def _first_existing(paths: str) -> Path:
    candidates = [Path(part) for part in paths.split(os.pathsep) if part]
    if not candidates:
        raise _bad("KUBECONFIG is set and empty")
    return next((path for path in candidates if path.exists()), candidates[0])


def _bad(message: str) -> KubeError:
    return KubeError(NO_ANSWER, "BadConfig", message)
