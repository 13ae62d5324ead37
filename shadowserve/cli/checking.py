"""`check`: both versions tried out before any traffic meets them."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from shadowserve import withheld
from shadowserve.check import Check, Side, Trial, try_out
from shadowserve.check import check as compare
from shadowserve.check.bodies import Bodies
from shadowserve.cli.options import options
from shadowserve.cli.terminal import as_json, grid, line, print_json, row, screen
from shadowserve.errors import ModelError, StateError
from shadowserve.host.placement import place
from shadowserve.scorer import adapting
from shadowserve.scorer.loading import input_example
from shadowserve.settings import lane_processes
from shadowserve.settings.loading import load
from shadowserve.settings.options import Options
from shadowserve.settings.settings import Settings
from shadowserve.state.deployment import read
from shadowserve.state.places import Places
from shadowserve.supervisor.refusals import (
    file_faults,
    isolated_of,
    refuse_adapters,
    refuse_repeated,
)
from shadowserve.versions import pins
from shadowserve.versions.stores import preflight, uris

INCOMPATIBLE = 3


@click.command(short_help="Try both versions out, without traffic.")
@options(
    "champion", "challengers", "model", "tracking_uri", "registry_uri", "state_dir", "method",
    "output_kind", "adapt_output", "isolate", "package_index", "wheels", "max_body", "batch", "probe", "one_job",
    "strict_versions", "allow_digests", "pass_env",
)  # fmt: skip
@as_json
def check(as_json: bool, **flags: Any) -> None:
    """Load both versions, each in a process of its own, and say what will be comparable.

    Nothing is served. Exit codes: 0 fine, 3 incompatible (also what --strict-versions or
    --allow-digest refuse: it is not loaded); 2 misuse, 4 something could not be reached.

    Example: shadowserve check --champion v3 --challenger v4
    """
    settings = load(flags, required=("champion", "challengers"))
    addresses = uris(settings.tracking_uri, settings.registry_uri)
    preflight(addresses)
    click.echo(f"Store {addresses}; each version is tried in a process of its own.", err=True)
    places = Places(settings.state_dir.resolve())
    with _cache(places) as cache:
        checks, example = _checks(settings, addresses, cache, spared=_served(places))
    bodies = Bodies.of(example, limit=settings.max_body)
    if as_json:
        told = [one.to_dict() for one in checks]
        fine = all(one.compatible for one in checks)
        print_json({"compatible": fine, "checks": told, "bodies": asdict(bodies)})
    else:
        for one in checks:
            print_check(one, screen())
        line(screen(), str(bodies))
    sys.exit(0 if all(one.compatible for one in checks) else INCOMPATIBLE)


@contextmanager
def _cache(places: Places) -> Iterator[Path]:
    """Yield where files are brought: the deployment's own cache if there is one."""
    if places.models.is_dir():
        yield places.models
        return
    with tempfile.TemporaryDirectory(prefix="shadowserve-check-") as folder:
        yield Path(folder)


def _served(places: Places) -> set[str]:
    """Return the digests of what is served from there, which a restarted worker needs again."""
    with suppress(StateError):
        deployment = read(places)
        return {Path(path).name for path in deployment.files.values()} if deployment else set()
    return set()


def _checks(
    settings: Settings, addresses: Any, cache: Path, *, spared: Collection[str]
) -> tuple[list[Check], Any]:
    """Resolve and fetch the pins, and try them side by side; return the champion's example, too."""
    from shadowserve.versions.registry import Registry  # imports MLflow: seconds

    registry = Registry(addresses, say=lambda line: click.echo(line, err=True))
    champion = registry.resolve(pins.parse(settings.champion), settings.model)
    challengers = [
        registry.resolve(pins.parse(text), champion.model) for text in settings.challengers
    ]
    refuse_repeated(challengers)
    refuse_adapters(settings, challengers)
    isolated = isolated_of(settings, champion, challengers)
    found = registry.fetch_all((champion, *challengers), cache, spared=spared)
    fetched = [found[pin] for pin in (champion, *challengers)]
    body = input_example(fetched[0].path)
    lanes = len(challengers) + settings.control
    placement = place(
        workers=settings.workers,
        lanes=lanes,
        scoring=lane_processes.threads_for(settings.lane_processes, lanes=lanes) or 0,
        wanted=settings.placement,
    )

    # As serve has it, so that a model is tried in what it will run in.
    environment = {
        **withheld.for_models(
            os.environ,
            passed=settings.pass_env,
            tracking=addresses.tracking,
            registry=addresses.registry,
        ),
        **placement.environment(),
    }

    options = replace(Options.from_settings(settings), isolate=isolated)
    adapting.digests(settings.adapt_output)  # what cannot be imported is misuse, and told at once

    def tried_out(one: Any) -> Trial:
        own = one is not fetched[0] and options.isolates(one.version)
        # What is refused is not even loaded, since loading may run its code.
        if faults := file_faults(settings, one.version, isolated=own):
            return Trial(failure=" ".join(faults))
        if own and (failure := _made(one, options, index=settings.package_index)):
            return Trial(failure=failure)
        return try_out(
            one.version,
            one.path,
            options=options,
            champion_body=body,
            champion=None if one is fetched[0] else fetched[0].version,
            environment=environment,
        )

    with ThreadPoolExecutor(2) as pool:
        tried = pool.map(tried_out, fetched)
        first, *others = [
            Side(
                one.version, trial, isolated=one is not fetched[0] and options.isolates(one.version)
            )
            for one, trial in zip(fetched, tried, strict=True)
        ]
    return [compare(first, other, output_kind=settings.output_kind) for other in others], body


