"""`replay`: recorded requests sent again, to a server that nobody uses."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from shadowserve.cli.options import deployment_option, options, state_dir_option
from shadowserve.cli.terminal import as_json, grid, line, print_json, row, screen
from shadowserve.cli.writing import write
from shadowserve.errors import SettingsError, UnreachableError
from shadowserve.legible import counted
from shadowserve.settings.loading import load
from shadowserve.settings.spellings import duration
from shadowserve.state.places import Places
from shadowserve.state.presence import running

if TYPE_CHECKING:
    from shadowserve.replay.account import Account
    from shadowserve.replay.capacity import Found
    from shadowserve.replay.pace import Pace
    from shadowserve.replay.recording import Recording
    from shadowserve.replay.run import Replay
    from shadowserve.replay.sending import Ended
    from shadowserve.replay.target import Target

INTERRUPTED = 130
SHAPES = ("burst", "ramp", "day")
TOLD_EVERY_S = 0.5


@click.command(short_help="Send recorded requests again, and say what became of them.")
@click.argument("source", metavar="SOURCE")
@click.option(
    "--to",
    "url",
    required=True,
    metavar="URL",
    help="The data plane, such as http://127.0.0.1:3000.",
)
@click.option(
    "--speed",
    type=click.FloatRange(min=0, min_open=True),
    default=None,
    metavar="X",
    help="So many times as quickly as it came. [default: 1]",
)
@click.option(
    "--rate",
    type=click.FloatRange(min=0, min_open=True),
    default=None,
    metavar="N",
    help="So many requests a second, whatever the gaps were.",
)
@click.option(
    "--shape",
    type=click.Choice(SHAPES),
    default=None,
    help="How the rate changes; --rate is the highest.",
)
@click.option(
    "--for",
    "length",
    default=None,
    metavar="DURATION",
    help="Send no longer than this. [default: 10m; of a shape 1m]",
)
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    default=100_000,
    show_default=True,
    metavar="N",
    help="Send no more than this.",
)
@click.option(
    "--repeat", is_flag=True, help="Begin again at the recording's end, until --for or --limit."
)
@click.option(
    "--in-flight",
    type=click.IntRange(1, 10_000),
    default=256,
    show_default=True,
    metavar="N",
    help="Requests not answered yet; what is due beyond waits.",
)
@click.option(
    "--timeout",
    default="30s",
    show_default=True,
    metavar="DURATION",
    help="How long an answer is waited for.",
)
@click.option(
    "--only",
    default=None,
    metavar="slow|divergent|FINDING",
    help="Only such requests; a finding by its id.",
)
@click.option(
    "--challenger",
    metavar="PIN",
    default=None,
    help="Whose lane tells what is slow or divergent, by default the first's.",
)
@click.option(
    "--find-capacity", is_flag=True, help="Raise the rate until something breaks, and say what."
)
@click.option(
    "--p99",
    default="1s",
    show_default=True,
    metavar="DURATION",
    help="How long answers may take at capacity.",
)
@click.option(
    "--step",
    default="5s",
    show_default=True,
    metavar="DURATION",
    help="How long each rate is tried.",
)
@click.option(
    "--most-rate",
    type=click.FloatRange(min=0, min_open=True),
    default=5_000,
    show_default=True,
    metavar="N",
    help="No higher rate is tried.",
)
@click.option(
    "--plot",
    type=click.Path(path_type=Path),
    default=None,
    metavar="FILE",
    help="Draw what was found as SVG.",
)
@click.option(
    "--console",
    default=None,
    metavar="URL",
    help="The control plane, to see lanes; by default that of the state directory, if it serves the target.",
)
@click.option(
    "--allow-host",
    "allow_hosts",
    multiple=True,
    metavar="HOST",
    help="A host beside this machine that may be sent to; more than once if needed.",
)
@click.option(
    "--into-live", is_flag=True, help="Load it although it serves others, or does not say so."
)
@options("token_file")
@deployment_option
@state_dir_option
@as_json
def replay(source: str, url: str, as_json: bool, **asked: Any) -> None:
    """Send recorded requests again: those of the journal, of the archive, or of one archived segment.

    By the gaps in which they came, at a rate, or along a shape. Times count from when a request was due. The target scores
    them like any other request and counts them apart: reports, verdicts and labels do not see them.

    Exit codes: 0 sent, 2 refused, 4 nobody answered, 130 interrupted.

    Example: shadowserve replay journal --to http://127.0.0.1:3000 --speed 3
    """
    _refuse_odd(asked)
    from shadowserve.http import tokens
    from shadowserve.replay import choosing, recording
    from shadowserve.replay.account import Account
    from shadowserve.replay.run import Replay
    from shadowserve.replay.sending import Bounds
    from shadowserve.replay.target import target

    settings = load({"state_dir": asked["state_dir"], "token_file": asked["token_file"]})
    places = Places(settings.state_dir.resolve())
    token = tokens.read(settings.token_file) if settings.token_file is not None else None
    length = _seconds("--for", asked["length"])
    where = target(url, allow_hosts=asked["allow_hosts"], token=token)
    only, challenger = asked["only"], asked["challenger"]
    found = recording.recording(
        source,
        places,
        deployment=asked["which"],
        only=None if only is None else lambda d: choosing.chosen(only, places, d, challenger),
    )
    account = Account(where, _console(asked, places, where, token))
    if not asked["into_live"]:
        account.refuse_live(url)
    bounds = Bounds(asked["in_flight"], _seconds("--timeout", asked["timeout"]) or 30.0)
    again = Replay(found, where, bounds)
    told = {"replay": again.id, "to": url, "source": source, "deployment": found.deployment}
    click.echo(_announced(again, found, url), err=True)
    if asked["find_capacity"]:
        _find_capacity(again, account, told, asked, as_json=as_json)
    else:
        _replay(again, account, told, asked, length, as_json=as_json)


def _replay(
    again: Replay,
    account: Account,
    told: dict[str, Any],
    asked: dict[str, Any],
    length: float | None,
    *,
    as_json: bool,
) -> None:
    from shadowserve.replay.guard import Guard

    shape, length_s = asked["shape"], length or (60.0 if asked["shape"] else 600.0)
    pace = _pace(asked, shape, length_s)
    with _interruptible() as interrupted, _progress() as seen:
        guard = None if asked["into_live"] else Guard(account)
        with nullcontext() if guard is None else closing(guard):
            again.stopping = lambda: interrupted() or (guard is not None and guard.came)
            again.told = seen
            done = again.run(pace, length_s=length_s, limit=asked["limit"], repeat=asked["repeat"])
    came = guard is not None and guard.came
    ended_by = "interrupt" if interrupted() else "other_caller" if came else "end"
    told |= {**done.to_dict(), **_left_out(again.recording), "ended_by": ended_by}
    if as_json:
        print_json(told)
    else:
        _print(told)
    if interrupted():
        sys.exit(INTERRUPTED)
    if came:
        raise SettingsError(
            f"Stopped: {told['to']} serves somebody else since. Take a deployment that nobody uses, or add --into-live."
        )
    if done.tally.sent and not done.tally.statuses:
        raise UnreachableError(
            f"No request was answered by {told['to']}. Look after it, and try again."
        )


def _find_capacity(
    again: Replay, account: Account, told: dict[str, Any], asked: dict[str, Any], *, as_json: bool
) -> None:
    from shadowserve.replay import picture
    from shadowserve.replay.capacity import Break, Limits, Step, find

    seconds = _seconds("--step", asked["step"]) or 5.0
    p99_ms = 1e3 * (_seconds("--p99", asked["p99"]) or 1.0)
    limits = Limits(p99_ms=p99_ms, most_rate=asked["most_rate"])

    def say(step: Step, breaks: list[Break]) -> None:
        what = "; ".join(f"{part}: {why}" for part, why in breaks) or "held"
        click.echo(f"{step.rate:8.1f} a second: p99 {step.p99_ms:.1f} ms, {what}", err=True)

    with _interruptible() as interrupted:
        again.stopping = interrupted
        look = None if asked["into_live"] and not _tells(account) else account.look
        found = find(again.steps(seconds, look), limits, start=asked["rate"] or 10.0, told=say)
    if not found.steps and not interrupted():
        raise SettingsError(_nothing_to_send(again.recording))
    told |= {**found.to_dict(), **_left_out(again.recording)}
    if asked["plot"] is not None:
        write(str(asked["plot"]), picture.picture(found, limits))
    if as_json:
        print_json(told)
    else:
        _print_capacity(found, asked["plot"])
    if interrupted():
        sys.exit(INTERRUPTED)


def _tells(account: Account) -> bool:
    try:
        account.look()
    except UnreachableError:
        return False
    return True


def _refuse_odd(asked: dict[str, Any]) -> None:
    """Refuse flags that contradict each other, before anything is read."""
    faults = []
    if asked["speed"] is not None and asked["rate"] is not None:
        faults.append("--speed and --rate: the one keeps the gaps, the other does not. Give one.")
    if asked["shape"] is not None and asked["rate"] is None:
        faults.append("--shape needs --rate N, the highest rate.")
    if asked["find_capacity"] and (asked["shape"] is not None or asked["speed"] is not None):
        faults.append("--find-capacity raises the rate itself: leave --shape and --speed out.")
    if asked["plot"] is not None and not asked["find_capacity"]:
        faults.append("--plot draws what --find-capacity finds. Add that.")
    if asked["plot"] is not None and not asked["plot"].resolve().parent.is_dir():
        faults.append(f"--plot {asked['plot']}: name a file in a directory that is there.")
    if faults:
        raise SettingsError("\n".join(faults))


def _seconds(flag: str, text: str | None) -> float | None:
    try:
        return None if text is None else duration(text)
    except ValueError as error:
        raise SettingsError(f"{flag}: {error}") from None


def _pace(asked: dict[str, Any], shape: str | None, length_s: float) -> Pace:
    from shadowserve.replay import pace

    if shape is not None:
        return pace.shaped(shape, most=asked["rate"], length_s=length_s)
    if asked["rate"] is not None:
        return pace.even(asked["rate"])
    return pace.Gaps(asked["speed"] or 1.0)


def _console(
    asked: dict[str, Any], places: Places, where: Target, token: bytes | None
) -> Target | None:
    from shadowserve.replay.target import target

    if asked["console"] is not None:
        return target(asked["console"], allow_hosts=asked["allow_hosts"], token=token)
    here = running(places) or {}
    if here.get("port") != where.address[1] or not here.get("console_port"):
        return None
    host = here["console_host"]
    told = f"[{host}]" if ":" in host else host
    return target(f"http://{told}:{here['console_port']}", allow_hosts=[host], token=token)


def _announced(again: Replay, found: Recording, url: str) -> str:
    n = counted(found.requests, "request")
    share = "" if found.only is None else f", of which {len(found.only):,} are asked for"
    return (
        f"Replay {again.id}: {n} of {found.model}, recorded by {found.deployment} within {found.seconds:,.0f} s{share}, "
        f"to {url}."
    )


def _left_out(found: Recording) -> dict[str, Any]:
    return {"left_out": dict(found.left_out), "unreadable": found.unreadable}


def _nothing_to_send(found: Recording) -> str:
    why = ", ".join(f"{reason.replace('_', ' ')} {n:,}" for reason, n in found.left_out.items())
    return f"Nothing of {found.deployment} can be sent ({why or 'it holds no request that is asked for'})."


def _print(told: dict[str, Any]) -> None:
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
    yield from told["unreadable"]
    if told["unfinished"]:
        yield f"{counted(told['unfinished'], 'request')} had no answer yet when it was stopped."


def _print_capacity(found: Found, plot: Path | None) -> None:
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


@contextmanager
def _interruptible() -> Iterator[Callable[[], bool]]:
    """Let the first Ctrl-C end sending, and the next one everything."""
    heard: list[int] = []

    def hear(number: int, _frame: object) -> None:
        heard.append(number)
        if len(heard) > 1:
            raise KeyboardInterrupt

    before = {number: signal.signal(number, hear) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(heard)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _progress() -> Iterator[Callable[[Ended], None]]:
    """Show on a terminal how many were answered; a line that costs next to nothing."""
    n, bad, told_s, shows = 0, 0, 0.0, sys.stderr.isatty()

    def seen(end: Ended) -> None:
        nonlocal n, bad, told_s
        n += 1
        bad += end.status != 200
        if shows and end.ended_s - told_s >= TOLD_EVERY_S:
            told_s = end.ended_s
            click.echo(f"\r{n:,} answered, {bad:,} of them not with 200, {told_s:.0f} s ", nl=False, err=True)  # fmt: skip

    try:
        yield seen
    finally:
        if told_s:
            click.echo("", err=True)
