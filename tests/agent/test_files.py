"""Small files: the last good state, the spool, the conflist, settings."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fairlead_agent.conflist import conflist
from fairlead_agent.desired import LastGood
from fairlead_agent.ports import PortError
from fairlead_agent.ports.files import Spool, Sysctls, write_file
from fairlead_agent.settings import Settings, read_settings
from fairlead_core.cni import AttachmentKey
from tests.fakes.ipam import pool, spec

SPEC = spec(("10.0.0.0/26", "four"), pools=[pool("four")], revision=4)


def test_the_last_good_state_comes_back_as_it_was(tmp_path: Path) -> None:
    kept = LastGood(tmp_path / "sub" / "desired.json")

    kept.save(SPEC)

    assert kept.load() == SPEC
    assert kept.path.stat().st_mode & 0o777 == 0o600


def test_a_node_that_never_had_a_state_has_none(tmp_path: Path) -> None:
    assert LastGood(tmp_path / "desired.json").load() is None


def test_a_damaged_state_names_its_file(tmp_path: Path) -> None:
    path = tmp_path / "desired.json"
    path.write_bytes(b'{"revision": "four"}')

    with pytest.raises(PortError, match=r"desired\.json decode"):
        LastGood(path).load()


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_file(path, b"old")
    (tmp_path / ".file.tmp").mkdir()

    with pytest.raises(PortError, match="write"):
        write_file(path, b"new")

    assert path.read_bytes() == b"old"


def test_the_spool_shows_whole_files_of_ours_only(tmp_path: Path) -> None:
    for name in ("c1@eth0", "c2@net1", ".del-x1", "README"):
        (tmp_path / name).write_bytes(b"")
    spool = Spool(tmp_path)

    assert spool.outstanding() == (AttachmentKey("c1", "eth0"), AttachmentKey("c2", "net1"))
    spool.done(AttachmentKey("c1", "eth0"))
    spool.done(AttachmentKey("c1", "eth0"))
    assert not spool.has(AttachmentKey("c1", "eth0"))


def test_a_spool_that_was_never_needed_is_empty(tmp_path: Path) -> None:
    assert Spool(tmp_path / "absent").outstanding() == ()


def test_a_sysctl_of_an_interface_with_a_dot_is_found(tmp_path: Path) -> None:
    (tmp_path / "net" / "eth0.7").mkdir(parents=True)
    (tmp_path / "net" / "eth0.7" / "accept_ra").write_text("1\n")
    sysctls = Sysctls(tmp_path)

    sysctls.put(("net", "eth0.7", "accept_ra"), "2")

    assert sysctls.get(("net", "eth0.7", "accept_ra")) == "2"
    with pytest.raises(PortError, match="there is none"):
        sysctls.get(("net", "ipv9"))


def test_the_conflist_says_only_what_is_special() -> None:
    usual = json.loads(conflist(Settings("n")))
    special = json.loads(conflist(Settings("n", run_dir=Path("/other"))))

    assert usual == {"cniVersion": "1.1.0", "name": "fairlead", "plugins": [{"type": "fairlead"}]}
    assert special["plugins"][0]["socketPath"] == "/other/cni.sock"


def test_settings_without_a_node_name_say_what_is_missing() -> None:
    with pytest.raises(ValueError, match="NODE_NAME is not set"):
        read_settings({})
    with pytest.raises(ValueError, match="FAIRLEAD_MTU 'big' is not a number"):
        read_settings({"NODE_NAME": "n", "FAIRLEAD_MTU": "big"})


def test_settings_come_from_the_environment() -> None:
    got = read_settings({"NODE_NAME": "n7", "FAIRLEAD_STATE_DIR": "/s", "FAIRLEAD_MTU": "9000"})

    assert (got.node_name, got.journal_path, got.mtu_bytes) == ("n7", Path("/s/ipam.journal"), 9000)
    assert got.desired_file is None
