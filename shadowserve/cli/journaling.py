"""`journal`: what was served and is still there: listed, verified, and written to a table."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from shadowserve.cli.options import deployment_option, options, state_dir_of, state_dir_option
from shadowserve.cli.terminal import as_json, grid, line, print_json, row, screen
from shadowserve.errors import SettingsError, UnreachableError
from shadowserve.legible import counted
from shadowserve.settings.loading import load
from shadowserve.settings.spellings import duration, size_text
from shadowserve.state.places import Places

if TYPE_CHECKING:
    from shadowserve.state.archive.past import Past, Source


@click.group(short_help="List, verify and export the requests that are kept.")
def journal() -> None:
    """List, verify and export requests and answers: those in the journal, and those that --keep-journal has kept.

    Example: shadowserve journal list
    """


@journal.command("list", short_help="List what is kept, by deployment and worker.")
@state_dir_option
@as_json
def list_(state_dir: str | None, as_json: bool) -> None:
    """List what is in the journal and in its archive, by deployment.

    Example: shadowserve journal list --json
    """
    from shadowserve.state.archive.verifying import (
        gaps,  # imports pyarrow, as all of the archive does
    )

    places, past = _past(state_dir)
    sources = past.sources()
    unreadable = past.unreadable()
    told = [_group(name, some) for name, some in _by_deployment(sources)]
    if as_json:
        print_json(
            {
                "deployments": told,
                "gaps": [str(gap) for gap in gaps(sources)],
                "unreadable": [{"file": str(one.path), "fault": one.fault} for one in unreadable],
            }
        )
        return
    if not told and not unreadable:
        click.echo(_nothing(places), err=True)
        return
    table = grid("deployment", "champion", "requests", "from", "to", "in the journal", "archived")
    for one in told:
        kept = one["archived"]
        share = (
            f", {kept['bytes'] / kept['raw_bytes']:.2f} of the journal's"
            if kept["raw_bytes"]
            else ""
        )
        row(
            table,
            one["deployment"],
            f"{one['model']} v{one['version']}",
            f"{one['requests']:,}",
            one["since"],
            one["until"],
            _segments(one["journal"]),
            _segments(kept) + share,
        )
    out = screen()
    out.print(table)
    for gap in gaps(sources):
        line(out, f"{gap}.")
    for bad in unreadable:
        line(out, bad.fault)


@journal.command(short_help="Read all that is kept, and say what is damaged or missing.")
@state_dir_option
@as_json
def verify(state_dir: str | None, as_json: bool) -> None:
    """Read every segment whole, hold its checksums, and say what is damaged or missing.

    Exit codes: 0 all can be read, 4 something cannot.

    Example: shadowserve journal verify
    """
    from shadowserve.state.archive.verifying import gaps, verify

    places, past = _past(state_dir)
    sources = past.sources()
    found = []
    with _progress("Verifying", len(sources), unit="segments") as step:
        for one in verify(past):
            found.append(one)
            step(1)
    faults, missing = [one for one in found if one.fault], gaps(sources)
    if as_json:
        print_json(
            {
                "segments": len(found),
                "requests": sum(one.requests for one in found),
                "faults": [{"file": one.name, "fault": one.fault} for one in faults],
                "gaps": [str(gap) for gap in missing],
            }
        )
    else:
        out = screen()
        if not found:
            click.echo(_nothing(places), err=True)
        else:
            line(
                out,
                f"{counted(len(found), 'segment')} with {counted(sum(one.requests for one in found), 'request')} read: "
                + (f"{len(faults)} cannot be used." if faults else "all as they were written."),
            )
        for one in faults:
            line(out, f"{one.name}: {one.fault}")
        for gap in missing:
            line(out, f"{gap}.")
    if faults:
        sys.exit(UnreachableError.exit_code)


@journal.command(short_help="Write requests and answers to a Parquet file.")
@click.option(
    "--to", "target", type=click.Path(path_type=Path), required=True, metavar="FILE.parquet"
)
@click.option(
    "--from",
    "since",
    metavar="TIME",
    default=None,
    help="2026-11-30T12:00 (UTC), or 1h for an hour ago.",
)
@click.option(
    "--until", metavar="TIME", default=None, help="As --from; what arrived then is left out."
)
@click.option("--request-id", metavar="ID", default=None, help="Only requests of this id.")
@deployment_option
@options("log_inputs")
@state_dir_option
@as_json
def export(
    target: Path,
    since: str | None,
    until: str | None,
    request_id: str | None,
    which: str | None,
    log_inputs: str | None,
    state_dir: str | None,
    as_json: bool,
) -> None:
    """Write a deployment's requests and the champion's answers to a Parquet file, typed by the signature, a row a row.

    Features are written where --log-inputs allows it, given here or to 'serve'; dropped and hashed columns stay so.

    Example: shadowserve journal export --to requests.parquet --from 1h --log-inputs all
    """
    from shadowserve.state.archive.exporting import Wanted
    from shadowserve.state.archive.exporting import export as write
    from shadowserve.state.archive.layout import Layout

    places, past = _past(state_dir)
    name = which or _newest(places, past.sources())
    wanted = Wanted(name, request_id, _moment(since, "--from"), _moment(until, "--until"))
    shown = load({"state_dir": state_dir, "log_inputs": log_inputs}).log_inputs
    layout = Layout(past.deployment(name), shown=shown)
    _refuse(target, layout.names, shown)
    sources = wanted.sources(past)
    with _progress(
        "Exporting", sum(one.facts.requests for one in sources), unit="requests"
    ) as step:
        done = write(past, wanted, layout, target, told=step)
    told = {
        "file": str(target), "deployment": name, "requests": done.requests, "rows": done.rows,
        "without_values": done.without_values, "columns": list(layout.columns),
        "hashed": list(layout.hashed), "withheld": list(layout.withheld),
    }  # fmt: skip
    if as_json:
        print_json(told)
        return
    out = screen()
    line(
        out,
        f"{target}: {counted(done.requests, 'request')}, {counted(done.rows, 'row')} of {name}.",
    )
    if done.without_values:
        line(
            out,
            f"Of {counted(done.without_values, 'request')} the values are not kept: they were sampled out.",
        )
    if layout.withheld:
        line(
            out,
            f"Left out: {', '.join(layout.withheld)}. --log-inputs COLUMN,… writes them, --log-inputs all every one.",
        )
    if layout.hashed:
        line(out, f"As hashes: {', '.join(layout.hashed)}.")


def _past(state_dir: str | None) -> tuple[Places, Past]:
    from shadowserve.state.archive.past import Past

    places = Places(state_dir_of(state_dir).resolve())
    return places, Past(places)


def _nothing(places: Places) -> str:
    return f"Nothing is kept in {places.root}. 'shadowserve serve --keep-journal 7d' keeps what was served for a week."


def _newest(places: Places, sources: Sequence[Source]) -> str:
    if not sources:
        raise UnreachableError(_nothing(places))
    return max(sources, key=lambda one: one.facts.until_ns).facts.deployment


def _refuse(target: Path, names: Sequence[str], shown: str | tuple[str, ...]) -> None:
    """Refuse what would fail only after much work."""
    if target.is_dir() or not target.resolve().parent.is_dir():
        raise SettingsError(f"--to {target}: name a file in a directory that is there.")
    unknown = [] if isinstance(shown, str) else [name for name in shown if name not in names]
    if unknown:
        raise SettingsError(
            f"--log-inputs: {', '.join(unknown)} is no column of this model. Its columns: {', '.join(names)}."
        )


def _moment(text: str | None, flag: str) -> int | None:
    """Return a moment in nanoseconds since the epoch: a time, or so long ago."""
    if text is None:
        return None
    try:
        return time.time_ns() - int(duration(text) * 1e9)
    except ValueError:
        pass
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise SettingsError(
            f"{flag} {text}: write a time as 2026-11-30T12:00, or how long ago, as 1h."
        ) from None
    at = at if at.tzinfo is not None else at.replace(tzinfo=UTC)
    return (at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1) * 1_000


def _by_deployment(sources: Sequence[Source]) -> Iterator[tuple[str, list[Source]]]:
    names = sorted({one.facts.deployment for one in sources})
    for name in sorted(
        names,
        key=lambda name: min(one.facts.since_ns for one in sources if one.facts.deployment == name),
    ):
        yield name, [one for one in sources if one.facts.deployment == name]


def _group(name: str, sources: Sequence[Source]) -> dict[str, Any]:
    first = sources[0].facts
    return {
        "deployment": name,
        "model": first.model,
        "version": first.version,
        "workers": sorted({one.facts.worker for one in sources}),
        "requests": sum(one.facts.requests for one in sources),
        "since": _utc(min(one.facts.since_ns for one in sources)),
        "until": _utc(max(one.facts.until_ns for one in sources)),
        "hidden": sorted({name for one in sources for name in one.facts.hidden}),
        **{
            where: _total([one for one in sources if one.where == where])
            for where in ("journal", "archived")
        },
    }


def _total(sources: Sequence[Source]) -> dict[str, int]:
    return {
        "segments": len(sources),
        "requests": sum(one.facts.requests for one in sources),
        "bytes": sum(one.bytes for one in sources),
        "raw_bytes": sum(one.facts.raw_bytes for one in sources),
    }


def _segments(total: dict[str, int]) -> str:
    if not total["segments"]:
        return "none"
    return f"{counted(total['segments'], 'segment')}, {size_text(total['bytes'])}"


def _utc(at_ns: int) -> str:
    return datetime.fromtimestamp(at_ns / 1e9, UTC).isoformat(timespec="seconds")


@contextmanager
def _progress(what: str, total: int, *, unit: str) -> Iterator[Callable[[int], None]]:
    """Show on a terminal how far something has come; nothing elsewhere."""
    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn(unit), TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(
        *columns, console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()
    ) as shown:
        task = shown.add_task(what, total=total)
        yield lambda n: shown.advance(task, n)
