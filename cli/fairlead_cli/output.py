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

PIPE_WIDTH = 10_000  # a pipe has no width: nothing is folded or cut
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
    console = _console()
    for position, table in enumerate(table for table in tables if table.rows):
        if position:
            console.print()
        console.print(_rich(table))


def print_lines(lines: Iterable[str], style: str = "") -> None:
    console = _console()
    for line in lines:
        console.print(Text(line, style=style))


def complain(line: str) -> None:
    """One line on standard error, whatever the text holds."""
    sys.stderr.write("fairlead: " + " ".join(line.split()) + "\n")


def _console() -> Console:
    width = None if sys.stdout.isatty() else PIPE_WIDTH
    return Console(width=width, highlight=False, soft_wrap=False)


def _rich(table: Table) -> RichTable:
    rich = RichTable(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="bold")
    for heading in table.headings:
        rich.add_column(heading, no_wrap=heading != "MESSAGE", overflow="fold")
    for row in table.rows:
        rich.add_row(*(Text(cell, style=COLOURS.get(cell, "")) for cell in row))
    return rich
