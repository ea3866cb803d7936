"""Addresses of a node with a real journal and many threads."""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from random import Random
from threading import Event, Thread

import pytest

from fairlead_agent.ipam import NodeIPAM, open_ipam, steady_clock
from fairlead_agent.ports import PortError
from fairlead_agent.ports.journal import FILL_BYTES, JournalFile
from fairlead_core.api import NodeNetworkSpec
from fairlead_core.journal import Record
from fairlead_core.lease import Lease, Owner
from fairlead_core.ledger import Ledger
from fairlead_core.outcome import Rejected, Waiting
from tests.agent.test_journal_file import file_size_limit
from tests.fakes.ipam import addresses, owner, pool, spec

BLUE, RED = pool("blue", cooldown_s=0), pool("red", "IPv6", cooldown_s=0)
SPEC = spec(("10.0.0.0/26", "blue"), ("fd00::/122", "red"), pools=[BLUE, RED])
MACS = ("02:00:00:00:00:01", "02:00:00:00:00:02")


class Clock:
    """Epoch seconds that a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def node(path: Path, clock: Clock | None = None, desired: NodeNetworkSpec = SPEC) -> NodeIPAM:
    ipam = open_ipam(path / "ipam.journal", "node7", clock)
    ipam.reconfigure(desired)
    return ipam


def take(ipam: NodeIPAM, who: Owner) -> Lease | Rejected | Waiting:
    return ipam.take(who, "fl0", *MACS)


def test_a_held_lease_survives_an_agent_restart_with_everything_known_of_it(tmp_path: Path) -> None:
    lease = take(node(tmp_path), owner("a"))

    again = node(tmp_path)

    assert again.lease("a", "eth0") == lease
    assert again.leases() == (lease,)
    assert isinstance(take(again, owner("a")), Rejected)


def test_a_cool_down_survives_an_agent_restart(tmp_path: Path) -> None:
    clock = Clock()
    desired = spec(("10.0.0.0/32", "blue"), pools=[pool("blue", cooldown_s=30)])
    first = node(tmp_path, clock, desired)
    take(first, owner("a"))
    first.release("a")

    clock.now += 29
    assert isinstance(take(node(tmp_path, clock, desired), owner("b")), Waiting)
    clock.now += 1
    assert addresses(take(node(tmp_path, clock, desired), owner("b"))) == ["10.0.0.0"]


def test_release_without_an_interface_frees_all_of_the_container(tmp_path: Path) -> None:
    ipam = node(tmp_path)
    take(ipam, owner("a", "eth0"))
    take(ipam, owner("a", "eth1"))
    take(ipam, owner("b"))

    assert {lease.owner.ifname for lease in ipam.release("a")} == {"eth0", "eth1"}
    assert ipam.release("a") == ()
    assert [lease.owner.container_id for lease in node(tmp_path).leases()] == ["b"]


def test_sixteen_threads_never_hold_one_address_twice_and_nothing_is_lost(tmp_path: Path) -> None:
    ipam = node(tmp_path)
    holding: Counter[str] = Counter()
    faults: list[str] = []

    def work(worker: int) -> None:
        dice = Random(worker)
        for turn in range(60):
            who = owner(f"w{worker}-{turn}", pod=f"web-{worker}")
            taken = take(ipam, who)
            if not isinstance(taken, Lease):
                continue
            mine = addresses(taken)
            holding.update(mine)
            faults.extend(address for address in mine if holding[address] > 1)
            if dice.random() < 0.9:
                holding.subtract(mine)
                ipam.release(*who.key)

    threads = [Thread(target=work, args=(worker,)) for worker in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)

    assert faults == []
    assert {lease.owner.key: lease for lease in node(tmp_path).leases()} == {
        lease.owner.key: lease for lease in ipam.leases()
    }
    assert sum(holding.values()) == 2 * len(ipam.leases())


def test_repeated_adds_and_dels_of_one_container_at_once_leave_one_lease_or_none(tmp_path: Path) -> None:
    ipam = node(tmp_path)
    taken: list[Lease] = []

    def work(worker: int) -> None:
        for _ in range(40):
            if worker % 2:
                ipam.release("a", "eth0")
            elif isinstance(lease := take(ipam, owner("a")), Lease):
                taken.append(lease)

    threads = [Thread(target=work, args=(worker,)) for worker in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)

    assert taken
    assert len(ipam.leases()) <= 1
    assert node(tmp_path).leases() == ipam.leases()
    assert ipam.usage()["blue"].used == len(ipam.leases())


def test_on_a_full_disk_nothing_is_given_and_pods_can_still_go(tmp_path: Path) -> None:
    ipam = node(tmp_path)
    take(ipam, owner("a"))
    (tmp_path / "ipam.journal").write_bytes((tmp_path / "ipam.journal").read_bytes()[: FILL_BYTES // 8])

    with file_size_limit(FILL_BYTES // 8):
        ipam = node(tmp_path)
        with pytest.raises(PortError, match="File too large"):
            take(ipam, owner("b"))
        assert [lease.owner.container_id for lease in ipam.release("a")] == ["a"]

    assert ipam.leases() == ()
    assert isinstance(take(ipam, owner("b")), Lease)
    assert [lease.owner.container_id for lease in node(tmp_path).leases()] == ["b"]


def test_what_the_disk_refuses_is_neither_given_nor_released(tmp_path: Path) -> None:
    ipam = node(tmp_path)
    held = take(ipam, owner("a"))
    (tmp_path / "ipam.journal").write_bytes((tmp_path / "ipam.journal").read_bytes().rstrip(b"\0"))

    with file_size_limit(10):
        ipam = node(tmp_path)
        with pytest.raises(PortError, match="File too large"):
            take(ipam, owner("b"))
        with pytest.raises(PortError, match="File too large"):
            ipam.release("a")

    assert ipam.leases() == (held,)
    assert ipam.usage()["blue"].used == 1
    assert isinstance(take(ipam, owner("b")), Lease)
    assert len(node(tmp_path).leases()) == 2


class SlowDisk(JournalFile):
    """A disk that is done with a write only when the test says so."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.asked, self.done = Event(), Event()

    def append(self, records: Sequence[Record]) -> None:
        self.asked.set()
        assert self.done.wait(10)
        super().append(records)


