"""From what somebody asks to a switch: what is promoted, what speaks against it, and the way back."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from shadowserve.errors import PromotionError, RegistryError
from shadowserve.promotion import requests
from shadowserve.promotion.grounds import Grounds, Objection, grounds_of
from shadowserve.promotion.moving import move, settle_left, stands_for
from shadowserve.promotion.replaying import Replayed
from shadowserve.state.places import Places
from shadowserve.state.switches import TAG, Switch
from shadowserve.versions.pins import Pin
from shadowserve.versions.registry import Registry
from shadowserve.versions.version import Version

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is asked for.

    Parameters
    ----------
    alias : str
        The one that is moved.
    by : str
        Who asks.
    force : str or None
        Why, whatever speaks against it; None to be refused where something does.
    reason : str
        Why, in the person's own words; may be empty.
    max_age_s : float
        How old the last request of a verdict may be.
    broken : str or None
        Token of a lock whose holder is known to be dead.
    """

    alias: str
    by: str
    force: str | None = None
    reason: str = ""
    max_age_s: float = 7 * 86_400.0
    broken: str | None = None


@dataclass(frozen=True, slots=True)
class Promotion:
    """What came of it.

    Parameters
    ----------
    switch : Switch or None
        What was done; None where nothing was.
    stands_for : int or None
        What the alias stands for.
    objections : tuple of Objection
        What spoke against it.
    replayed : Replayed or None
        What came of asking recorded requests again; None where it was not asked.
    """

    switch: Switch | None
    stands_for: int | None
    objections: tuple[Objection, ...] = ()
    replayed: Replayed | None = None


def promote(
    registry: Registry, pin: Pin, places: Places, wanted: Wanted, *, say: Say = lambda _: None
) -> Promotion:
    """Let the alias stand for a version, if the grounds bear it or somebody overrules what does not.

    Parameters
    ----------
    pin : Pin
        As resolved.
    places : Places
        Where it was compared.

    Raises
    ------
    PromotionError
        As `moving.move`.
    UnreachableError
        As `moving.move`.
    """
    _settle(registry, pin.model, places, wanted, say)
    former = stands_for(registry, pin.model, wanted.alias)
    if former == pin.version:
        return Promotion(None, former)
    known = {pin.version: _whole(registry, pin, places)}
    if former is not None:
        known[former] = _whole(registry, Pin(pin.model, former), places)
    grounds = grounds_of(
        places, pin,
        alias=wanted.alias, stands_for=former, known=known, max_age_s=wanted.max_age_s,
    )  # fmt: skip
    replayed, objections = _requests(grounds, pin, places, say)
    if objections and wanted.force is None:
        return Promotion(None, former, objections, replayed)
    switch = Switch(
        model=pin.model,
        alias=wanted.alias,
        former=former,
        successor=pin.version,
        by=wanted.by,
        reason=wanted.force or wanted.reason or grounds.reason,
        against=tuple(one.code for one in objections),
        verdict=grounds.report["verdict"] if grounds.report else None,
        run_id=grounds.run_id,
        deployment=grounds.deployment.id if grounds.deployment else None,
    )
    done = move(registry, switch, known, places=places, broken=wanted.broken, say=say)
    return Promotion(done, pin.version, objections, replayed)


def roll_back(
    registry: Registry, model: str, places: Places, wanted: Wanted, *, say: Say = lambda _: None
) -> Promotion:
    """Let the alias stand again for what the last promotion replaced.

    Raises
    ------
    PromotionError
        If no promotion is to be undone, or as `moving.move`.
    """
    _settle(registry, model, places, wanted, say)
    present = stands_for(registry, model, wanted.alias)
    if present is None:
        raise RegistryError(
            f"Model {model!r} has no alias @{wanted.alias}, so nothing is to be rolled back. Give --alias the "
            "name that you use; 'shadowserve pins' lists them."
        )
    tags = registry.calls.entity(Pin(model, present)).tags
    former = _promoted_over(tags, wanted.alias)
    if former is None:
        raise PromotionError(_no_way_back(tags, present, wanted.alias))
    pins = [Pin(model, number) for number in (former, present)]
    replaced = registry.calls.entity(pins[0]).tags
    if (replaced.get(TAG), replaced.get(f"{TAG}.other")) != ("replaced", str(present)):
        raise PromotionError(
            f"{pins[0]} is not known as the version that v{present} replaced: it was registered anew, or its tags were "
            f"changed. If it is what shall serve: 'shadowserve promote v{former} --force REASON'."
        )
    switch = Switch(
        model=model,
        alias=wanted.alias,
        former=present,
        successor=former,
        by=wanted.by,
        reason=wanted.force or wanted.reason or f"rolled back from v{present}",
        back=True,
        verdict=_told(tags, "verdict"),
        run_id=_told(tags, "run_id"),
        deployment=_told(tags, "deployment"),
    )
    known = {one.version: registry.identified(one) for one in pins}
    done = move(registry, switch, known, places=places, broken=wanted.broken, say=say)
    return Promotion(done, former)


def _settle(registry: Registry, model: str, places: Places, wanted: Wanted, say: Say) -> None:
    settle_left(registry, model, by=wanted.by, broken=wanted.broken, places=places, say=say)


def _promoted_over(tags: dict[str, str], alias: str) -> int | None:
    other = tags.get(f"{TAG}.other", "")
    if tags.get(TAG) != "promoted" or tags.get(f"{TAG}.alias") != alias or not other.isdecimal():
        return None
    return int(other)


def _no_way_back(tags: dict[str, str], present: int, alias: str) -> str:
    if tags.get(TAG) == "restored" and tags.get(f"{TAG}.alias") == alias:
        return (
            f"v{present} is @{alias} since {tags.get(f'{TAG}.by')} rolled back from v{tags.get(f'{TAG}.other')} on "
            f"{tags.get(f'{TAG}.at')}. Nothing was changed. To go further back, name the version: 'shadowserve "
            "promote VERSION --force REASON'."
        )
    return (
        f"@{alias} stands for v{present}, which 'shadowserve promote' did not put in another's place. Nothing was "
        "changed. Name the version that shall serve: 'shadowserve promote VERSION --force REASON'."
    )


def _told(tags: dict[str, str], name: str) -> str | None:
    value = tags.get(f"{TAG}.{name}")
    return None if value in (None, "none") else value


def _whole(registry: Registry, pin: Pin, places: Places) -> Version:
    """Return a version as it is registered now, with the digest of its files as they lie there now."""
    found = registry.identified(pin)
    if found.digest is not None:
        return found
    # Far away, and what lies in the cache tells nothing of what lies there now.
    root = places.root if places.root.is_dir() else None
    with tempfile.TemporaryDirectory(prefix="promote-", dir=root) as folder:
        return registry.fetch(pin, Path(folder)).version


def _requests(
    grounds: Grounds, pin: Pin, places: Places, say: Say
) -> tuple[Replayed | None, tuple[Objection, ...]]:
    if grounds.report is None or grounds.deployment is None:
        return None, grounds.objections
    say(f"Asking again   recorded requests of {pin.label}, in a process of its own")
    number = grounds.report["challenger"]
    replayed = requests.asked_again(places, grounds.deployment, number)
    found = [
        *grounds.objections,
        *requests.as_recorded(grounds.report),
        *requests.as_asked(replayed, pin.version),
    ]
    return replayed, tuple(found)
