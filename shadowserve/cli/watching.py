"""`watch`: the deployment at a glance, live in a terminal, as lines in a pipe."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace

import click
from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from shadowserve.cli.glance import Glance, now, texts
from shadowserve.cli.looking import present
from shadowserve.cli.options import state_dir_option
from shadowserve.cli.terminal import screen
from shadowserve.errors import SettingsError, ShadowserveError
from shadowserve.report import build
from shadowserve.report.memory import Memory
from shadowserve.settings.spellings import duration
from shadowserve.state import ledger
from shadowserve.state.deployment import Deployment
from shadowserve.state.places import Places
from shadowserve.state.presence import running

SHARE = 0.05
"""What watching may take of a CPU: where a report costs more, it is looked at less often."""
HEARTBEAT_S = 60.0
"""After how long a pipe gets a line though nothing has changed but counts."""
NARROW = 60
OTHERS = 10
"""Lines that are no findings: of a low terminal the rest is theirs."""


@click.command(short_help="Watch verdict, findings, traffic and lanes, live.")
@click.option(
    "--challenger", metavar="PIN", default=None, help="Which challenger, by default the first."
)
@click.option("--once", is_flag=True, help="Show it once and end.")
@click.option(
    "--interval", metavar="DURATION", default="2s", show_default=True, help="How often to look."
)
@state_dir_option
def watch(challenger: str | None, once: bool, interval: str, state_dir: str | None) -> None:
    """Show the deployment at a glance until Ctrl-C: verdict, limits, findings, traffic, lanes, coverage.

    In a pipe it is a line for each change, and one a minute. It goes on while the deployment is stopped, and
    says so.

    Example: shadowserve watch --challenger v4
    """
    seconds = _seconds(interval)
    places, deployment = present(state_dir)
    number = (
        build.number_of(deployment, challenger) if deployment.challengers or challenger else None
    )
    out = screen()
    if once:
        _show_once(_look(places, deployment, number), out)
        return
    # Somebody's terminal must not cost what it looks at.
    with suppress(OSError):
        os.nice(10)
    looks = _looks(state_dir, number, seconds=seconds)
    try:
        if out.is_terminal:
            _live(looks, out)
        else:
            _lines(looks)
    except KeyboardInterrupt:  # the way to end it
        return


def _looks(state_dir: str | None, number: int | None, *, seconds: float) -> Iterator[Glance]:
    """Yield a glance at a time, for ever; what cannot be read now is told beside the last that could."""
    last: Glance | None = None
    memory, of = Memory(), ""
    while True:
        began = time.process_time()
        try:
            # Anew each time: another deployment may have begun in the same place.
            places, deployment = present(state_dir)
            if deployment.id != of:
                memory, of = Memory(), deployment.id
            last = _look(places, deployment, number, memory)
        except ShadowserveError as error:
            if last is None:
                raise
            last = replace(last, trouble=str(error), at=now())
        yield last
        time.sleep(max(seconds, (time.process_time() - began) / SHARE))


def _look(
    places: Places, deployment: Deployment, number: int | None, memory: Memory | None = None
) -> Glance:
    served = running(places) is not None
    status = ledger.read(places, deployment).to_status(served=served)
    report, trouble = None, ""
    if number is not None:
        try:
            wanted = build.number_of(deployment, f"v{number}")
            report = build.build(places, deployment, challenger=wanted, memory=memory)
        except ShadowserveError as error:
            trouble = str(error)
    return Glance(status, report, trouble, now())


def _show_once(seen: Glance, out: Console) -> None:
    for text in texts(list(seen.lines(findings=len((seen.report or {}).get("findings", ()))))):
        indent = len(text.plain) - len(text.plain.lstrip(" "))
        text.no_wrap, text.overflow = False, "fold"
        # What does not fit goes on below where it began.
        for line in text[indent:].wrap(out, max(1, out.width - indent)):
            line.rstrip()
            out.print(Text(" " * indent).append_text(line), soft_wrap=True)


def _live(looks: Iterator[Glance], out: Console) -> None:
    with Live(console=out, auto_refresh=False, screen=True) as live:
        for seen in looks:
            room = max(1, (out.height - OTHERS) // 2)
            lines = list(seen.lines(findings=room, messages=out.width >= NARROW))
            foot = (f"as of {seen.at:%H:%M:%S} UTC; Ctrl-C ends watching, nothing else", "dim")
            shown = texts(lines)[: max(1, out.height - 1)]
            live.update(Group(*shown, *texts([(foot,)])), refresh=True)


def _lines(looks: Iterator[Glance]) -> None:
    told: tuple[object, ...] | None = None
    told_at = 0.0
    for seen in looks:
        sign = seen.sign()
        if sign != told or time.monotonic() - told_at >= HEARTBEAT_S:
            sys.stdout.write(f"{seen.line()}\n")
            sys.stdout.flush()
            told, told_at = sign, time.monotonic()


def _seconds(interval: str) -> float:
    try:
        return duration(interval)
    except ValueError as error:
        raise SettingsError(f"--interval: {error}") from None
