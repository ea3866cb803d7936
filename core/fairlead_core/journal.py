"""The records of a node's address journal and their lines on disk.

    line     crc32 of the JSON in 8 hex digits, space, JSON, newline
    hold     an owner got addresses          free   an owner gave them back, they cool down from `at_s`
    rest     an address that was in use once and was given back at `at_s` (only a compacted journal has these)

Every address comes with its block and pool, so that the journal alone shows which blocks are in use.
The file is filled with zero bytes ahead of the records (overwriting is cheaper to make durable than growing):
they mean "nothing written here".
"""

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import Final, TypeAlias
from zlib import crc32

import msgspec

from fairlead_core.lease import CLUSTER_NETWORK, Address, Lease, Owner

PADDING: Final = b"\0"
_CRC_CHARS: Final = 9


@dataclass(frozen=True, slots=True)
class Slot:
    """An address and where it comes from: `block` in CIDR notation, `pool` by name."""

    address: Address
    block: str
    pool: str


@dataclass(frozen=True, slots=True)
class Hold:
    """`lease.addresses` equal the addresses of `slots`, in the same order."""

    lease: Lease
    slots: tuple[Slot, ...]


@dataclass(frozen=True, slots=True)
class Free:
    """(container_id, ifname) gave `slots` back at `at_s` (epoch seconds)."""

    container_id: str
    ifname: str
    slots: tuple[Slot, ...]
    at_s: float


@dataclass(frozen=True, slots=True)
class Rest:
    """Nobody holds `slot` since `at_s`; what a compacted journal keeps of a Hold and its Free."""

    slot: Slot
    at_s: float


Record: TypeAlias = Hold | Free | Rest


@dataclass(frozen=True, slots=True)
class Replay:
    """What a journal's bytes mean. `good_bytes` is the length up to the end of the last whole record.

    `damaged` are 1-based numbers of lines before that end which are not records. What follows it is the torn
    tail of a write that nobody was told of: not damage, to be cut.
    """

    records: tuple[Record, ...]
    good_bytes: int
    damaged: tuple[int, ...]


# The cluster's own network is left out: records of before networks were kept are all of it.
class _HoldLine(msgspec.Struct, frozen=True, tag="hold", omit_defaults=True):
    container: str
    ifname: str
    slots: tuple[tuple[str, str, str], ...]
    at: float
    namespace: str
    pod: str
    uid: str
    host_ifname: str
    host_mac: str
    pod_mac: str
    network: str = CLUSTER_NETWORK


class _FreeLine(msgspec.Struct, frozen=True, tag="free"):
    container: str
    ifname: str
    slots: tuple[tuple[str, str, str], ...]
    at: float


class _RestLine(msgspec.Struct, frozen=True, tag="rest"):
    slot: tuple[str, str, str]
    at: float


_encoder: Final = msgspec.json.Encoder()
_decoder: Final = msgspec.json.Decoder(_HoldLine | _FreeLine | _RestLine)


def encode(record: Record) -> bytes:
    """The line of `record`, newline included."""
    body = _encoder.encode(_to_line(record))
    return b"%08x %b\n" % (crc32(body), body)


def decode(content: bytes) -> Replay:
    """Every whole record of a journal, in order; never raises."""
    records: list[Record] = []
    damaged: list[int] = []
    position, good_bytes, good_lines = 0, 0, 0
    for number, line in enumerate(content.split(b"\n")[:-1], start=1):
        position += len(line) + 1
        record = _decode_line(line)
        if record is None:
            damaged.append(number)
            continue
        records.append(record)
        good_bytes, good_lines = position, number
    return Replay(tuple(records), good_bytes, tuple(number for number in damaged if number < good_lines))


def _decode_line(line: bytes) -> Record | None:
    body = line[_CRC_CHARS:]
    if line[:_CRC_CHARS] != b"%08x " % crc32(body):
        return None
    try:
        return _from_line(_decoder.decode(body))
    except (msgspec.DecodeError, ValueError):
        return None


def _to_line(record: Record) -> _HoldLine | _FreeLine | _RestLine:
    if isinstance(record, Rest):
        return _RestLine(slot=_place(record.slot), at=record.at_s)
    slots = tuple(_place(slot) for slot in record.slots)
    if isinstance(record, Free):
        return _FreeLine(container=record.container_id, ifname=record.ifname, slots=slots, at=record.at_s)
    lease, owner = record.lease, record.lease.owner
    return _HoldLine(
        container=owner.container_id,
        ifname=owner.ifname,
        slots=slots,
        at=lease.created_at_s,
        namespace=owner.namespace,
        pod=owner.pod_name,
        uid=owner.pod_uid,
        host_ifname=lease.host_ifname,
        host_mac=lease.host_mac,
        pod_mac=lease.pod_mac,
        network=owner.network,
    )


def _from_line(line: _HoldLine | _FreeLine | _RestLine) -> Record:
    if isinstance(line, _RestLine):
        return Rest(_slot(line.slot), line.at)
    slots = tuple(_slot(place) for place in line.slots)
    if isinstance(line, _FreeLine):
        return Free(line.container, line.ifname, slots, line.at)
    return Hold(_lease(line, slots), slots)


def _lease(line: _HoldLine, slots: Sequence[Slot]) -> Lease:
    return Lease(
        owner=Owner(line.namespace, line.pod, line.uid, line.container, line.ifname, line.network),
        addresses=tuple(slot.address for slot in slots),
        host_ifname=line.host_ifname,
        host_mac=line.host_mac,
        pod_mac=line.pod_mac,
        created_at_s=line.at,
    )


def _place(slot: Slot) -> tuple[str, str, str]:
    return (str(slot.address), slot.block, slot.pool)


def _slot(place: tuple[str, str, str]) -> Slot:
    address, block = ip_address(place[0]), ip_network(place[1])
    if address not in block:
        raise ValueError(f"address {address}: not in its block {block}")
    return Slot(address, str(block), place[2])
