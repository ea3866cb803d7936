"""What the programs of a sandbox are told."""

from pathlib import Path

import pytest

from sandbox import controlplane, golang, links, machine, node, pki, rootfs, tor
from sandbox.cli import parser
from sandbox.progress import SandboxError
from sandbox.state import State
from sandbox.topology import topology

PLAN = topology("", 2)
PLACE = State(Path("/srv/cluster"))


def test_the_router_has_one_session_per_node_and_family_and_no_value_left_open() -> None:
    text = tor.configuration(PLAN, tor.TEMPLATE.read_text())

    assert text.count("protocol bgp node") == 4
    assert "protocol bgp node2_v6 from node_v6 { neighbor fd00:250::12 as 65001; }" in text
    assert "@" not in text


def test_the_router_takes_blocks_of_one_length_only() -> None:
    text = tor.configuration(PLAN, tor.TEMPLATE.read_text())

    assert "[ 10.244.0.0/16{26,26} ]" in text
    assert "[ fd00:244::/104{122,122} ]" in text


def test_no_template_of_a_node_keeps_an_open_value(tmp_path: Path) -> None:
    place = State(tmp_path)

    node.write_configuration(place, PLAN.nodes[0])

    for file in (place.etc / "node1").iterdir():
        assert "@" not in file.read_text()


def test_kubelet_stays_in_its_nodes_own_cgroup(tmp_path: Path) -> None:
    place = State(tmp_path)

    node.write_configuration(place, PLAN.nodes[1])

    assert 'cgroupRoot: "/fl-node2"' in (place.etc / "node2" / "kubelet.yaml").read_text()


def test_a_node_registers_with_both_families() -> None:
    assert "--node-ip=10.250.0.12,fd00:250::12" in node.program(PLACE, PLAN.nodes[1], "kubelet").argv


def test_the_api_server_checks_the_node_behind_every_request() -> None:
    argv = controlplane.program(PLACE, PLAN, "kube-apiserver").argv

    assert "--authorization-mode=Node,RBAC" in argv
    assert "--enable-admission-plugins=NodeRestriction" in argv


def test_the_api_servers_certificate_is_good_for_every_way_to_it() -> None:
    served = next(one.serves for one in pki.identities(PLAN) if one.file == "apiserver")

    assert {"IP:10.250.0.10", "IP:fd00:250::10", "IP:10.252.0.1", "IP:10.96.0.1"} <= set(served)
    assert {
        "DNS:kubernetes",
        "DNS:kubernetes.default.svc",
        "DNS:kubernetes.default.svc.cluster.local",
    } <= set(served)


def test_every_node_has_an_identity_of_its_own() -> None:
    names = {one.common_name: one.organisation for one in pki.identities(PLAN)}

    assert names["system:node:node1"] == names["system:node:node2"] == "system:nodes"


def test_both_ends_of_a_cable_name_each_other() -> None:
    assert "address replace 10.250.0.1 peer 10.250.0.11/32 dev node1" in links.router_side(PLAN.nodes[0])
    assert "address replace 10.250.0.11 peer 10.250.0.1/32 dev eth0" in links.machine_side(PLAN.nodes[0])


def test_a_machine_knows_all_others_by_name() -> None:
    text = machine.hosts(PLAN, PLAN.ext)

    assert "fd00:250::12 node2" in text
    assert "10.250.0.10 core" in text


def test_only_apt_sources_of_debians_release_make_images(tmp_path: Path) -> None:
    (tmp_path / "sources.list.d").mkdir()
    good = tmp_path / "sources.list.d" / "debian.sources"
    good.write_text("URIs: http://deb.example/debian\nSuites: bookworm\n")
    (tmp_path / "sources.list.d" / "node.list").write_text("deb http://other.example nodistro main\n")
    (tmp_path / "sources.list.d" / "debian.sources.disabled").write_text("bookworm debian")

    assert rootfs.sources(tmp_path) == [good]


def test_a_host_without_such_a_source_is_told_so(tmp_path: Path) -> None:
    with pytest.raises(SandboxError, match="bookworm"):
        rootfs.sources(tmp_path)


@pytest.mark.parametrize(
    ("said", "version"),
    [
        ("go version go1.26.8 linux/amd64", (1, 26, 8)),
        ("go version go1.27 linux/amd64", (1, 27, 0)),
        ("go: command not found", ()),
    ],
)
def test_the_compilers_version_is_read(said: str, version: tuple[int, ...]) -> None:
    assert golang.version(said) == version


def test_words_after_two_dashes_belong_to_the_command() -> None:
    arguments = parser().parse_args(["exec", "node1", "--", "ip", "-6", "route"])

    assert (arguments.machine, arguments.command[-3:]) == ("node1", ["ip", "-6", "route"])


def test_several_programs_can_be_killed_at_once() -> None:
    arguments = parser().parse_args(["--name", "other", "kill", "core", "etcd", "kube-apiserver"])

    assert (arguments.name, arguments.programs) == ("other", ["etcd", "kube-apiserver"])
