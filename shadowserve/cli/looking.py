"""`pins`, `status` and `report`: what there is, what happens, and what it means."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import click
from rich.console import Console

from shadowserve.cli.options import deployment_option, options, state_dir_of, state_dir_option
from shadowserve.cli.terminal import as_json, grid, json_text, line, print_json, row, screen
from shadowserve.cli.writing import STDOUT, write
from shadowserve.errors import SettingsError, UnreachableError
from shadowserve.legible import counted
from shadowserve.report.wording import OUTCOMES, spaced
from shadowserve.settings.loading import load
from shadowserve.state import arrival, lane_numbers, ledger
from shadowserve.state import deployment as deployments
from shadowserve.state.deployment import Deployment
from shadowserve.state.places import Places
from shadowserve.state.presence import running
from shadowserve.state.shelves import find
from shadowserve.versions.stores import preflight, uris


@click.command(short_help="List a model's versions with what is known of each.")
@options("model", "tracking_uri", "registry_uri")
@as_json
def pins(as_json: bool, **flags: Any) -> None:
    """List the versions that can be pinned: age, aliases, run, training data and its time range.

    Example: shadowserve pins --model films
    """
    settings = load(flags)
    addresses = uris(settings.tracking_uri, settings.registry_uri)
    preflight(addresses)
    click.echo(f"Store {addresses}", err=True)
    from shadowserve.versions.registry import Registry  # imports MLflow: seconds

    registry = Registry(addresses)
    model = settings.model or registry.default_model()
    found = [registry.describe(version.pin) for version in registry.versions(model)]
    if as_json:
        print_json([version.to_dict() for version in found])
        return
    table = grid(
        "pin",
        "age",
        "aliases",
        "flavor",
        "trained on",
        "rows",
        "data from",
        "data to",
        "sha256",
        "run",
    )
    for version in found:
        data = version.training_data[0] if version.training_data else None
        row(
            table,
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
@deployment_option
@as_json
def status(state_dir: str | None, which: str | None, as_json: bool) -> None:
    """Show the ledger: requests answered, journaled, and scored by each lane.

    Example: shadowserve status --json
    """
    places, deployment = present(state_dir, which)
    counted = ledger.read(places, deployment)
    told = counted.to_status(served=running(places) is not None)
    if as_json:
        print_json(told)
        return
    besides = [f"switch: {counted.switch.says}"] if counted.switch else []
    besides += [f"handover: {counted.handing.says}"] if counted.handing else []
    besides += [f"{one.role} v{one.version} is scored {one}" for one in counted.batching]
    besides += lane_numbers.told(counted.lane_numbers)
    besides += map(str, (*counted.isolated, *counted.times, *counted.costs))
    print_status(told, screen(), besides=besides)


def print_status(told: Mapping[str, Any], out: Console, *, besides: Sequence[str] = ()) -> None:
    """Print the ledger for people."""
    champion, journal = told["champion"], told["journal"]
    stopped = "" if told["served"] else " (stopped; as it was at the end)"
    line(out, f"{told['deployment']}: {told['model']} v{champion['version']}{stopped}")
    line(
        out,
        f"answered {champion['answered']}, failed {champion['failed']}, rejected {champion['rejected']}, "
        f"overloaded {champion['overloaded']}, client gone {champion['client_gone']}, "
        f"turned away {champion['turned_away']}",
    )
    unserved = {name: champion[name] for name in ("not_ready", "timed_out", "lost")}
    if any(unserved.values()):
        line(out, ", ".join(f"{spaced(name)} {n}" for name, n in unserved.items()))
    for who, ends in _ended(told):
        line(out, f"{who}: started again {counted(ends['restarts'], 'time')} ({_causes(ends)})")
    if told["extra_columns"]["count"]:
        line(out, _extra(told["extra_columns"]))
    lost = journal["append_failed"]
    line(
        out,
        f"journal: {journal['appended']} recorded, "
        + (f"{lost} could not be recorded, " if lost else "")
        + f"{journal['bytes'] / 2**20:.1f} MiB",
    )
    table = grid(
        "lane",
        "state",
        *(spaced(name) for name in OUTCOMES),
        "skipped",
        "pending",
        "lag s",
    )
    for lane in told["lanes"]:
        row(
            table,
            f"{lane['role']} v{lane['version']}",
            lane["state"] + (f": {lane['reason']}" if lane["reason"] else ""),
            *(lane.get(name, 0) for name in OUTCOMES),
            sum(lane["skipped"].values()),
            lane["pending"],
            f"{lane['lag_seconds']:.1f}",
        )
    out.print(table)
    for text in _beside_lanes(told):
        line(out, text)
    seen = arrival.of(told["evidence"])
    line(out, f"evidence: {seen}")
    # Without a server's address there is nothing to open.
    for name, page in ((n, p) for n, p in seen.pages.items() if not p.startswith("#")):
        line(out, f"{name} in MLflow: {page}")
    for more in besides:
        line(out, f"{more[:1].upper()}{more[1:]}.")
    if told["balanced"]:
        line(out, "The ledger balances.")
    else:
        line(out, ("The ledger does not balance.", "bold red"))


def _beside_lanes(told: Mapping[str, Any]) -> Iterator[str]:
    """Yield who joined when, how far lanes are behind, and who has left."""
    for lane in told["lanes"]:
        name = f"{lane['role']} v{lane['version']}"
        if joined := lane.get("joined"):
            yield f"{name} joined behind {counted(joined['before'], 'request')}"
        if lane.get("behind"):
            yield f"{name}: {lane['behind']['says']}"
    for lane in told.get("left", ()):
        both = counted(lane["both_ok"], "request")
        yield f"{lane['role']} v{lane['version']} has left; it compared {both}"


def _ended(told: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    """Return who was started again, with how it ended each time."""
    known = [("champion", told["champion"])]
    known += [(f"lane {lane['role']} v{lane['version']}", lane) for lane in told["lanes"]]
    return [(who, ends) for who, ends in known if ends["restarts"]]


def _causes(ends: Mapping[str, Any]) -> str:
    return ", ".join(f"{cause} {n}" for cause, n in ends["ended"].items() if n)


def _extra(told: Mapping[str, Any]) -> str:
    """Say which columns were ignored; a parameter counts and has no name here."""
    names = [name or "''" for name in told["names"]] + ["and more"] * told["more"]
    return f"ignored {counted(told['count'], 'unknown column')}" + (
        f": {', '.join(names)}" if names else ""
    )


def _to_file(flag: str, name: str, what: str) -> Callable[..., Any]:
    """Return an option that takes a file, or nothing for stdout."""
    return click.option(
        flag, name, metavar="[FILE]", is_flag=False, flag_value=STDOUT, default=None,
        help=f"Write it as {what} to FILE; - or nothing is stdout.",
    )  # fmt: skip


@click.command(short_help="Show divergence, slow features, findings and verdict.")
@state_dir_option
@deployment_option
@click.option(
    "--challenger", metavar="PIN", default=None, help="Which challenger, by default the first."
)
@_to_file("--html", "html", "one page of HTML that needs nothing else")
@_to_file("--markdown", "markdown", "Markdown for a pull request")
@_to_file("--json", "as_json", "JSON for programs")
def report(
    state_dir: str | None,
    which: str | None,
    challenger: str | None,
    html: str | None,
    markdown: str | None,
    as_json: str | None,
) -> None:
    """Show what is known of a challenger: findings in plain words, divergence, time by feature.

    As files it is written whole or not at all, several from one look.

    Example: shadowserve report --challenger v4 --html report.html --markdown report.md
    """
    from shadowserve.cli.describing import print_labels  # these import numpy: seconds
    from shadowserve.cli.report_text import print_report
    from shadowserve.report import build as reports
    from shadowserve.report import markdown as in_markdown
    from shadowserve.report import page

    forms: tuple[tuple[str | None, Callable[[Any], str]], ...] = (
        (html, page.render),
        (markdown, in_markdown.render),
        (as_json, json_text),
    )
    wanted = _wanted(forms)
    places, deployment = present(state_dir, which)
    told = reports.build(places, deployment, challenger=reports.number_of(deployment, challenger))
    for target, form in wanted:
        write(target, form(told))
    if not wanted:
        out = screen()
        print_report(told, out)
        print_labels(told["labels"], out)


def _wanted(
    forms: Iterable[tuple[str | None, Callable[[Any], str]]],
) -> list[tuple[str, Callable[[Any], str]]]:
    """Return the forms that are asked for, each with where it goes."""
    wanted = [(target, form) for target, form in forms if target is not None]
    if sum(target == STDOUT for target, _ in wanted) > 1:
        raise SettingsError("Only one form can go to stdout. Name a file for the others.")
    return wanted


def present(given: str | None, which: str | None = None) -> tuple[Places, Deployment]:
    """Return the state directory and its deployment, or an archived one and where it lies.

    Parameters
    ----------
    which : str, optional
        Id of a deployment; the present one where not given.

    Raises
    ------
    UnreachableError
        If nothing was ever served from it, or no deployment of that id is kept.
    """
    places = Places(state_dir_of(given).resolve())
    if which is not None:
        found = find(places, which)
        places, deployment = found.places, found.deployment
    else:
        deployment = deployments.read(places)
    if deployment is None:
        raise UnreachableError(
            f"Nothing has been served from {places.root}. Start 'shadowserve serve', or give --state-dir."
        )
    return places, deployment
