"""The terminal: lines and tables for people, JSON for programs.

Names and reasons are somebody else's: they go in as text, never as markup, and made legible.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from shadowserve.legible import LONGEST_LINE, legible

SEVERITIES = {"critical": "bold red", "warning": "yellow", "note": "cyan", "info": "dim"}
VERDICTS = {"promote": "bold green", "continue": "yellow", "reject": "bold red"}

Part = str | tuple[str, str]

as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")


def line(out: Console, *parts: Part) -> None:
    """Print texts one after another, each plain or with a style; nothing in them is markup.

    Parameters
    ----------
    out : Console
    *parts : str or tuple of text and style
    """
    text = Text()
    for part in parts:
        words, style = (part, "") if isinstance(part, str) else part
        text.append(legible(words, most=LONGEST_LINE), style=style or None)
    out.print(text)


def grid(*heads: str, title: str | None = None) -> Table:
    """Return a table whose head is text."""
    table = Table(title=None if title is None else cell(title), title_justify="left")
    for head in heads:
        table.add_column(cell(head))
    return table


def row(table: Table, *cells: object) -> None:
    """Add a row of text."""
    table.add_row(*map(cell, cells))


def cell(value: object) -> Text:
    """Return a text that stands for itself in a table."""
    return Text(legible(value, most=LONGEST_LINE))


def print_json(value: Any) -> None:
    """Print data for programs on stdout."""
    sys.stdout.write(json_text(value))


def json_text(value: Any) -> str:
    """Return data for programs as a text."""
    return json.dumps(value, indent=2, allow_nan=False) + "\n"


def screen() -> Console:
    """Return stdout for people; wide enough for a table where it is no terminal. Nothing is markup."""
    width = None if sys.stdout.isatty() else 160
    return Console(width=width, highlight=False, markup=False, emoji=False)
