"""`serve` given again while one runs: it asks the running supervisor instead of starting another.

The same pins change nothing. Other challengers join and leave. Another champion, or other options that running
statistics rest on, need a restart, and that is said.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from shadowserve.errors import JournalError
from shadowserve.settings.options import Options
from shadowserve.settings.settings import Settings
from shadowserve.state import deployment as deployments
from shadowserve.state.deployment import Deployment
from shadowserve.state.places import Places
from shadowserve.state.presence import running
from shadowserve.supervisor import visiting
from shadowserve.supervisor.refusals import isolated_of
from shadowserve.supervisor.start import listed
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
    _refuse_restart(settings, deployment, asked, places, who)
    # One that is being stopped must not pass for one that serves: whoever waits for an exit code of 0 would be
    # left with nobody.
    visiting.ask(places, {"ask": "list"}, tell=say)
    present, wanted = [one.pin for one in deployment.challengers], list(asked.challengers)
    began_it = {pin.version for pin in wanted} == set(deployment.asked or ())
    if began_it or set(wanted) == set(present):
        joined = f"; its challengers are {_listed(present)}" if set(wanted) != set(present) else ""
        say(f"{deployment.champion.pin} is served already ({who}){joined}. Nothing has changed.")
        return True
    # Those that join come first: a deployment keeps one challenger at least.
    for pin in (pin for pin in wanted if pin not in present):
        question = {"ask": "add", "pin": str(pin), "isolate": str(pin) in asked.isolated}
        end = visiting.ask(places, question, tell=say)
        say(f"{end['joined']} runs.")
    for pin in (pin for pin in present if pin not in wanted):
        end = visiting.ask(places, {"ask": "remove", "pin": str(pin)}, tell=say)
        say(f"{end['left']} has left.")
    say(f"{deployment.champion.pin} is served on ({who}), with {_listed(wanted)}.")
    return True


def _refuse_restart(
    settings: Settings, deployment: Deployment, asked: _Asked, places: Places, who: str
) -> None:
    served = deployment.champion.pin
    if asked.champion.model != served.model:
        raise JournalError(
            f"Another 'shadowserve serve' runs on {places.root} ({who}). "
            "Stop it, or give --state-dir another directory."
        )
    if asked.champion != served:
        raise JournalError(
            f"{served} is served from {places.root} ({who}); another champion needs a restart. Stop it with "
            f"'kill {who.removeprefix('process ')}', then give this command again."
        )
    changed = deployment.frozen_in(Options.from_settings(settings))
    changed += ["control"] if deployment.control != settings.control else []
    changed += ["isolate"] if _isolates_others(deployment, asked) else []
    if changed:
        raise JournalError(
            f"{served} is served from {places.root} ({who}); another {listed(changed)} begins a new deployment, "
            f"which needs a restart. Stop it with 'kill {who.removeprefix('process ')}', then give this command "
            "again."
        )


def _isolates_others(deployment: Deployment, asked: _Asked) -> bool:
    """Whether a challenger that is there from the start would run elsewhere than it does."""
    return any(
        deployment.options.isolates(one) != (str(one.pin) in asked.isolated)
        for one in deployment.challengers
        if one.pin in asked.challengers and deployment.stay_of(one.number).joined is None
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
