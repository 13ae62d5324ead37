"""`verdict`: whether to switch, in a word for people and an exit code for pipelines."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import click
from rich.console import Console

from shadowserve.cli.looking import present
from shadowserve.cli.options import deployment_option, state_dir_option
from shadowserve.cli.terminal import VERDICTS, as_json, grid, line, print_json, row, screen
from shadowserve.judgement.verdict import UNTIMED, Verdict
from shadowserve.legible import counted
from shadowserve.report import build as reports
from shadowserve.report.wording import headline, mark, more, nothing_found, stands_though

_PARTS = (
    "deployment",
    "model",
    "champion",
    "challenger",
    "requests",
    "compared",
    "rate_per_s",
)
_UNITS = ((86_400.0, "days"), (3_600.0, "h"), (60.0, "min"), (1.0, "s"))


@click.command(short_help="Say promote, continue or reject; the exit code says it too.")
@click.option(
    "--challenger", metavar="PIN", default=None, help="Which challenger, by default the first."
)
@state_dir_option
@deployment_option
@as_json
def verdict(
    challenger: str | None, state_dir: str | None, which: str | None, as_json: bool
) -> None:
    """Judge a challenger by the deployment's policy, as things stand now.

    Exit codes: 0 promote, 1 continue, 3 reject; 2 misuse, 4 nothing to be reached.

    Example: shadowserve verdict --challenger v4 && ./switch.sh
    """
    places, deployment = present(state_dir, which)
    number = reports.number_of(deployment, challenger)
    told = summary(reports.build(places, deployment, challenger=number))
    if as_json:
        print_json(told)
    else:
        _print(told, screen())
    sys.exit(told["exit_code"])


def summary(report: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a verdict rests on, taken from a report.

    Parameters
    ----------
    report : mapping
        As `report.build` gives it.

    Returns
    -------
    dict
        Each limit's ``more_seconds`` is how long its ``more`` requests take at the present rate;
        None where either is not known.
    """
    judgement, rate = report["judgement"], report["rate_per_s"]
    limits = [{**limit, "more_seconds": _seconds(limit, rate)} for limit in judgement["limits"]]
    return {
        **{name: report[name] for name in _PARTS},
        "rescored": report.get("rescored"),  # reports of earlier releases have none
        "verdict": report["verdict"],
        "exit_code": Verdict(report["verdict"]).exit_code,
        "reasons": judgement["reasons"],
        "limits": limits,
        "policy": judgement["policy"],
        "unit": judgement["unit"],
        "findings": report["findings"],
        "labels": report["labels"],
    }


def print_limits(told: Mapping[str, Any], out: Console) -> None:
    """Print how each limit of a verdict's summary stands."""
    table = grid("limit", "stands", "what is known", "still needs")
    for limit in told["limits"]:
        row(
            table,
            limit["name"],
            f"{limit['state']}{stands_though(limit)}",
            limit["says"],
            _needs(limit),
        )
    out.print(table)
    if told.get("rescored"):
        line(out, f"Rescored       from {told['rescored']}. {UNTIMED}")


def _seconds(limit: Mapping[str, Any], rate: float | None) -> float | None:
    """Labels come at their own pace, so no time is told for them."""
    if limit["more"] is None or not rate or limit["name"] == "loss":
        return None
    return float(limit["more"] / rate)


def _print(told: Mapping[str, Any], out: Console) -> None:
    line(out, headline(told))
    line(out, "Verdict: ", (told["verdict"], VERDICTS[told["verdict"]]))
    print_limits(told, out)
    line(out, "Findings" if told["findings"] else nothing_found(told))
    for finding in told["findings"]:
        line(out, f"  {finding['severity']} {finding['kind']}: {finding['message']}")
        if said := mark(finding):
            line(out, (f"    {said}", "bold"))
    policy = ", ".join(
        f"{name} {_shown(value)}" for name, value in told["policy"].items() if value not in ("", {})
    )
    line(out, f"Policy         {policy}")
    unit = told["unit"]
    without = f", {counted(unit['without'], 'request')} without one" if unit["without"] else ""
    line(out, f"Unit           {unit['name']}, {unit['n']:,} of them{without}")


def _needs(limit: Mapping[str, Any]) -> str:
    if limit["state"] != "undecided":
        return ""
    if limit["more"] is None:
        return "more than can be told yet"
    wait = limit["more_seconds"]
    return f"about {more(limit)}" + (f", {duration(wait)}" if wait is not None else "")


def duration(seconds: float) -> str:
    """Write a span of time as people say it.

    Examples
    --------
    >>> duration(0.2), duration(90), duration(7200)
    ('1 s', '1.5 min', '2 h')
    """
    width, unit = next((u for u in _UNITS if seconds >= u[0]), _UNITS[-1])
    return f"{max(seconds / width, 1):.2g} {unit}"


def _shown(value: Any) -> str:
    return f"{value:g}" if isinstance(value, int | float) else str(value)
