"""`findings` and `accept`: what is wrong, by ids, and which of it the team knows and lives with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click
from rich.console import Console

from shadowserve.cli.looking import present
from shadowserve.cli.options import deployment_option, state_dir_option
from shadowserve.cli.terminal import SEVERITIES, VERDICTS, as_json, line, print_json, screen
from shadowserve.errors import SettingsError
from shadowserve.host.person import person
from shadowserve.legible import counted
from shadowserve.report import accepting, build
from shadowserve.report.wording import accepted, headline, mark, nothing_found, place
from shadowserve.settings.spellings import duration
from shadowserve.state.acceptances import Acceptance

_CHALLENGER = click.option(
    "--challenger", metavar="PIN", default=None, help="Which challenger, by default the first."
)


@click.command(short_help="List what is wrong with a challenger, each finding by its id.")
@_CHALLENGER
@state_dir_option
@deployment_option
@as_json
def findings(
    challenger: str | None, state_dir: str | None, which: str | None, as_json: bool
) -> None:
    """List the findings on a challenger with their ids, and what is accepted of them.

    An id stays the same for as long as it is the same finding.

    Example: shadowserve findings --challenger v4
    """
    places, deployment = present(state_dir, which)
    number = build.number_of(deployment, challenger)
    report = build.build(places, deployment, challenger=number)
    names = ("deployment", "model", "champion", "challenger", "verdict", "findings", "acceptances")
    if as_json:
        print_json({name: report[name] for name in names})
    else:
        _print(report, screen())


def _print(report: Mapping[str, Any], out: Console) -> None:
    line(out, headline(report))
    if not report["findings"]:
        line(out, nothing_found(report))
    for one in report["findings"]:
        head = (one["severity"], SEVERITIES[one["severity"]])
        line(out, (one["id"], "bold"), "  ", head, f" {one['kind']}{place(one['where'])}")
        line(out, f"          {one['message']}")
        if told := mark(one):
            line(out, (f"          {told}", "dim"))
    for gone in (one for one in report["acceptances"] if not one["found"]):
        line(
            out, (f"{gone['finding']}  {gone['kind']}{place(gone['where'])}: not found now", "dim")
        )
        line(out, (f"          {accepted(gone)}", "dim"))


@click.command(short_help="Accept a finding: it stays in the report and no longer decides.")
@click.argument("which", metavar="KIND|ID")
@click.option("--step", metavar="STEP", default=None, help="The one in this step.")
@click.option("--columns", metavar="COLUMN,...", default=None, help="The one on these columns.")
@_CHALLENGER
@click.option("--reason", metavar="TEXT", default=None, help="Why; asked for except to withdraw.")
@click.option("--until", metavar="DURATION", default=None, help="For how long, such as 2w.")
@click.option("--withdraw", is_flag=True, help="Take it back: the finding decides again.")
@state_dir_option
@as_json
def accept(
    which: str,
    step: str | None,
    columns: str | None,
    challenger: str | None,
    reason: str | None,
    until: str | None,
    withdraw: bool,
    state_dir: str | None,
    as_json: bool,
) -> None:
    """Accept one finding as it is now, named by its kind or by its id from 'shadowserve findings'.

    It stays in the report, marked, and no longer decides the verdict. It decides again where it has
    outgrown what was accepted, got more severe, or the time is over. Who, when and why is remembered, and told
    to MLflow.

    Example: shadowserve accept slow_feature --step features/phrases --reason "Bounded in the shop" --until 2w
    """
    lasts_s = _seconds(until)
    _check(reason, until, withdraw=withdraw)
    places, deployment = present(state_dir)
    number = build.number_of(deployment, challenger)
    wanted = accepting.Wanted(which.strip(), step, _names(columns))
    if withdraw:
        said = accepting.withdraw(
            places, deployment, wanted, challenger=number, by=person(), reason=reason or ""
        )
    else:
        said = accepting.accept(
            places, deployment, wanted, challenger=number, reason=reason or "", by=person(), lasts_s=lasts_s
        )  # fmt: skip
    report = build.build(places, deployment, challenger=number)
    if as_json:
        print_json({**accepting.told(said), "verdict": report["verdict"]})
    else:
        _print_said(said, report, screen())


def _print_said(said: Acceptance, report: Mapping[str, Any], out: Console) -> None:
    which = f"{said.finding} {said.kind}{place(said.where)}"
    if said.withdrawn:
        line(out, f"Withdrawn: {which} decides again, wherever it is found.")
    else:
        until = f" until {said.until_utc}" if said.until_utc else ""
        line(out, f"Accepted{until}: {which} stays in the report and does not decide.")
    verdict, reasons = report["verdict"], report["judgement"]["reasons"]
    line(
        out,
        "Verdict now: ",
        (verdict, VERDICTS[verdict]),
        f", for {counted(len(reasons), 'reason')}.",
    )


def _check(reason: str | None, until: str | None, *, withdraw: bool) -> None:
    if withdraw and until is not None:
        raise SettingsError(
            "--until: with --withdraw the finding decides from now on. Leave one of them away."
        )
    if not withdraw and reason is None:
        raise SettingsError(
            '--reason is missing. Say why the finding is acceptable: --reason "TEXT".'
        )


def _seconds(until: str | None) -> float | None:
    try:
        return None if until is None else duration(until)
    except ValueError as error:
        raise SettingsError(f"--until: {error}") from None


def _names(columns: str | None) -> tuple[str, ...]:
    return tuple(filter(None, (name.strip() for name in (columns or "").split(","))))