def _made(one: Any, options: Options, *, index: str | None) -> str | None:
    """Make a version's environment and say what it is; return why it cannot be made, if so."""
    from shadowserve.scorer.isolated.making import make

    label = one.version.pin.label

    def say(text: str) -> None:
        click.echo(f"The environment of {label} is {text} ...", err=True)

    try:
        found = make(one.version, one.path, options, index=index, say=say)
    except ModelError as error:
        return str(error)
    click.echo(f"The environment of {label}: {found.told}.", err=True)
    for left in found.left_out:
        click.echo(f"  not installed: {left}", err=True)
    return None


def print_check(found: Check, out: Console) -> None:
    """Print a check for people: both versions, their differences, and what follows."""
    told = [found.champion.to_dict(), found.challenger.to_dict()]
    table = grid("", *(side.name for side in (found.champion, found.challenger)))
    for name, facts in _facts(told).items():
        row(table, name, *facts)
    out.print(table)
    _list("Their records differ in", [str(one) for one in found.differences], out)
    _list(f"Steps of {found.champion.name} only", found.only_champion, out)
    _list(f"Steps of {found.challenger.name} only", found.only_challenger, out)
    for side in (found.champion, found.challenger):
        _list(f"Notes on {side.name}", side.trial.notes, out)
    if not found.compatible:
        _list("They cannot be compared", found.incompatible, out)
        return
    _list("What will be comparable", found.comparable, out)
    _list("What will not", found.not_comparable, out)


def _list(title: str, lines: Any, out: Console) -> None:
    if lines:
        line(out, f"{title}:")
        for one in lines:
            line(out, f"  - {one}")


def _facts(sides: list[dict[str, Any]]) -> dict[str, list[str]]:
    """Return what is shown of each side, line by line."""
    return {name: [fact(side) for side in sides] for name, fact in _FACTS.items()}


def _training(side: Mapping[str, Any]) -> str:
    return "; ".join(
        f"{data['name']}, {data['rows'] or '?'} rows, {data['since'] or '?'} to {data['until'] or '?'}"
        for data in side["version"]["training_data"]
    )


def _libraries(side: Mapping[str, Any]) -> str:
    if side["isolated"]:
        return "its own environment"
    return "; ".join(side["libraries"]) or "as in training"


def _columns(side: Mapping[str, Any]) -> str:
    shown = [
        f"{name} {kind}{'' if required else '?'}"
        for name, kind, required in side["trial"]["columns"]
    ]
    return ", ".join(shown[:12]) + (f" and {len(shown) - 12} more" if len(shown) > 12 else "")


def _outcome(side: Mapping[str, Any]) -> str:
    if side["trial"]["failure"]:
        return "not served: see below"
    passage = side["trial"]["own"]
    if passage is None:
        return "no input example"
    return passage["fault"] or f"{passage['n_rows']} rows answered, {passage['kind']}"


def _times(side: Mapping[str, Any]) -> str:
    passage = side["trial"]["own"] or {}
    phases = passage.get("phases_ms") or {}
    return ", ".join(f"{name} {spent:.2g}" for name, spent in phases.items())


def _steps(side: Mapping[str, Any]) -> str:
    spent = (side["trial"]["own"] or {}).get("steps_ms") or {}
    return "; ".join(
        f"{step['name']} {spent.get(step['name'], float('nan')):.2g}"
        + (" (opaque)" if step["kind"] == "opaque" else "")
        for step in side["trial"]["steps"]
    )


def _threads(side: Mapping[str, Any]) -> str:
    parts = side["trial"]["threads"]
    return "; ".join(
        f"{part['part'] or 'model'} n_jobs={part['n_jobs']} ({part['effective']} here)"
        for part in parts
        if part["n_jobs"] is not None
    ) or ("" if side["trial"]["failure"] else "no part asks for any")


def _pools(side: Mapping[str, Any]) -> str:
    pools = {f"{p['api']} {p['threads']} ({p['library']})" for p in side["trial"]["pools"]}
    return ", ".join(sorted(pools))


def _behaviour(side: Mapping[str, Any]) -> str:
    trial = side["trial"]
    if trial["failure"]:
        return ""
    if not trial["calls"]:
        return f"not tried; {trial['batching']}"
    if trial["own"] is None and trial["champion"] is None:
        return f"tried on a made-up row at most; {trial['batching']}; called {trial['calls']} times for this"
    again = "answers alike twice" if trial["deterministic"] else "answers differently each time"
    return f"{again}; {trial['batching']}; called {trial['calls']} times for this"


_FACTS: Mapping[str, Any] = {
    "registered": lambda side: f"{side['age']} ago",
    "sha256": lambda side: (side["version"]["digest"] or "")[:12],
    "run": lambda side: (side["version"]["run_id"] or "unknown")[:8],
    "flavor": lambda side: " ".join(side["version"]["flavors"]),
    "trained on": lambda side: _training(side) or "unknown",
    "takes": _columns,
    "libraries": _libraries,
    "loading": lambda side: side["loads"],
    "loaded in s": lambda side: f"{side['trial']['load_s']:.1f}",
    "its example": _outcome,
    "phases ms": _times,
    "steps ms": _steps,
    "n_jobs": _threads,
    "threads": _pools,
    "behaviour": _behaviour,
}
