"""`deployments`: what was served from a state directory, now and before."""

from __future__ import annotations

import click

from shadowserve.cli.options import state_dir_of, state_dir_option
from shadowserve.cli.terminal import as_json, grid, print_json, row, screen
from shadowserve.state.places import Places
from shadowserve.state.shelves import shelves


@click.command(short_help="List what is served from here, and what was.")
@state_dir_option
@as_json
def deployments(state_dir: str | None, as_json: bool) -> None:
    """List the present deployment and those archived, the newest first.

    Each can be read: 'report', 'verdict', 'findings' and 'status' take --deployment ID. Archived ones go
    after --retention.

    Example: shadowserve deployments
    """
    places = Places(state_dir_of(state_dir).resolve())
    told = [one.to_dict() for one in shelves(places)]
    if as_json:
        print_json(told)
        return
    if not told:
        click.echo(f"Nothing has been served from {places.root}.", err=True)
        return
    table = grid("deployment", "state", "champion", "challengers: requests", "started", "archived")
    for one in told:
        requests = one["requests"].items()
        row(
            table,
            one["deployment"],
            one["reason"] or one["state"],
            "" if one["champion"] is None else f"{one['model']} v{one['champion']}",
            ", ".join(f"{name}: {'?' if n is None else format(n, ',')}" for name, n in requests),
            one["started"] or "",
            one["until"] or "",
        )
    screen().print(table)
