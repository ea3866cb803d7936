"""The journal on a real disk: crashes, full disks, compaction."""

import errno
import os
import resource
import signal
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_address
from pathlib import Path
from threading import Thread

import pytest

from fairlead_agent.ports import PortError
from fairlead_agent.ports.journal import FILL_BYTES, JournalFile
from fairlead_core.journal import Free, Hold, Record, Rest, Slot, encode
from fairlead_core.lease import Lease
from tests.fakes.ipam import owner


def record(number: int) -> Rest:
    return Rest(
        Slot(ip_address(f"10.0.{number // 256}.{number % 256}"), "10.0.0.0/16", "blue"), float(number)
    )


@contextmanager
def file_size_limit(limit: int) -> Iterator[None]:
    """The kernel refuses to write beyond `limit` bytes of any file, as a full disk would."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


def opened(path: Path) -> tuple[JournalFile, tuple[Record, ...]]:
    journal = JournalFile(path)
    return journal, journal.load().records


def test_what_was_appended_is_loaded_again_in_order(tmp_path: Path) -> None:
    journal, _ = opened(tmp_path / "j")
    journal.append([record(1), record(2)])
    journal.append([record(3)])
    # No close: a process that is killed does not close either.

    assert opened(tmp_path / "j")[1] == (record(1), record(2), record(3))


def test_a_take_waits_for_the_disk_and_a_release_does_not(tmp_path: Path) -> None:
    synced: list[int] = []
    journal = JournalFile(tmp_path / "j", synced.append)
    journal.load()

    journal.append([record(1)])
    assert synced == []

    lease = Lease(
        owner("c1"), (ip_address("10.0.0.2"),), "fl1", "02:00:00:00:00:01", "02:00:00:00:00:02", 1.0
    )
    journal.append([Hold(lease, (Slot(ip_address("10.0.0.2"), "10.0.0.0/16", "blue"),))])
    assert len(synced) == 1


def test_the_file_is_for_its_owner_only_even_when_it_was_not(tmp_path: Path) -> None:
    (tmp_path / "j").touch(mode=0o644)

    opened(tmp_path / "j")

    assert stat.S_IMODE((tmp_path / "j").stat().st_mode) == 0o600


def test_behind_the_lines_there_are_zero_bytes_from_the_start(tmp_path: Path) -> None:
    journal, _ = opened(tmp_path / "j")
    assert (tmp_path / "j").read_bytes() == bytes(FILL_BYTES)

    journal.append([record(1)])
    journal.close()

    assert (tmp_path / "j").read_bytes().rstrip(b"\0") == encode(record(1))


@pytest.mark.parametrize("tail", [b"", bytes(300)], ids=["file ends", "zero bytes follow"])
def test_a_record_torn_at_any_byte_is_cut_and_the_next_one_is_readable(tmp_path: Path, tail: bytes) -> None:
    line = encode(record(2))
    for cut in range(0, len(line), 5):
        path = tmp_path / f"j{cut}"
        path.write_bytes(encode(record(1)) + line[:cut] + tail)
        journal, before = opened(path)
        journal.append([record(3)])

        assert before == (record(1),)
        assert opened(path)[1] == (record(1), record(3))


def test_a_damaged_line_is_reported_and_a_copy_kept_for_people(tmp_path: Path) -> None:
    content = encode(record(1)) + encode(record(2)).replace(b"blue", b"blux") + encode(record(3))
    (tmp_path / "j").write_bytes(content)

    replay = JournalFile(tmp_path / "j").load()

    assert (replay.records, replay.damaged) == ((record(1), record(3)), (2,))
    assert (tmp_path / "j.damaged").read_bytes() == content
    assert opened(tmp_path / "j")[1] == (record(1), record(3))


def test_many_threads_lose_nothing_and_share_syncs(tmp_path: Path) -> None:
    journal, _ = opened(tmp_path / "j")

    def append(start: int) -> None:
        for number in range(start, 800, 16):
            journal.append([record(number)])

    threads = [Thread(target=append, args=(start,)) for start in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert set(opened(tmp_path / "j")[1]) == {record(number) for number in range(800)}


def test_the_zero_bytes_ahead_are_written_again_when_they_are_used_up(tmp_path: Path) -> None:
    journal, _ = opened(tmp_path / "j")
    many = [record(number) for number in range(4000)]
    journal.append(many)
    journal.append([record(4000)])

    assert opened(tmp_path / "j")[1] == (*many, record(4000))
    assert journal.size_bytes > FILL_BYTES


def test_compaction_replaces_the_file_and_appending_goes_on(tmp_path: Path) -> None:
    journal, _ = opened(tmp_path / "j")
    journal.append([record(number) for number in range(50)])
    journal.compact([record(7)])
    journal.append([record(8)])

    assert opened(tmp_path / "j")[1] == (record(7), record(8))
    assert [path.name for path in tmp_path.iterdir()] == ["j"]


def test_a_compaction_that_died_before_its_rename_changes_nothing(tmp_path: Path) -> None:
    journal, _ = opened(tmp_path / "j")
    journal.append([record(1)])
    (tmp_path / "j.new").write_bytes(encode(record(9))[:20])

    again, records = opened(tmp_path / "j")
    again.compact(records)

    assert records == (record(1),)
    assert opened(tmp_path / "j")[1] == (record(1),)


def hold(number: int) -> Hold:
    slot = record(number).slot
    lease = Lease(owner(f"c{number}"), (slot.address,), "fl0", "", "", float(number))
    return Hold(lease, (slot,))


def test_a_full_disk_is_an_error_with_path_and_cause_and_leaves_no_record(tmp_path: Path) -> None:
    journal, _ = opened(tmp_path / "j")
    journal.append([hold(1)])
    filler = [record(number) for number in range(6000)]

    with file_size_limit(FILL_BYTES), pytest.raises(PortError) as refused:
        journal.append(filler)

    assert str(refused.value) == f"address journal {tmp_path / 'j'}: write: {os.strerror(errno.EFBIG)}"
    assert opened(tmp_path / "j")[1] == (hold(1),)


def takes(journal: JournalFile, record: Record) -> bool:
    try:
        journal.append([record])
    except PortError:
        return False
    return True


def test_on_a_full_disk_nothing_more_is_taken_but_a_good_many_releases_have_room(tmp_path: Path) -> None:
    journal, _ = opened(tmp_path / "j")
    taken = 0

    with file_size_limit(FILL_BYTES):
        while takes(journal, hold(taken)):
            taken += 1
        for number in range(200):
            journal.append([Free(f"c{number}", "eth0", (record(number).slot,), 0.0)])

    found = opened(tmp_path / "j")[1]
    assert (sum(isinstance(one, Hold) for one in found), len(found)) == (taken, taken + 200)


def test_an_agent_starts_on_a_full_disk_and_can_still_release(tmp_path: Path) -> None:
    journal, _ = opened(tmp_path / "j")
    journal.append([hold(1)])
    (tmp_path / "j").write_bytes(encode(hold(1)) + bytes(500) + b"torn")

    with file_size_limit(1000):
        again, records = opened(tmp_path / "j")
        with pytest.raises(PortError):
            again.append([hold(2)])
        again.append([Free("c1", "eth0", (record(1).slot,), 0.0)])

    assert records == (hold(1),)
    assert len(opened(tmp_path / "j")[1]) == 2


def test_after_a_full_disk_the_journal_goes_on_as_soon_as_there_is_room(tmp_path: Path) -> None:
    journal, _ = opened(tmp_path / "j")
    journal.append([record(1)])
    with file_size_limit(FILL_BYTES), pytest.raises(PortError):
        journal.append([record(number) for number in range(6000)])

    journal.append([record(2)])

    assert opened(tmp_path / "j")[1] == (record(1), record(2))


def test_a_failed_compaction_leaves_the_journal_as_it_was(tmp_path: Path) -> None:
    journal, _ = opened(tmp_path / "j")
    journal.append([record(1)])
    with file_size_limit(100), pytest.raises(PortError):
        journal.compact([record(number) for number in range(10)])

    journal.append([record(2)])

    assert opened(tmp_path / "j")[1] == (record(1), record(2))


def test_a_directory_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(
        PortError, match=f"address journal {tmp_path}/none/j: open: No such file or directory"
    ):
        JournalFile(tmp_path / "none" / "j").load()
