"""`promote`: the alias moved to a version that the verdict bears, and back."""

from __future__ import annotations

import contextlib
import shlex
import sys
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import click
from rich.console import Console

from shadowserve.cli.options import options
from shadowserve.cli.terminal import as_json, line, print_json, screen
from shadowserve.errors import PromotionError, SettingsError, ShadowserveError
from shadowserve.host.person import person
from shadowserve.legible import LONGEST_LINE, counted, legible
from shadowserve.settings.loading import load
from shadowserve.settings.settings import Settings
from shadowserve.state import deployment as deployments
from shadowserve.state import switches
from shadowserve.state.places import Places
from shadowserve.state.presence import running
from shadowserve.supervisor import visiting
from shadowserve.versions import pins
from shadowserve.versions.stores import preflight, uris


@click.command(short_help="Move the champion's alias to a version that its verdict bears, or back.")
@click.argument("version", metavar="PIN", required=False)
@click.option("--rollback", is_flag=True, help="Back to what the last promotion replaced.")
@options("alias", "max_age", "model", "tracking_uri", "registry_uri", "state_dir")
@click.option(
    "--force",
    metavar="REASON",
    default=None,
    help="Promote whatever speaks against it, and say why.",
)
@click.option("--reason", metavar="TEXT", default=None, help="Why, for the tags of both versions.")
@click.option(
    "--break-lock", metavar="TOKEN", default=None, help="Take over from a promoter that is dead."
)
@as_json
def promote(
    version: str | None,
    rollback: bool,
    force: str | None,
    reason: str | None,
    break_lock: str | None,
    as_json: bool,
    **flags: Any,
) -> None:
    """Let the registry's alias stand for a version, on the grounds of its verdict.

    The verdict must be promote, of these two versions and files, with coverage, and no older than
    --max-age; recorded requests are asked again first. --force overrules what speaks against it. Who,
    when and why is told as tags of both versions. Servers that run are not touched.

    Exit codes: 0 done, or so already, 3 refused; 2 misuse, 4 something could not be reached.

    Example: shadowserve promote v4
    """
    words = _words(version, rollback=rollback, force=force, reason=reason)
    settings = load(flags)
    addresses = uris(settings.tracking_uri, settings.registry_uri)
    preflight(addresses)
    places = Places(settings.state_dir.resolve())
    from shadowserve.promotion import promoting  # these import MLflow: seconds
    from shadowserve.versions.registry import Registry

    say = _quiet if as_json else _say
    registry = Registry(addresses, say=say)
    wanted = promoting.Wanted(
        alias=settings.alias,
        by=person(),
        max_age_s=settings.max_age,
        broken=break_lock,
        **words,
    )
    if rollback:
        model = _model(settings, places) or registry.default_model()
        done = promoting.roll_back(registry, model, places, wanted, say=say)
    else:
        reference = pins.parse(version or "")
        pin = registry.resolve(reference, _model(settings, places))
        model = pin.model
        done = promoting.promote(registry, pin, places, wanted, say=say)
    if done.switch is not None:
        _tell_who_follows(places)
    told = _told(done, model, settings)
    if as_json:
        print_json(told)
    else:
        _print(told, screen())
    if done.switch is None and done.objections:
        sys.exit(PromotionError.exit_code)


def _words(
    version: str | None, *, rollback: bool, force: str | None, reason: str | None
) -> dict[str, Any]:
    """Return what the person says, checked."""
    if rollback == (version is not None):
        raise SettingsError(
            "Say which version is promoted, such as v4, or --rollback, and not both."
        )
    for flag, given in (("--force", force), ("--reason", reason)):
        if given is not None and not given.strip():
            raise SettingsError(
                f"{flag} is empty. Say why: it stands in the tags of both versions."
            )
    return {
        "force": None if force is None else switches.worded(force),
        "reason": switches.worded(reason or ""),
    }


def _tell_who_follows(places: Places) -> None:
    """Let a server on this machine that follows the alias look at once; others look each ten seconds."""
    with contextlib.suppress(ShadowserveError, OSError):
        if places.root.is_dir() and running(places) is not None:
            visiting.ask(places, {"ask": "look"}, tell=lambda _: None)


def _model(settings: Settings, places: Places) -> str | None:
    """Return the model that is meant where the pin names none: the setting's, else the deployment's."""
    if settings.model is not None:
        return settings.model
    deployment = deployments.read(places)
    return None if deployment is None else deployment.model


def _told(done: Any, model: str, settings: Settings) -> dict[str, Any]:
    switch = done.switch
    back = None
    if switch is not None and not switch.back and switch.former is not None:
        back = _way_back(model, settings)
    return {
        "moved": switch is not None,
        "model": model,
        "alias": settings.alias,
        "version": done.stands_for,
        "switch": None if switch is None else {**switch.to_dict(), "says": switch.says},
        "objections": [asdict(one) for one in done.objections],
        "replayed": None if done.replayed is None else asdict(done.replayed),
        "way_back": back,
    }


def _way_back(model: str, settings: Settings) -> str:
    words = ["shadowserve", "promote", "--rollback", "--model", model]
    if settings.alias != "champion":
        words += ["--alias", settings.alias]
    return shlex.join(words)


def _print(told: Mapping[str, Any], out: Console) -> None:
    name = f"{told['model']}@{told['alias']}"
    if told["replayed"] is not None:
        line(out, f"Asked again    {_replayed(told['replayed'])}")
    for one in told["objections"]:
        line(out, ("Overruled      " if told["moved"] else "Against it     "), one["says"])
    if told["moved"]:
        line(out, ("Moved          ", "bold green"), f"{name}: {told['switch']['says']}")
        if told["way_back"]:
            line(out, f"Way back       {told['way_back']}")
        line(out, "Servers        go on with the version that they were started with")
    elif told["objections"]:
        line(out, ("Not moved      ", "bold red"), f"{name} stands for {_name(told['version'])}.")
        line(out, 'Next           mend it, or overrule all of it: --force "REASON"')
    else:
        line(out, f"Nothing to do  {name} stands for {_name(told['version'])} already.")


def _replayed(found: Mapping[str, Any]) -> str:
    if found["skipped"] or found["failure"]:
        return f"nothing: {found['skipped'] or found['failure']}"
    if not found["n"]:
        return "nothing: no request is kept any more, so what the lane recorded counts"
    return f"{counted(found['n'], 'recorded request')}, {sum(found['refused'].values())} without an answer"


def _name(number: int | None) -> str:
    return "nothing" if number is None else f"v{number}"


def _say(text: str) -> None:
    click.echo(legible(text, most=LONGEST_LINE), err=True)


def _quiet(text: str) -> None:
    """Say nothing of what goes well: programs read the data."""
    del text
