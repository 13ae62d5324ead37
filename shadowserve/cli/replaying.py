"""`replay`: recorded requests sent again, to a server that nobody uses."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

import click

from shadowserve.cli.options import deployment_option, options, state_dir_option
from shadowserve.cli.replay_options import replay_options
from shadowserve.cli.replay_text import print_capacity, print_replay
from shadowserve.cli.terminal import as_json, print_json
from shadowserve.cli.writing import write
from shadowserve.errors import SettingsError, UnreachableError
from shadowserve.legible import counted
from shadowserve.settings.loading import load
from shadowserve.settings.spellings import duration
from shadowserve.state.places import Places
from shadowserve.state.presence import running

if TYPE_CHECKING:
    from shadowserve.replay.account import Account
    from shadowserve.replay.pace import Pace
    from shadowserve.replay.recording import Recording
    from shadowserve.replay.run import Replay
    from shadowserve.replay.sending import Ended
    from shadowserve.replay.target import Target

INTERRUPTED = 130
TOLD_EVERY_S = 0.5


@click.command(short_help="Send recorded requests again, and say what became of them.")
@click.argument("source", metavar="SOURCE")
@replay_options
@options("token_file")
@deployment_option
@state_dir_option
@as_json
def replay(source: str, url: str, as_json: bool, **asked: Any) -> None:
    """Send recorded requests again: those of the journal, of the archive, or of a table (Parquet, CSV, JSON lines).

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
        skip_bad=asked["skip_bad"],
        only=None if only is None else lambda d: choosing.chosen(only, places, d, challenger),
    )
    _refuse_timeless(found, asked)
    account = Account(where, _console(asked, places, where, token))
    if not asked["into_live"]:
        account.refuse_live(url)
    bounds = Bounds(asked["in_flight"], _seconds("--timeout", asked["timeout"]) or 30.0)
    again = Replay(found, where, bounds)
    told = {"replay": again.id, "to": url, "source": source, "recorded_by": found.name}
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
        print_replay(told)
    if interrupted():
        sys.exit(INTERRUPTED)
    if again.recording.failure is not None:
        raise again.recording.failure
    if not done.tally.sent:
        _refuse_nothing(again.recording)
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
        _refuse_nothing(again.recording)
    told |= {**found.to_dict(), **_left_out(again.recording)}
    if asked["plot"] is not None:
        write(str(asked["plot"]), picture.picture(found, limits))
    if as_json:
        print_json(told)
    else:
        print_capacity(found, asked["plot"])
    if interrupted():
        sys.exit(INTERRUPTED)


def _tells(account: Account) -> bool:
    try:
        account.look()
    except UnreachableError:
        return False
    return True


def _refuse_odd(asked: dict[str, Any]) -> None:
    """Refuse flags that contradict each other, before anything is read; all of them together."""
    if faults := list(_odd(asked)):
        raise SettingsError("\n".join(map(str, faults)))


def _odd(asked: dict[str, Any]) -> Iterator[SettingsError]:
    """Yield what contradicts each other in the flags."""
    if asked["speed"] is not None and asked["rate"] is not None:
        yield SettingsError(
            "--speed and --rate: the one keeps the gaps, the other does not. Give one."
        )
    if asked["shape"] is not None and asked["rate"] is None:
        yield SettingsError("--shape needs --rate N, the highest rate.")
    if asked["find_capacity"] and (asked["shape"] is not None or asked["speed"] is not None):
        yield SettingsError(
            "--find-capacity raises the rate itself: leave --shape and --speed out."
        )
    plot = asked["plot"]
    if plot is not None and not asked["find_capacity"]:
        yield SettingsError("--plot draws what --find-capacity finds. Add that.")
    if plot is not None and not plot.resolve().parent.is_dir():
        yield SettingsError(f"--plot {plot}: name a file in a directory that is there.")


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
    total = found.traffic.total
    n = "requests" if total is None else counted(total, "request")
    share = "" if found.only is None else f", of which {len(found.only):,} are asked for"
    return f"Replay {again.id}: {n} of {found.model}, recorded by {found.name}{share}, to {url}."


def _left_out(found: Recording) -> dict[str, Any]:
    return {
        "left_out": dict(found.left_out),
        "fault": None if found.failure is None else str(found.failure),
    }


def _refuse_timeless(found: Recording, asked: dict[str, Any]) -> None:
    """Refuse to keep gaps that are not known."""
    if not (found.has_times or asked["rate"] or asked["find_capacity"]):
        raise SettingsError(
            f"{found.name} does not say when its requests came: no column 'arrived' or 'time' is in it. Add one, or --rate N."
        )


def _refuse_nothing(found: Recording) -> None:
    why = ", ".join(f"{reason.replace('_', ' ')} {n:,}" for reason, n in found.left_out.items())
    raise SettingsError(
        f"Nothing of {found.name} can be sent ({why or 'it holds no request that is asked for'}). Name another source."
    )


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
