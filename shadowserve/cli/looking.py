"""`pins`, `status` and `report`: what there is, what happens, and what it means."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Any

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from shadowserve import deployment as deployments
from shadowserve import ledger
from shadowserve.cli.options import options, state_dir_of, state_dir_option
from shadowserve.deployment import Deployment
from shadowserve.errors import UnreachableError
from shadowserve.places import Places
from shadowserve.settings import Settings
from shadowserve.stores import preflight, uris

as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")


@click.command(short_help="List a model's versions with what is known of each.")
@options("model", "tracking_uri", "registry_uri")
@as_json
def pins(as_json: bool, **flags: Any) -> None:
    """List the versions that can be pinned: age, aliases, run, training data and its time range.

    Example: shadowserve pins --model films
    """
    settings = Settings.load(flags)
    addresses = uris(settings.tracking_uri, settings.registry_uri)
    preflight(addresses)
    click.echo(f"Store {addresses}", err=True)
    from shadowserve.registry import Registry  # imports MLflow: seconds

    registry = Registry(addresses)
    model = settings.model or registry.default_model()
    found = [registry.describe(version.pin) for version in registry.versions(model)]
    if as_json:
        print_json([version.to_dict() for version in found])
        return
    table = Table(
        "pin", "age", "aliases", "flavor", "trained on", "rows", "from", "to", "sha256", "run"
    )
    for version in found:
        data = version.training_data[0] if version.training_data else None
        table.add_row(
            version.pin.label,
            version.age(),
            " ".join(f"@{alias}" for alias in version.aliases),
            " ".join(version.flavors),
            data.name if data else "unknown",
            str(data.rows or "") if data else "",
            (data.since or "") if data else "",
            (data.until or "") if data else "",
            (version.digest or "")[:12],
            (version.run_id or "")[:8],
        )
    screen().print(table)


@click.command(short_help="Show what became of every request.")
@state_dir_option
@as_json
def status(state_dir: str | None, as_json: bool) -> None:
    """Show the ledger: requests answered, journaled, and scored by each lane.

    Example: shadowserve status --json
    """
    places, deployment = present(state_dir)
    counted = ledger.read(places, deployment)
    if as_json:
        print_json(counted.to_status())
        return
    told = counted.to_status()
    champion, journal = told["champion"], told["journal"]
    out = screen()
    out.print(f"{told['deployment']}: {told['model']} v{champion['version']}")
    out.print(
        f"answered {champion['answered']}, failed {champion['failed']}, rejected {champion['rejected']}, "
        f"overloaded {champion['overloaded']}, client gone {champion['client_gone']}"
    )
    if told["extra_columns"]["count"]:
        out.print(escape(_extra(told["extra_columns"])))
    out.print(
        f"journal: {journal['appended']} appended, {journal['append_failed']} not, {journal['bytes'] / 2**20:.1f} MiB"
    )
    names = (
        "both_ok",
        "challenger_error",
        "champion_error",
        "both_error",
        "timed_out",
        "crashed",
        "sampled_out",
    )
    table = Table(
        "lane", "state", *(name.replace("_", " ") for name in names), "skipped", "pending", "lag s"
    )
    for lane in told["lanes"]:
        table.add_row(
            f"{lane['role']} v{lane['version']}",
            lane["state"] + (f": {lane['reason']}" if lane["reason"] else ""),
            *(str(lane[name]) for name in names),
            str(sum(lane["skipped"].values())),
            str(lane["pending"]),
            f"{lane['lag_seconds']:.1f}",
        )
    out.print(table)
    out.print(escape(f"evidence: {counted.arrival}"))
    for one in counted.batching:
        out.print(escape(f"{one.role} v{one.version} is scored {one}."))
    for cost in counted.costs:
        out.print(f"{str(cost).capitalize()}.")
    out.print(
        "The ledger balances." if told["balanced"] else "[bold red]The ledger does not balance.[/]"
    )


def _extra(told: Mapping[str, Any]) -> str:
    """Say which columns were ignored; a parameter counts and has no name here."""
    names = [name or "''" for name in told["names"]] + ["and more"] * told["more"]
    return f"ignored {told['count']} unknown columns" + (f": {', '.join(names)}" if names else "")


@click.command(short_help="Show divergence, slow features, findings and verdict.")
@state_dir_option
@click.option(
    "--challenger", metavar="PIN", default=None, help="Which challenger, by default the first."
)
@as_json
def report(state_dir: str | None, challenger: str | None, as_json: bool) -> None:
    """Show what is known of a challenger: findings in plain words, divergence, time by feature.

    Example: shadowserve report --challenger v4
    """
    from shadowserve import report as reports
    from shadowserve.reading import print_report

    places, deployment = present(state_dir)
    told = reports.build(places, deployment, challenger=reports.number_of(deployment, challenger))
    if as_json:
        print_json(told)
    else:
        print_report(told, screen())


def present(given: str | None) -> tuple[Places, Deployment]:
    """Return the state directory and its deployment.

    Raises
    ------
    UnreachableError
        If nothing was ever served from it.
    """
    places = Places(state_dir_of(given).resolve())
    deployment = deployments.read(places)
    if deployment is None:
        raise UnreachableError(
            f"Nothing has been served from {places.root}. Start 'shadowserve serve', or give --state-dir."
        )
    return places, deployment


def print_json(value: Any) -> None:
    """Print data for programs on stdout."""
    sys.stdout.write(json.dumps(value, indent=2, allow_nan=False) + "\n")


def screen() -> Console:
    """Return stdout for people; wide enough for a table where it is no terminal."""
    return Console(width=None if sys.stdout.isatty() else 160, highlight=False)
