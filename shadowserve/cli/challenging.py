"""`challengers`: who is scored in silence, and how one joins or leaves while everything goes on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from shadowserve.cli.options import state_dir_of, state_dir_option
from shadowserve.cli.terminal import as_json, line, print_json, screen
from shadowserve.errors import SettingsError
from shadowserve.settings.spellings import duration
from shadowserve.state.places import Places
from shadowserve.supervisor import visiting

NOW, START = "now", "start"
"""Words that `--from` knows."""


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
@click.option(
    "--isolate",
    is_flag=True,
    help="Run it in an environment of its own, made from its recorded requirements.",
)
@click.option("--no-wait", is_flag=True, help="Return once it has begun, not once the lane runs.")
@state_dir_option
@as_json
def add(
    pin: str, since: str, isolate: bool, no_wait: bool, state_dir: str | None, as_json: bool
) -> None:
    """Fetch a version, check it beside the champion as 'check' does, and start a lane for it.

    What is said of it counts what it has compared since it joined. It stays until it is removed, whatever a later
    'serve' names. Exit codes: 0 its lane runs, 2 misuse, 3 it cannot be compared or not loaded, 4 something could
    not be reached.

    Example: shadowserve challengers add v5 --from 1h
    """
    question = {
        "ask": "add", "pin": pin, "since": _since(since), "wait": not no_wait, "isolate": isolate
    }  # fmt: skip
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
    # Reading ledgers takes what joining and leaving need not wait for.
    from shadowserve.cli import membership

    told = membership.told(state_dir)
    if as_json:
        print_json(told)
    else:
        membership.show(told, screen())
