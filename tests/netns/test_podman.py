"""A second runtime: podman with its CNI backend, which speaks CNI 1.0 in Debian 12."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cni.plugin import build
from tests.netns.real_agent import RealAgent, real_agent, spec

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(not shutil.which("podman"), reason="no podman on the PATH (Debian package podman)"),
    pytest.mark.skipif(not Path("/bin/busybox").exists(), reason="no /bin/busybox (busybox-static)"),
]
# podman keeps leases' results in a machine-wide directory; the test must not see or leave any there.
PRIVATE_CACHE = 'mkdir -p /var/lib/cni; mount --bind "$1" /var/lib/cni; shift; exec "$@"'
APPLETS = ("sh", "ip", "ping")
# What a machine without CAP_SYS_RESOURCE and without AppArmor needs.
FLAGS = (
    *("--security-opt", "seccomp=unconfined", "--security-opt", "apparmor=unconfined"),
    *("--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024", "--cgroupns", "host", "--no-hosts"),
)


@pytest.fixture
def agent() -> Iterator[RealAgent]:
    with real_agent(build("all", "fairlead"), spec(), pass_interval_s=1) as started:
        yield started


def root_filesystem(home: Path) -> Path:
    root = home / "root"
    for directory in ("bin", "proc", "sys", "dev", "etc", "run", "tmp"):
        (root / directory).mkdir(parents=True)
    shutil.copy("/bin/busybox", root / "bin/busybox")
    for applet in APPLETS:
        (root / "bin" / applet).symlink_to("busybox")
    return root


def configure(agent: RealAgent, version: str) -> Path:
    """podman's containers.conf, with our network as the only one."""
    networks = agent.home / "podman.d"
    networks.mkdir()
    plugin = {
        "type": "fairlead",
        "socketPath": str(agent.plugin.socket),
        "spoolDir": str(agent.plugin.spool),
    }
    conflist = {"cniVersion": version, "name": "fairlead", "plugins": [plugin]}
    (networks / "10-fairlead.conflist").write_text(json.dumps(conflist))
    conf = agent.home / "containers.conf"
    conf.write_text(
        f"""[network]
network_backend = "cni"
cni_plugin_dirs = ["{agent.binary.parent}"]
network_config_dir = "{networks}"
default_network = "fairlead"
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime = "runc"
tmp_dir = "{agent.home}/tmp"
"""
    )
    return conf


def podman_run(agent: RealAgent, version: str, script: str) -> subprocess.CompletedProcess[str]:
    cache = agent.home / "cache"
    cache.mkdir()
    storage = (
        "--root",
        str(agent.home / "graph"),
        "--runroot",
        str(agent.home / "run"),
        "--storage-driver",
        "vfs",
    )
    enter = ("nsenter", f"--net=/run/netns/{agent.netns}", "unshare", "-m", "sh", "-ec", PRIVATE_CACHE, "sh")
    container = ("run", "--rm", "--network", "fairlead", *FLAGS, "--rootfs", str(root_filesystem(agent.home)))
    command = (*enter, str(cache), "podman", *storage, *container, "/bin/sh", "-c", script)
    env = dict(os.environ) | {"CONTAINERS_CONF": str(configure(agent, version))}
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)


def test_podman_runs_a_container_on_our_network_and_leaves_nothing(agent: RealAgent) -> None:
    before = agent.traces()
    script = "ip addr show eth0 && ping -c 1 -W 2 192.0.2.1 && ping -c 1 -W 2 2001:db8::1"

    done = podman_run(agent, "1.0.0", script)

    assert done.returncode == 0, done.stderr
    assert "10.99.0." in done.stdout
    assert "fd00:99::" in done.stdout
    assert agent.traces() == before
