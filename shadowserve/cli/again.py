"""`serve` given again while one runs: it asks the running supervisor instead of starting another.

The same pins change nothing. Other challengers join and leave. Another champion takes over, and so does the same one
under other options that running statistics rest on: then a new deployment begins, and callers notice nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from shadowserve.errors import JournalError
from shadowserve.settings.options import Options
from shadowserve.settings.settings import Settings
from shadowserve.state import deployment as deployments
from shadowserve.state import homes
from shadowserve.state.deployment import Deployment
from shadowserve.state.places import Places, present
from shadowserve.state.presence import running
from shadowserve.supervisor import start, visiting
from shadowserve.supervisor.refusals import isolated_of, refuse_settings
from shadowserve.supervisor.start import listed
from shadowserve.supervisor.succession import succeeding
from shadowserve.versions import pins
from shadowserve.versions.pins import Pin, Reference
from shadowserve.versions.stores import preflight, uris


@dataclass(frozen=True, slots=True)
class _Asked:
    """What the command names, as fixed versions."""

    champion: Pin
    challengers: tuple[Pin, ...]
    isolated: tuple[str, ...]


def ask_the_running(settings: Settings, *, say: Callable[[str], None]) -> bool:
    """Ask the supervisor that serves from the state directory, if there is one; False if there is none.

    Raises
    ------
    JournalError
        If what is asked for needs a restart.
    ShadowserveError
        Whatever a challenger that is to join or leave has against it.
    """
    places = Places(settings.state_dir.resolve())
    # What is there and no directory is refused by the start, which knows what to say of it.
    found = running(places) if places.root.is_dir() else None
    if found is None or (deployment := deployments.read(places)) is None:
        return False
    who = f"process {found['pid']}" if "pid" in found else "another process"
    asked = _resolved(settings, deployment)
    _refuse_other(settings, deployment, asked, places, who)
    # One that is being stopped must not pass for one that serves: whoever waits for an exit code of 0 would be
    # left with nobody.
    visiting.ask(places, {"ask": "list"}, tell=say)
    changed = _changed(settings, deployment, asked)
    if changed or settings.restart:
        _hand_over(settings, deployment, places, changed=changed, say=say)
        return True
    members, wanted = [one.pin for one in deployment.challengers], list(asked.challengers)
    named = {deployment.number_named(pins.parse(str(pin))) for pin in wanted}
    began_it = bool(wanted) and named == set(deployment.asked or ())
    if began_it or set(wanted) == set(members):
        joined = f"; its challengers are {_listed(members)}" if set(wanted) != set(members) else ""
        say(f"{deployment.champion.pin} is served already ({who}){joined}. Nothing has changed.")
        return True
    # Those that join come first: a deployment keeps one challenger at least.
    for pin in (pin for pin in wanted if pin not in members):
        question = {"ask": "add", "pin": str(pin), "isolate": str(pin) in asked.isolated}
        end = visiting.ask(places, question, tell=say)
        say(f"{end['joined']} runs.")
    for pin in (pin for pin in members if pin not in wanted):
        end = visiting.ask(places, {"ask": "remove", "pin": str(pin)}, tell=say)
        say(f"{end['left']} has left.")
    say(f"{deployment.champion.pin} is served on ({who}), with {_listed(wanted)}.")
    return True


def _refuse_other(
    settings: Settings, deployment: Deployment, asked: _Asked, places: Places, who: str
) -> None:
    served = deployment.champion.pin
    if asked.champion.model != served.model:
        raise JournalError(
            f"Another 'shadowserve serve' runs on {places.root} ({who}). "
            "Stop it, or give --state-dir another directory."
        )
    if settings.tap or deployment.tapped:
        changed = _changed(settings, deployment, asked)
        if changed or settings.restart:
            raise JournalError(
                f"{served} answers elsewhere, and is tapped from {places.root} ({who}); another {listed(changed)} "
                f"needs a restart here, which no caller notices. Stop it with 'kill {who.removeprefix('process ')}', "
                "then give this command again."
            )


def _changed(settings: Settings, deployment: Deployment, asked: _Asked) -> list[str]:
    """Return what begins a new deployment."""
    changed = ["champion"] if asked.champion != deployment.champion.pin else []
    changed += deployment.frozen_in(Options.from_settings(settings))
    changed += ["control"] if deployment.control != settings.control else []
    return changed + (["isolate"] if _isolates_others(deployment, asked) else [])


def _hand_over(
    settings: Settings,
    deployment: Deployment,
    places: Places,
    *,
    changed: list[str],
    say: Callable[[str], None],
) -> None:
    """Let new workers take over: of the same deployment, or of one that is prepared here.

    Raises
    ------
    ShadowserveError
        Whatever the pins, their files or the supervisor have against it; nothing has changed then.
    """
    wanted_id, home = deployment.id, None
    if changed:
        say(f"Another {listed(changed)}: a new deployment begins, and callers notice nothing.")
        refuse_settings(settings)
        addresses = uris(settings.tracking_uri, settings.registry_uri)
        preflight(addresses)
        wanted = start.resolve(settings, addresses, places, start="", fresh=True, say=say)
        home = homes.prepare(places.root, succeeding(places, deployment, wanted))
        wanted_id = wanted.id
    try:
        question = {"ask": "hand over", "deployment": wanted_id}
        end = visiting.ask(places, question, tell=say)
    except BaseException:
        if home is not None and present(places.root) != home.folder:
            homes.discard(home)
        raise
    say(f"{end['served']} is served, after {end['took_s']:g} s.")


def _isolates_others(deployment: Deployment, asked: _Asked) -> bool:
    """Whether a challenger that is there from the start would run elsewhere than it does."""
    return any(
        deployment.options.isolates(one) != (str(one.pin) in asked.isolated)
        for one in deployment.challengers
        if one.pin in asked.challengers
        and deployment.stay_of(deployment.number_of(one)).joined is None
    )


def _resolved(settings: Settings, deployment: Deployment) -> _Asked:
    """Return what the command names; only aliases are looked up."""
    references = [pins.parse(text) for text in (settings.champion or "", *settings.challengers)]
    model = settings.model or deployment.model
    if all(one.version is not None for one in references):
        champion, *others = (_pin(one, model) for one in references)
        return _Asked(champion, tuple(others), isolated_of(settings, champion, others))
    from shadowserve.versions.registry import Registry  # imports MLflow: seconds

    addresses = uris(settings.tracking_uri, settings.registry_uri)
    preflight(addresses)
    registry = Registry(addresses)
    champion, *others = (registry.resolve(one, model) for one in references)
    return _Asked(champion, tuple(others), isolated_of(settings, champion, others))


def _pin(reference: Reference, model: str) -> Pin:
    return Pin(reference.model or model, reference.version or 0)


def _listed(challengers: Iterable[Pin]) -> str:
    return ", ".join(map(str, challengers)) or "no challenger"
