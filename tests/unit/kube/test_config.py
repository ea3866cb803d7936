"""A configuration is what kubectl would take, and a bad one is named with its file."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from fairlead_kube.client import KubeClient
from fairlead_kube.config import KubeConfig, from_kubeconfig, in_cluster, load, ssl_context
from fairlead_kube.errors import KubeError
from tests.fakes.api_server import FakeAPIServer

CLUSTER = {"server": "https://x:6443/"}


def named(kind: str, name: str, content: dict[str, Any]) -> dict[str, Any]:
    return {f"{kind}s": [{"name": name, kind: content}]}


def write(path: Path, *sections: dict[str, Any]) -> str:
    document: dict[str, Any] = {}
    for section in sections:
        document |= section
    path.write_text(yaml.safe_dump(document))
    return str(path)


def kubeconfig(folder: Path, user: dict[str, Any], **cluster: Any) -> str:
    return write(
        folder / "config",
        {"current-context": "main"},
        named("context", "main", {"cluster": "c", "user": "u", "namespace": "ns"}),
        named("cluster", "c", CLUSTER | cluster),
        named("user", "u", user),
    )


def plugin(folder: Path, script: str) -> dict[str, Any]:
    """A user whose credentials come from `script`."""
    path = folder / "plugin"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return {"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": "./plugin",
                     "env": [{"name": "WHO", "value": "me"}]}}  # fmt: skip


def printing(status: dict[str, str]) -> str:
    answer = {"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": status}
    return f"cat <<END\n{json.dumps(answer)}\nEND"


def test_in_cluster_configuration_brackets_an_ipv6_host(tmp_path: Path) -> None:
    for name, content in (("token", "t"), ("ca.crt", "pem"), ("namespace", "fairlead-system")):
        (tmp_path / name).write_text(content)

    config = in_cluster({"KUBERNETES_SERVICE_HOST": "fd00::1", "KUBERNETES_SERVICE_PORT": "6443"}, tmp_path)

    assert (config.server, config.namespace) == ("https://[fd00::1]:6443", "fairlead-system")
    assert config.authorization() == "Bearer t"


def test_an_agent_in_its_pod_loads_neither_the_official_client_nor_a_yaml_parser(tmp_path: Path) -> None:
    for name in ("token", "namespace"):
        (tmp_path / name).write_text(name)
    script = f"""if True:
        import pathlib, sys, fairlead_agent.main
        from fairlead_kube.config import load
        load({{"KUBERNETES_SERVICE_HOST": "10.96.0.1"}}, service_account=pathlib.Path({str(tmp_path)!r}))
        print([name for name in ("kubernetes", "yaml", "requests") if name in sys.modules])"""

    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    said = subprocess.check_output([sys.executable, "-c", script], env=env, text=True, timeout=60)

    assert said == "[]\n"


def test_a_kubeconfig_gives_server_identity_and_namespace(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("CA")
    user = {
        f"client-{part}-data": base64.b64encode(part.encode()).decode() for part in ("certificate", "key")
    }
    files = kubeconfig(tmp_path, user, **{"certificate-authority": "ca.pem", "tls-server-name": "y"})

    config = from_kubeconfig(files)

    assert (config.server, config.namespace, config.server_name) == ("https://x:6443", "ns", "y")
    assert config.ca_file == tmp_path / "ca.pem"
    assert config.cert_file
    assert config.key_file
    assert (config.cert_file.read_text(), config.key_file.read_text()) == ("certificate", "key")
    assert config.authorization() is None


def test_the_kubeconfig_variable_wins_over_the_pod_and_home(tmp_path: Path) -> None:
    path = kubeconfig(tmp_path, {"token": "secret"})

    config = load({"KUBECONFIG": f"/absent:{path}", "KUBERNETES_SERVICE_HOST": "10.96.0.1"})

    assert config.authorization() == "Bearer secret"


def test_several_kubeconfigs_are_one_and_the_first_to_name_a_context_chooses(tmp_path: Path) -> None:
    context = named("context", "main", {"cluster": "c", "user": "u"})
    first = write(
        tmp_path / "first", {"current-context": "main"}, named("user", "u", {"token": "1"}), context
    )
    (tmp_path / "deeper").mkdir()
    (tmp_path / "deeper/ca.pem").write_text("CA")
    cluster = CLUSTER | {"certificate-authority": "ca.pem"}
    second = write(
        tmp_path / "deeper/second", {"current-context": "other"},
        named("user", "u", {"token": "2"}), named("cluster", "c", cluster),
    )  # fmt: skip

    config = load({"KUBECONFIG": f"{first}:{second}"})

    assert config.authorization() == "Bearer 1"
    assert config.ca_file == tmp_path / "deeper/ca.pem"


def test_a_token_file_may_end_with_a_newline(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("secret\n")

    assert from_kubeconfig(kubeconfig(tmp_path, {"tokenFile": "token"})).authorization() == "Bearer secret"


def test_a_credential_plugin_gives_the_token(tmp_path: Path) -> None:
    files = kubeconfig(tmp_path, plugin(tmp_path, printing({"token": "$WHO"})))

    assert from_kubeconfig(files).authorization() == "Bearer me"


def test_a_token_near_its_end_is_renewed_by_the_plugin(tmp_path: Path) -> None:
    status = {"token": "$(wc -l < calls)", "expirationTimestamp": "2020-01-01T00:00:00Z"}
    files = kubeconfig(tmp_path, plugin(tmp_path, "echo >> calls\n" + printing(status)))

    config = from_kubeconfig(files)

    assert [config.authorization() for _ in range(2)] == ["Bearer 2", "Bearer 3"]


def test_a_credential_plugin_may_give_a_certificate(tmp_path: Path) -> None:
    status = {"clientCertificateData": "CERT", "clientKeyData": "KEY"}

    config = from_kubeconfig(kubeconfig(tmp_path, plugin(tmp_path, printing(status))))

    assert config.cert_file
    assert config.cert_file.read_text() == "CERT"


def test_a_proxy_of_the_kubeconfig_carries_the_requests(tmp_path: Path) -> None:
    with FakeAPIServer({"/api/v1/nodes": "Node"}) as proxy:
        extra = {"server": "http://api.invalid", "proxy-url": proxy.url}
        config = from_kubeconfig(kubeconfig(tmp_path, {"token": "secret"}, **extra))

        KubeClient(config).get("/api/v1/nodes")

        assert proxy.headers[0]["Host"] == "api.invalid"


@pytest.mark.parametrize(
    ("cause", "user", "cluster", "context"),
    [
        ("Expected object with name other in .*/config/contexts list", {}, {}, "other"),
        ("cluster c has no server", {}, {"server": ""}, None),
        ("File does not exist: .*/absent.pem", {}, {"certificate-authority": "absent.pem"}, None),
        ("Incorrect padding", {"client-certificate-data": "QUJ"}, {}, None),
        ("No such file or directory: .*/absent", {"tokenFile": "absent"}, {}, None),
        ("credential plugin gave nothing: .*No such file or directory: './absent'",
         {"exec": {"apiVersion": "v1", "command": "./absent"}}, {}, None),
    ],
)  # fmt: skip
def test_what_is_wrong_in_a_kubeconfig_is_named(
    tmp_path: Path, cause: str, user: dict[str, Any], cluster: dict[str, Any], context: str | None
) -> None:
    with pytest.raises(KubeError, match=f"kubeconfig .*/config: .*{cause}") as caught:
        from_kubeconfig(kubeconfig(tmp_path, user, **cluster), context)

    assert caught.value.reason == "BadConfig"


def test_a_failed_credential_plugin_is_quoted(tmp_path: Path) -> None:
    files = kubeconfig(tmp_path, plugin(tmp_path, "echo log in first >&2; exit 3"))

    with pytest.raises(KubeError, match=r"plugin gave nothing: exec: process returned 3\. log in first"):
        from_kubeconfig(files)


@pytest.mark.parametrize("content", ["", "[]", "just words", "a: [", "clusters: 5", "users: [{}]"])
def test_a_file_that_is_no_kubeconfig_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / "config").write_text(content)

    with pytest.raises(KubeError, match=f"kubeconfig {tmp_path}/config: "):
        from_kubeconfig(str(tmp_path / "config"))


def test_a_context_of_an_unknown_user_is_not_nobody(tmp_path: Path) -> None:
    files = kubeconfig(tmp_path, {})
    Path(files).write_text(Path(files).read_text().replace("user: u", "user: you"))

    with pytest.raises(KubeError, match=r"Expected object with name you in .*/config/users list"):
        from_kubeconfig(files)


def test_an_absent_kubeconfig_is_named(tmp_path: Path) -> None:
    with pytest.raises(KubeError, match=f"kubeconfig {tmp_path}/.kube/config: .*no such file"):
        load({"HOME": str(tmp_path)})


def test_an_unreadable_certificate_is_named(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("no PEM")

    with pytest.raises(KubeError, match=r"TLS for https://x with .*ca\.pem: "):
        ssl_context(KubeConfig(server="https://x", ca_file=tmp_path / "ca.pem"))