def test_nothing_is_answered_before_the_disk_has_it_and_a_release_waits_for_its_take(tmp_path: Path) -> None:
    disk, ledger = SlowDisk(tmp_path / "j"), Ledger("node7")
    disk.load()
    ipam = NodeIPAM(disk, ledger, Clock())
    ipam.reconfigure(SPEC)
    answers: list[object] = []

    adding = Thread(target=lambda: answers.append(take(ipam, owner("a"))))
    adding.start()
    assert disk.asked.wait(10)
    ending = Thread(target=lambda: answers.append(ipam.release("a", "eth0")))
    ending.start()
    adding.join(0.1)

    assert answers == []
    assert isinstance(ipam.usage(), dict)  # who only looks does not wait for the disk
    disk.done.set()
    adding.join(10)
    ending.join(10)
    assert [type(answer) for answer in answers] == [Lease, tuple]
    assert answers[1] == (answers[0],)


def test_the_journal_is_compacted_and_says_the_same_afterwards(tmp_path: Path) -> None:
    ipam = node(tmp_path)
    ipam._compact_at_bytes = 20_000  # the bound of a megabyte takes too long to reach in a test
    kept = take(ipam, owner("kept"))
    for turn in range(60):
        take(ipam, owner(f"c{turn}"))
        ipam.release(f"c{turn}", "eth0")

    assert ipam.compaction_error is None
    assert ipam._journal.size_bytes < 20_000
    assert node(tmp_path).leases() == (kept,)


def test_compaction_while_sixteen_threads_work_loses_nothing(tmp_path: Path) -> None:
    ipam = node(tmp_path)

    def work(worker: int) -> None:
        for turn in range(40):
            ipam._compact_at_bytes = 5_000
            take(ipam, owner(f"w{worker}-{turn}"))
            if turn % 20:
                ipam.release(f"w{worker}-{turn}", "eth0")

    threads = [Thread(target=work, args=(worker,)) for worker in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)

    assert len(ipam.leases()) == 32
    assert set(node(tmp_path).leases()) == set(ipam.leases())


