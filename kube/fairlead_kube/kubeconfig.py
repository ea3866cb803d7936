"""What the official client finds in kubeconfigs, as a KubeConfig. Only config.from_kubeconfig imports it.

Its work: merging files, contexts, certificates as data, OIDC, credential plugins and their renewal, proxies.
Ours: what kubernetes 37.0.1 does otherwise than kubectl, each with its reason beside it. Left as it is there:
a user's relative file name is searched beside the file that has the cluster.
"""

from __future__ import annotations

from collections.abc import Callable
from logging import ERROR, LogRecord, getLogger
from logging.handlers import BufferingHandler
from pathlib import Path

from kubernetes.client import Configuration
from kubernetes.client.rest import should_bypass_proxies
from kubernetes.config import ConfigException
from kubernetes.config.kube_config import KubeConfigLoader, KubeConfigMerger

from fairlead_kube.config import KubeConfig


def read(paths: str, context: str | None) -> KubeConfig:
    """The configuration of `context`; raises ConfigException, or what a malformed file makes the library
    raise.

    Certificates that are data in a kubeconfig become files of mode 0600 until the process ends.
    """
    merger = KubeConfigMerger(paths)
    if merger.config is None:
        raise ConfigException("no such file")
    loader = KubeConfigLoader(
        merger.config,
        context or _current_context(merger),
        config_base_path=None,  # names of files are relative to the kubeconfig that has them
        config_persister=merger.save_changes,  # a refresh of OIDC may make the token in the file worthless
    )
    configuration = Configuration(host="")
    _load(loader, configuration)
    chosen = loader.current_context["context"]
    if not configuration.host:
        raise ConfigException(f"cluster {chosen['cluster']} has no server")
    if chosen.get("user"):
        merger.config["users"].get_with_name(chosen["user"])  # raises; the library would go on as nobody
    return _translated(configuration, chosen.get("namespace"))


def _current_context(merger: KubeConfigMerger) -> str | None:
    # The library lets the last file win; kubectl, and so everybody's shell, the first.
    return next(filter(None, (file.get("current-context") for file in merger.config_files.values())), None)


def _load(loader: KubeConfigLoader, configuration: Configuration) -> None:
    # The library logs the failure of a credential plugin and goes on as nobody.
    said = BufferingHandler(capacity=100)
    said.setLevel(ERROR)
    said.addFilter(_is_of_library)
    getLogger().addHandler(said)
    try:
        loader.load_and_set(configuration)
    finally:
        getLogger().removeHandler(said)
    if said.buffer:
        # On a terminal the plugin has told why itself; the library trips over the stderr it did not keep.
        raise ConfigException(f"the credential plugin gave nothing: {said.buffer[-1].getMessage()}")


def _is_of_library(record: LogRecord) -> bool:
    return record.module == "kube_config"


def _translated(configuration: Configuration, namespace: str | None) -> KubeConfig:
    direct = should_bypass_proxies(configuration.host, configuration.no_proxy or "")
    return KubeConfig(
        server=configuration.host,
        authorization=_header(configuration),
        ca_file=_path(configuration.ssl_ca_cert),
        cert_file=_path(configuration.cert_file),
        key_file=_path(configuration.key_file),
        namespace=namespace or "default",
        server_name=configuration.tls_server_name,
        proxy=None if direct else configuration.proxy,
        verify=configuration.verify_ssl,
    )


def _header(configuration: Configuration) -> Callable[[], str | None]:
    def header() -> str | None:
        # Calls refresh_api_key_hook. A token file's last newline stays in it; HTTP refuses that in a header.
        return (configuration.get_api_key_with_prefix("BearerToken") or "").strip() or None

    return header


def _path(name: str | None) -> Path | None:
    return Path(name) if name else None
