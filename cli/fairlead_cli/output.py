"""Prints views: tables for people, JSON for programs, one line on standard error instead of an answer."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from enum import StrEnum

import msgspec
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from fairlead_cli.tables import Table
from fairlead_cli.view import View

GAP = 3
COLOURS = {
    **dict.fromkeys(("yes", "Ready", "Established", "Up"), "green"),
    **dict.fromkeys(("no", "NotReady", "Missing", "Down"), "red"),
    **dict.fromkeys(("Draining", "Disabled", "Granted"), "yellow"),
}


class Output(StrEnum):
    """Forms of an answer."""

    table = "table"
    wide = "wide"
    json = "json"


def print_json(view: View) -> None:
    text = msgspec.json.format(msgspec.json.encode(view), indent=2)
    sys.stdout.write(text.decode() + "\n")


def print_tables(tables: Iterable[Table]) -> None:
    """One after the other with a line between; a table without rows is left out."""
    console = Console(highlight=False)
    for position, table in enumerate(table for table in tables if table.rows):
        if position:
            console.print()
        if sys.stdout.isatty():
            console.print(_rich(table))
        else:
            sys.stdout.write(_plain(table))


def print_lines(lines: Iterable[str], style: str = "") -> None:
    console = Console(highlight=False, soft_wrap=True)
    for line in lines:
        console.print(Text(line, style=style))


def complain(line: str) -> None:
    """One line on standard error, whatever the text holds."""
    sys.stderr.write("fairlead: " + " ".join(line.split()) + "\n")


def _plain(table: Table) -> str:
    """For pipes and files, which have no width: nothing is folded, cut or padded at the end of a line."""
    lines = (table.headings, *table.rows)
    widths = [max(map(len, column)) + GAP for column in zip(*lines, strict=True)]
    padded = ("".join(map(str.ljust, line, widths)) for line in lines)
    return "".join(f"{line.rstrip()}\n" for line in padded)


def _rich(table: Table) -> RichTable:
    rich = RichTable(box=None, pad_edge=False, padding=(0, GAP, 0, 0), header_style="bold")
    for heading in table.headings:
        rich.add_column(heading, no_wrap=heading != "MESSAGE", overflow="fold")
    for row in table.rows:
        rich.add_row(*(Text(cell, style=COLOURS.get(cell, "")) for cell in row))
    return rich
