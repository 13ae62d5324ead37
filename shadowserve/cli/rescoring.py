"""`rescore`: what was recorded, scored by other versions as if callers asked them now."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from shadowserve.cli.options import options
from shadowserve.cli.terminal import as_json, line, print_json, screen
from shadowserve.legible import LONGEST_LINE, counted, legible
from shadowserve.settings.loading import load

OPTIONS = (
    "champion", "challengers", "control", "model", "tracking_uri", "registry_uri", "state_dir", "method",
    "output_kind", "entity", "batch", "ignore_outputs", "adapt_output", "log_inputs", "hash_inputs", "drop_inputs",
    "rescore", "lane_processes", "placement", "deadline", "lane_memory", "lane_network", "pass_env",
    "strict_versions", "allow_digests", "isolate", "package_index", "wheels",
)  # fmt: skip
TELL_S = 10.0
SHOWN = 10


@click.command(short_help="Score recorded requests with other versions.")
@click.argument("source", metavar="SOURCE")
@options(*OPTIONS)
@click.option(
    "--deployment",
    "which",
    metavar="ID",
    default=None,
    help="Whose requests of the journal or archive; by default those served last.",
)
@click.option(
    "--rescore-champion",
    is_flag=True,
    help="Have the champion answer anew, also where its answers are recorded.",
)
@click.option(
    "--answer-column",
    metavar="NAME",
    default=None,
    help="The champion's answers in a table. [default: prediction]",
)
@click.option(
    "--label-column",
    metavar="NAME",
    default=None,
    help="What turned out to be true. [default: label]",
)
@click.option(
    "--id-column", metavar="NAME", default=None, help="Request ids. [default: request_id]"
)
@click.option(
    "--time-column",
    metavar="NAME",
    default=None,
    help="When each request arrived. [default: arrived, time]",
)
@click.option(
    "--bad-rows",
    type=click.Choice(["stop", "skip"]),
    default="stop",
    help="Whether a bad row of a table ends it, or is left out and counted. [default: stop]",
)
@as_json
def rescore(
    source: str,
    which: str | None,
    rescore_champion: bool,
    answer_column: str | None,
    label_column: str | None,
    id_column: str | None,
    time_column: str | None,
    bad_rows: str,
    as_json: bool,
    **flags: Any,
) -> None:
    """Score recorded requests with a challenger, and judge it beside the champion's recorded answers.

    SOURCE is the word journal or archive, or a Parquet, CSV or JSON lines file with the signature's columns. What
    comes of it is what comes of live traffic, without times: findings, verdict, a run in MLflow. Cut off, the same
    command goes on where it was.

    Exit codes: 0 promote, 1 continue, 3 reject; 2 misuse, 4 something could not be reached.

    Example: shadowserve rescore archive --champion v3 --challenger v6
    """
    settings = load(flags, required=("champion",))
    if not flags["lane_processes"] and settings.lane_processes == ("1",):
        settings = replace(settings, lane_processes=())  # all there are
    from shadowserve.cli import (
        judging,
        report_text,
    )  # these import pandas and MLflow's client: seconds
    from shadowserve.report import build as reports
    from shadowserve.rescoring.asked import Asked
    from shadowserve.rescoring.beginning import bad_rows as left_out
    from shadowserve.rescoring.beginning import begin
    from shadowserve.rescoring.run import Rescoring, StoppedError
    from shadowserve.state.archive.table_names import Names
    from shadowserve.state.archive.traffic import WORDS
    from shadowserve.supervisor.news import last_words

    asked = Asked(
        source if source in WORDS else str(Path(source).resolve()),
        str(settings.state_dir.resolve()),
        Names(answer_column, label_column, id_column, time_column),
        which,
        skip_bad=bad_rows == "skip",
        rescore_champion=rescore_champion,
    )
    begun = begin(settings, asked, say=_say)
    places, deployment = begun.places, begun.deployment
    taken = None
    try:
        _say(f"Rescoring      {asked.source}, in {places.root}")
        if begun.whole:
            _say(
                "Rescored       before; nothing of it has changed since. To do it again, delete that directory."
            )
        else:
            if begun.resumed:
                _say("Resumed        from where it was cut off")
            with _shown() as told:
                work = Rescoring(places, deployment, begun.processes, begun.total, _say, told)
                try:
                    taken = work.run()
                except StoppedError:
                    _say("Stopped        the same command goes on from here")
                    raise KeyboardInterrupt from None
            _say(last_words(places, deployment))
    finally:
        begun.let_go()
    found = [reports.build(places, deployment, challenger=number) for number in deployment.numbers]
    left = left_out(places)
    if as_json:
        print_json(
            {
                "source": asked.source,
                "state_dir": str(places.root),
                "bad_rows": left,
                "labels": None if taken is None else taken.to_dict(),
                "reports": found,
            }
        )
    else:
        out = screen()
        for one in found:
            report_text.print_report(one, out)
            judging.print_limits(judging.summary(one), out)
        if left["n"]:
            at = ", ".join(
                f"{one['row']} ({one['column'] or 'the whole row'})" for one in left["rows"][:SHOWN]
            )
            line(
                out,
                f"Left out       {counted(left['n'], 'bad row')}: {at}{', …' if left['n'] > SHOWN else ''}",
            )
        line(out, f"Look closer    shadowserve report --state-dir {places.root}")
    sys.exit(max(judging.summary(one)["exit_code"] for one in found))


@dataclass(slots=True)
class _Lines:
    """Tells the progress in lines, where there is no terminal."""

    began: float = field(default_factory=time.monotonic)
    first: int | None = None
    last: float = 0.0

    def __call__(self, progress: Any) -> None:
        if self.first is None:
            self.first = progress.scored
        now = time.monotonic()
        if now - self.last < TELL_S or not progress.scored:
            return
        self.last = now
        of = f" of {progress.total:,}" if progress.total is not None else ""
        rate = (progress.scored - self.first) / max(1e-9, now - self.began)
        pace = f" ({rate:,.0f} a second)" if rate else ""
        _say(f"Rescored       {progress.scored:,}{of}{pace}")


@contextlib.contextmanager
def _shown() -> Iterator[Any]:
    """Show how far it has come: a bar on a terminal, else lines."""
    if not sys.stderr.isatty():
        yield _Lines()
        return
    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("requests"), TimeRemainingColumn(),
    )  # fmt: skip
    with Bar(*columns, console=Console(stderr=True), transient=True) as shown:
        task = shown.add_task("Rescoring", total=None)
        yield lambda progress: shown.update(task, completed=progress.scored, total=progress.total)


def _say(text: str) -> None:
    with contextlib.suppress(OSError):
        click.echo(legible(text, most=LONGEST_LINE), err=True)
