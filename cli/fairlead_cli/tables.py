"""Views as tables of text: which columns a person sees, `wide` adds some."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from fairlead_cli.bgp_view import BGPView, SessionRow
from fairlead_cli.ipam_view import BlockRow, IPAMView, PoolNumbers
from fairlead_cli.status_view import NodeRow, PeerRow, PoolRow, StatusView
from fairlead_cli.view import Usage

NOTHING = "-"


@dataclass(frozen=True, slots=True)
class Table:
    """Headings and rows of equal length; every cell is text."""

    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def status_tables(view: StatusView, wide: bool) -> tuple[Table, ...]:
    return (
        _table(NODE_COLUMNS, NODE_WIDE, (_node(row) for row in view.nodes), wide),
        _table(POOL_COLUMNS, MESSAGE_WIDE, (_pool(row) for row in view.pools), wide),
        _table(PEER_COLUMNS, MESSAGE_WIDE, (_peer(row) for row in view.peers), wide),
    )


def ipam_tables(view: IPAMView, wide: bool) -> tuple[Table, ...]:
    return (
        _table(NUMBERS_COLUMNS, MESSAGE_WIDE, (_numbers(row) for row in view.pools), wide),
        _table(BLOCK_COLUMNS, (), (_block(row) for row in view.blocks), wide),
    )


def bgp_tables(view: BGPView, wide: bool) -> tuple[Table, ...]:
    return (_table(SESSION_COLUMNS, SESSION_WIDE, (_session(row) for row in view.sessions), wide),)


NODE_COLUMNS = ("NODE", "READY", "AGENT", "REVISION", "BLOCKS", "IPV4", "IPV6", "SESSIONS")
NODE_WIDE = ("VERSION", "REASON")
POOL_COLUMNS = ("POOL", "CIDR", "BLOCKS", "USED", "COOLING", "FREE", "STATE", "READY")
PEER_COLUMNS = ("PEER", "ADDRESS", "ASN", "SESSIONS", "READY")
MESSAGE_WIDE = ("MESSAGE",)
NUMBERS_COLUMNS = ("POOL", "CIDR", "STATE", "BLOCKS", "TOTAL", "USED", "COOLING", "FREE")
BLOCK_COLUMNS = ("NODE", "BLOCK", "POOL", "STATE", "TOTAL", "USED", "COOLING", "FREE")
SESSION_COLUMNS = ("NODE", "PEER", "ADDRESS", "ASN", "SESSION", "SINCE", "BFD", "ANNOUNCED")
SESSION_WIDE = ("PREFIXES", "LAST ERROR")


def _table(columns: Sequence[str], more: Sequence[str], rows: Iterable[tuple[str, ...]], wide: bool) -> Table:
    """`rows` have the cells of `columns` and then those of `more`."""
    width = len(columns) + (len(more) if wide else 0)
    return Table(
        (*columns, *more)[:width], tuple(tuple(cell or NOTHING for cell in row[:width]) for row in rows)
    )


def _node(row: NodeRow) -> tuple[str, ...]:
    revision = (
        str(row.revision)
        if row.revision == row.wanted_revision
        else f"{row.revision} of {row.wanted_revision}"
    )
    sessions = f"{row.established}/{row.sessions}"
    return (
        row.name, _yes(row.ready), row.agent, revision, str(row.blocks), _usage(row.ipv4), _usage(row.ipv6),
        sessions, row.agent_version, row.reason,
    )  # fmt: skip


def _pool(row: PoolRow) -> tuple[str, ...]:
    blocks = f"{row.granted}/{row.blocks}"
    return (
        row.name, ",".join(row.cidrs), blocks, str(row.used), str(row.cooling), str(row.free), row.state,
        _yes(row.ready), row.message,
    )  # fmt: skip


def _peer(row: PeerRow) -> tuple[str, ...]:
    sessions = f"{row.established}/{row.nodes}"
    return (row.name, row.address, str(row.peer_asn), sessions, _yes(row.ready), row.message)


def _numbers(row: PoolNumbers) -> tuple[str, ...]:
    blocks = f"{row.granted}/{row.blocks}"
    counts = (row.total, row.used, row.cooling, row.free)
    return (row.name, ",".join(row.cidrs), row.state, blocks, *map(str, counts), row.message)


def _block(row: BlockRow) -> tuple[str, ...]:
    return (row.node, row.cidr, row.pool, row.state, *map(str, (row.total, row.used, row.cooling, row.free)))


def _session(row: SessionRow) -> tuple[str, ...]:
    wanted = len(row.announced) - len(row.unexpected) + len(row.missing)
    announced = f"{len(row.announced)}/{wanted}"
    return (
        row.node, row.peer, row.address, str(row.peer_asn), row.session, row.since, row.bfd, announced,
        ",".join(row.announced), row.last_error,
    )  # fmt: skip


def _usage(usage: Usage) -> str:
    return f"{usage.used}/{usage.total}" if usage.total else NOTHING


def _yes(true: bool) -> str:
    return "yes" if true else "no"