def test_a_lease_is_swept_after_two_looks_a_grace_apart(tmp_path: Path) -> None:
    clock = Clock()
    ipam = node(tmp_path, clock)
    take(ipam, owner("dead"))
    take(ipam, owner("live"))

    def look() -> list[str]:
        swept = ipam.sweep(lambda who: who.container_id == "live", grace_s=60)
        return [lease.owner.container_id for lease in swept]

    assert look() == []
    clock.now += 59
    assert look() == []
    clock.now += 1
    assert look() == ["dead"]
    assert [lease.owner.container_id for lease in ipam.leases()] == ["live"]


def test_an_owner_seen_alive_in_between_starts_over(tmp_path: Path) -> None:
    clock = Clock()
    ipam = node(tmp_path, clock)
    take(ipam, owner("a"))

    for alive, moved in ((False, 50), (True, 20), (False, 59)):
        assert ipam.sweep(lambda _, alive=alive: alive, grace_s=60) == ()
        clock.now += moved

    assert ipam.sweep(lambda _: False, grace_s=60) == ()


def test_a_new_lease_of_the_same_owner_is_not_swept_for_the_old_one(tmp_path: Path) -> None:
    clock = Clock()
    ipam = node(tmp_path, clock)
    take(ipam, owner("a"))
    ipam.sweep(lambda _: False, grace_s=60)
    ipam.release("a")
    clock.now += 100
    take(ipam, owner("a"))

    assert ipam.sweep(lambda _: False, grace_s=60) == ()


def test_garbage_collection_by_valid_attachments_needs_one_look(tmp_path: Path) -> None:
    ipam = node(tmp_path)
    take(ipam, owner("a", "eth0"))
    take(ipam, owner("a", "eth1"))
    valid = {("a", "eth1")}

    swept = ipam.sweep(lambda who: who.key in valid, grace_s=0)

    assert [lease.owner.key for lease in swept] == [("a", "eth0")]


def test_a_damaged_journal_says_which_lines_and_keeps_the_rest(tmp_path: Path) -> None:
    ipam = node(tmp_path)
    for who in "abc":
        take(ipam, owner(who))
    ipam.close()
    path = tmp_path / "ipam.journal"
    path.write_bytes(path.read_bytes().rstrip(b"\0").replace(b'"container":"b"', b'"container":"x"'))

    again = node(tmp_path)

    assert again.damaged_lines == (2,)
    assert [lease.owner.container_id for lease in again.leases()] == ["a", "c"]


def test_the_default_clock_agrees_with_the_wall_clock_and_never_goes_back() -> None:
    clock = steady_clock()
    readings = [clock() for _ in range(1000)]

    assert abs(readings[0] - time.time()) < 1
    assert readings == sorted(readings)


KILLED = """
import sys
from pathlib import Path
from threading import Event, Thread
from fairlead_agent.ipam import open_ipam
from tests.fakes.ipam import owner, pool, spec
ipam = open_ipam(Path(sys.argv[1]), "node7")
ipam.reconfigure(spec(("10.0.0.0/22", "blue"), pools=[pool("blue", cooldown_s=0)]))
def work(worker):
    for turn in range(10**6):
        key = (f"w{worker}-{turn}", "eth0")
        lease = ipam.take(owner(*key), "fl0", "", "")
        sys.stdout.write(f"held {key[0]} {lease.addresses[0]}\\n"); sys.stdout.flush()
        if turn % 3:
            sys.stdout.write(f"asked {key[0]}\\n"); sys.stdout.flush()
            ipam.release(*key)
for worker in range(8):
    Thread(target=work, args=(worker,)).start()
"""


@pytest.mark.parametrize("after_s", [0.05, 0.2, 0.5])
def test_kill_nine_in_the_middle_keeps_every_answered_lease(tmp_path: Path, after_s: float) -> None:
    path = tmp_path / "ipam.journal"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(path)], stdout=subprocess.PIPE, text=True, env=environment
    )
    assert process.stdout is not None
    lines = [process.stdout.readline()]
    Thread(target=lambda: (time.sleep(after_s), process.send_signal(signal.SIGKILL))).start()
    lines += process.stdout.readlines()
    process.wait(10)

    words = [line.split() for line in lines if line.endswith("\n")]
    held = {word[1]: word[2] for word in words if word[0] == "held"}
    asked = {word[1] for word in words if word[0] == "asked"}
    after = {lease.owner.container_id: str(lease.addresses[0]) for lease in open_ipam(path, "node7").leases()}
    assert held.items() - after.items() <= {(key, held[key]) for key in asked}
    assert len(set(after.values())) == len(after)
