"""The records of a node's address journal and their lines on disk.

    line     crc32 of the JSON in 8 hex digits, space, JSON, newline
    hold     an owner got addresses          free   an owner gave them back, they cool down from `at_s`
    rest     an address that was in use once and was given back at `at_s` (only a compacted journal has these)

Every address comes with its block and pool, so that the journal alone shows which blocks are in use.
"""

from dataclasses import dataclass

from fairlead_core.lease import Address, Lease


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


Record = Hold | Free | Rest


@dataclass(frozen=True, slots=True)
class Replay:
    """What a journal's bytes mean. `good_bytes` is the length up to the end of the last whole record.

    `damaged` are 1-based numbers of lines in the middle that are not records; a torn last line is not damage.
    """

    records: tuple[Record, ...]
    good_bytes: int
    damaged: tuple[int, ...]


def encode(record: Record) -> bytes:
    """The line of `record`, newline included."""
    raise NotImplementedError


def decode(content: bytes) -> Replay:
    """Every whole record of a journal, in order; never raises."""
    raise NotImplementedError
