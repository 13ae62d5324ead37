"""What `replay` says to people: what became of the requests, and what a search for capacity found."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from shadowserve.cli.terminal import grid, line, row, screen
from shadowserve.legible import counted

if TYPE_CHECKING:
    from shadowserve.replay.capacity import Found


def print_replay(told: dict[str, Any]) -> None:
    """Print what became of a replay."""
    out = screen()
    statuses = ", ".join(f"{n:,} with {status}" for status, n in told["statuses"].items())
    line(
        out,
        f"{counted(told['sent'], 'request')} in {told['seconds']:,.1f} s ({told['sent_per_s']:,.1f} a second): "
        f"{statuses or 'none answered'}.",
    )
    table = grid("", "p50", "p90", "p99", "max")
    for name, key in (("answered after, ms", "latency_ms"), ("sent late by, ms", "late_ms")):
        row(table, name, *(_ms(told[key][one]) for one in ("p50", "p90", "p99", "max")))
    out.print(table)
    for text in _remarks(told):
        line(out, text)


def _ms(value: float | None) -> str:
    return "" if value is None else f"{value:,.1f}"


def _remarks(told: dict[str, Any]) -> Iterator[str]:
    if told["lost"]:
        yield "Without an answer: " + ", ".join(f"{why} {n:,}" for why, n in told["lost"].items()) + "."  # fmt: skip
    if told["waited_in_line"]:
        yield "Requests waited since as many as --in-flight allows were not answered yet; the waiting is in the times."
    refused = told["refused"]
    if refused["requests"]:
        by = ", ".join(f"{what} {n:,}" for what, n in refused["by"].items())
        yield f"Refused as requests: {refused['requests']:,} ({by})."
        for one in refused["listed"][:10]:
            yield f"  {one['request_id']} at {one['position']}: {one['status']} {one['code']}" + (f", {one['column']}" if one["column"] else "")  # fmt: skip
    if told["left_out"]:
        yield "Not sent: " + ", ".join(f"{why.replace('_', ' ')} {n:,}" for why, n in told["left_out"].items()) + "."  # fmt: skip
    if told["unfinished"]:
        yield f"{counted(told['unfinished'], 'request')} had no answer yet when it was stopped."


def print_capacity(found: Found, plot: Path | None) -> None:
    """Print what a search for capacity found."""
    out = screen()
    ended = {
        "most_rate": " That is as much as --most-rate lets it try.",
        "sender": " This machine could not send more quickly.",
        "stopped": " It was stopped before it had found the end.",
    }.get(found.ended_by, "")
    broke = f", {found.broke:.0f} did not" if found.broke is not None else ""
    line(out, f"{found.held:.0f} requests a second held{broke}.{ended}")
    for place, (part, rate, why) in enumerate(found.order):
        word = "First broke" if place == 0 else "Then"
        line(out, f"{word}, at {rate:.0f} a second, {part}: {why}.")
    if plot is not None:
        click.echo(f"Drawn in {plot}.", err=True)
