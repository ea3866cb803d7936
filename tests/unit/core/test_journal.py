"""Lines of the address journal."""

from dataclasses import replace
from ipaddress import ip_address

import pytest

from fairlead_core.journal import Free, Hold, Record, Rest, Slot, decode, encode
from fairlead_core.lease import Lease
from tests.fakes.ipam import owner

SLOT4 = Slot(ip_address("10.0.0.5"), "10.0.0.0/26", "blue")
SLOT6 = Slot(ip_address("fd00::5"), "fd00::/122", "red")
LEASE = Lease(owner("c1"), (SLOT4.address, SLOT6.address), "fl0", "02::1", "02::2", 12.5)
RECORDS: tuple[Record, ...] = (
    Hold(LEASE, (SLOT4, SLOT6)),
    Free("c1", "eth0", (SLOT4, SLOT6), 99.25),
    Rest(SLOT6, 99.25),
)


def journal(*records: Record) -> bytes:
    return b"".join(encode(record) for record in records)


@pytest.mark.parametrize("record", RECORDS)
def test_a_record_is_read_as_it_was_written(record: Record) -> None:
    assert decode(encode(record)).records == (record,)


def test_a_line_can_be_read_by_a_person() -> None:
    line = encode(RECORDS[1])

    assert line[9:] == (
        b'{"type":"free","container":"c1","ifname":"eth0",'
        b'"slots":[["10.0.0.5","10.0.0.0/26","blue"],["fd00::5","fd00::/122","red"]],"at":99.25}\n'
    )


def test_the_network_is_kept_and_a_record_without_one_is_of_the_clusters() -> None:
    podman = Hold(replace(LEASE, owner=replace(LEASE.owner, network="podman")), (SLOT4, SLOT6))

    assert decode(encode(podman)).records == (podman,)
    assert b"podman" in encode(podman)
    assert b"network" not in encode(RECORDS[0])  # as the journals before networks were kept have it
    assert LEASE.owner.network == "fairlead"


def test_a_torn_last_line_is_no_record_and_no_damage() -> None:
    whole = journal(*RECORDS)
    replay = decode(whole + encode(RECORDS[0])[:-1])

    assert replay.records == RECORDS
    assert (replay.good_bytes, replay.damaged) == (len(whole), ())


def test_zero_bytes_behind_the_records_mean_nothing() -> None:
    whole = journal(*RECORDS)

    assert decode(whole + bytes(5000)) == decode(whole)


def test_a_damaged_line_in_the_middle_is_reported_and_the_others_are_kept() -> None:
    first, second, third = (encode(record) for record in RECORDS)
    replay = decode(first + second.replace(b"c1", b"c2") + third)

    assert replay.records == (RECORDS[0], RECORDS[2])
    assert replay.damaged == (2,)


def test_a_line_that_names_an_address_outside_its_block_is_damage() -> None:
    wrong = encode(Rest(Slot(ip_address("10.9.0.5"), "10.0.0.0/26", "blue"), 1.0))

    assert decode(wrong + encode(RECORDS[0])).damaged == (1,)


def test_names_with_quotes_and_newlines_stay_one_line() -> None:
    record = Hold(Lease(owner('c"\n1', pod="é\n"), (SLOT4.address,), "fl0", "", "", 1.0), (SLOT4,))

    assert encode(record).count(b"\n") == 1
    assert decode(encode(record)).records == (record,)
