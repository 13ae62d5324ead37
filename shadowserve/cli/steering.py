"""`pause` and `resume`: the team's hand on the lanes, never on the champion."""

from __future__ import annotations

import click

from shadowserve.cli.options import state_dir_of, state_dir_option
from shadowserve.errors import UnreachableError
from shadowserve.state import pauses
from shadowserve.state.places import Places
from shadowserve.state.presence import running


@click.command(short_help="Let lanes skip requests until resumed.")
@state_dir_option
def pause(state_dir: str | None) -> None:
    """Let every lane skip what comes, counted as skipped, until 'shadowserve resume'.

    Example: shadowserve pause
    """
    pauses.begin(_running(state_dir))
    click.echo(
        "Paused: lanes skip requests within a second. 'shadowserve resume' goes on.", err=True
    )


@click.command(short_help="Go on after a pause; try degraded lanes again.")
@state_dir_option
def resume(state_dir: str | None) -> None:
    """Let lanes score again, and try lanes again that had given up.

    Example: shadowserve resume
    """
    places = _running(state_dir)
    pauses.end(places)
    places.resume.touch(mode=0o600)
    click.echo("Resumed: lanes score again; degraded ones are tried again.", err=True)


def _running(given: str | None) -> Places:
    places = Places(state_dir_of(given).resolve())
    if running(places) is None:
        raise UnreachableError(
            f"Nothing is being served from {places.root}. Start 'shadowserve serve', or give --state-dir."
        )
    return places
