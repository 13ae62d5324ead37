"""`explain`: why two versions answer differently, as recorded requests show it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click
from rich.console import Console

from shadowserve.cli.looking import present
from shadowserve.cli.options import deployment_option, state_dir_of, state_dir_option
from shadowserve.cli.terminal import as_json, grid, line, print_json, row, screen
from shadowserve.legible import counted
from shadowserve.state.places import Places


@click.command(short_help="Say why two versions differ: new weights, new features, which step.")
@click.argument("request", metavar="[REQUEST_ID]", required=False)
@click.option(
    "--challenger", metavar="PIN", default=None, help="Which challenger, by default the first."
)
@state_dir_option
@deployment_option
@as_json
def explain(
    request: str | None,
    challenger: str | None,
    state_dir: str | None,
    which: str | None,
    as_json: bool,
) -> None:
    """Load both versions in processes of their own, ask them about recorded requests, and say what carries the difference.

    With a request's id or position also what makes them part on that one. The cause stands in the report from then on.

    Example: shadowserve explain --challenger v4
    """
    from shadowserve.report import build as reports  # these import numpy: seconds
    from shadowserve.runs.explain import explain as explained

    places, deployment = present(state_dir, which)
    told = explained(
        places,
        deployment,
        challenger=reports.number_of(deployment, challenger),
        request=request,
        archive=Places(state_dir_of(state_dir).resolve()),
    )
    if as_json:
        print_json(told)
    else:
        _print(told, screen())


def _print(told: Mapping[str, Any], out: Console) -> None:
    asked = f"{counted(told['rows'], 'row')} of {counted(told['requests'], 'recorded request')}"
    line(out, f"Both versions were asked about {asked}; they differ on {told['differing']:,}.")
    line(out, ("Cause: ", "bold"), (told["kind"], "bold"))
    line(out, told["says"])
    if told["features"] is not None:
        table = grid("carried by", "share of the divergence", "low", "high")
        for name, words in (
            ("features", "new features"),
            ("weights", "new weights"),
            ("interaction", "neither alone"),
        ):
            own = told[name]
            row(table, words, *(f"{own[key]:.0%}" for key in ("value", "low", "high")))
        for one in told["carriers"]:
            own = one["share"]
            row(table, f"  {one['step']}", *(f"{own[key]:.0%}" for key in ("value", "low", "high")))
        out.print(table)
    if told["request"] is not None:
        line(out, (f"Request {told['request']['position']}: ", "bold"), told["request"]["says"])
