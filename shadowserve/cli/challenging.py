"""`challengers`: who is scored in silence, and how one joins or leaves while everything goes on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click
from rich.console import Console

from shadowserve.cli.looking import present
from shadowserve.cli.options import state_dir_of, state_dir_option
from shadowserve.cli.terminal import as_json, grid, line, print_json, row, screen
from shadowserve.errors import SettingsError, UnreachableError
from shadowserve.records import Outcome
from shadowserve.settings.policy import Policy
from shadowserve.settings.spellings import duration
from shadowserve.state import ledger
from shadowserve.state.deployment import Deployment
from shadowserve.state.joining import NOW, START
from shadowserve.state.ledger_entries import LaneLedger
from shadowserve.state.places import Places
from shadowserve.state.presence import running
from shadowserve.supervisor import visiting


@click.group(short_help="Let challengers join or leave while everything is served; list them.")
def challengers() -> None:
    """Let a challenger join or leave while everything is served, or list them.

    Champion and other lanes go on: nothing is restarted.

    Example: shadowserve challengers add v5
    """


@challengers.command(short_help="Let a version join as a challenger.")
@click.argument("pin")
@click.option(
    "--from",
    "since",
    metavar="now|start|DURATION",
    default=NOW,
    help="Which requests it is for: from now on, all that the journal still holds, or of the last 1h. [default: now]",
)
@click.option("--no-wait", is_flag=True, help="Return once it has begun, not once the lane runs.")
@state_dir_option
@as_json
def add(pin: str, since: str, no_wait: bool, state_dir: str | None, as_json: bool) -> None:
    """Fetch a version, check it beside the champion as 'check' does, and start a lane for it.

    What is said of it counts what it has compared since it joined. It stays until it is removed, whatever a later
    'serve' names. Exit codes: 0 its lane runs, 2 misuse, 3 it cannot be compared or not loaded, 4 something could
    not be reached.

    Example: shadowserve challengers add v5 --from 1h
    """
    question = {"ask": "add", "pin": pin, "since": _since(since), "wait": not no_wait}
    _ask(state_dir, question, as_json=as_json)


@challengers.command(short_help="Let a challenger leave.")
@click.argument("pin")
@state_dir_option
@as_json
def remove(pin: str, state_dir: str | None, as_json: bool) -> None:
    """End a challenger's lane. Its ledger stays readable, and its evidence is brought to the end.

    It may join again: as another lane, with a run and statistics of its own.

    Example: shadowserve challengers remove v4
    """
    _ask(state_dir, {"ask": "remove", "pin": pin}, as_json=as_json)


def _ask(state_dir: str | None, question: Mapping[str, Any], *, as_json: bool) -> None:
    places = Places(state_dir_of(state_dir).resolve())
    end = visiting.ask(places, question, tell=lambda told: click.echo(told, err=True))
    if as_json:
        print_json(dict(end))
        return
    out = screen()
    if "cancelled" in end:
        line(out, f"{end['cancelled']} does not join.")
    elif "left" in end:
        line(
            out,
            f"{end['left']} has left. Its evidence is brought to the end, and its run finished.",
        )
    elif "joining" in end:
        line(
            out,
            f"{end['joining']} is on its way. 'shadowserve challengers list' says how it fares.",
        )
    else:
        line(out, f"{end['joined']} runs.")


def _since(text: str) -> str:
    if text in (NOW, START):
        return text
    try:
        return str(duration(text))
    except ValueError as error:
        raise SettingsError(f"--from: {error} 'now' and 'start' are known, too.") from None


@challengers.command("list", short_help="List the challengers, and who has left.")
@state_dir_option
@as_json
def list_(state_dir: str | None, as_json: bool) -> None:
    """Show each challenger: since when, what it has compared, and its share of alpha.

    Example: shadowserve challengers list
    """
    places, deployment = present(state_dir)
    told = _told(places, deployment)
    if as_json:
        print_json(told)
    else:
        _print(told, screen())


def _told(places: Places, deployment: Deployment) -> dict[str, Any]:
    known = ledger.read(places, deployment)
    served = running(places) is not None
    now: Mapping[str, Any] = {}
    if served:
        try:
            now = visiting.ask(places, {"ask": "list"}, tell=lambda _: None)
        except (UnreachableError, visiting.RefusedError):
            now = {}  # what is on disk is told all the same
    policy = Policy.of(deployment.options.verdict)
    lanes = [one for one in known.lanes if one.name.role == "challenger"]
    left = dict(zip(deployment.left_lanes, deployment.left, strict=True))
    return {
        "deployment": deployment.id,
        "champion": deployment.champion.number,
        "served": served,
        "challengers": [
            {
                **_of(one),
                "joined": deployment.stay_of(one.name.version).joined,
                "challenger": deployment.place_of(one.name.version),
                "alpha": policy.of_challenger(deployment.place_of(one.name.version)).alpha,
            }
            for one in lanes
        ],
        "left": [
            {**_of(one), "joined": left[one.name].stay.joined, "at": left[one.name].at}
            for one in known.left
        ],
        "joining": now.get("joining"),
        "last_refused": now.get("last_refused"),
    }


def _of(one: LaneLedger) -> dict[str, Any]:
    return {
        "lane": str(one.name),
        "version": one.name.version,
        "stay": one.name.stay,
        "state": one.state,
        "reason": one.reason,
        "before": one.before,
        "compared": one.outcomes.get(Outcome.BOTH_OK, 0),
        "pending": one.pending,
    }


def _print(told: Mapping[str, Any], out: Console) -> None:
    table = grid("challenger", "state", "since", "compared", "pending", "alpha")
    for one in told["challengers"]:
        since = f"request {one['before'] + 1:,}, {one['joined']}" if one["joined"] else "the start"
        alpha = f"{one['alpha']:.3g} (challenger {one['challenger']})"
        row(table, one["lane"], one["state"], since, one["compared"], one["pending"], alpha)
    for one in told["left"]:
        row(table, one["lane"], "left", f"left {one['at']}", one["compared"], "", "")
    out.print(table)
    for one in told["challengers"]:
        if one["reason"]:
            line(out, f"{one['lane']} {one['state']}: {one['reason']}")
    if told["joining"]:
        line(out, f"On its way: {told['joining']['pin']}: {told['joining']['told']}")
    if told["last_refused"]:
        line(out, f"Refused last: {told['last_refused']}")
