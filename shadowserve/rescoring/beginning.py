"""The beginning of a rescoring: its versions resolved, its source held against them, its directory claimed."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from shadowserve.errors import PinError, SettingsError
from shadowserve.host.placement import place
from shadowserve.rescoring.asked import Asked, directory
from shadowserve.schema.schema import Schema
from shadowserve.settings.options import DEFAULTS
from shadowserve.settings.settings import Settings, flag_of
from shadowserve.state import fed
from shadowserve.state.archive.traffic import Traffic
from shadowserve.state.deployment import Deployment
from shadowserve.state.places import Places
from shadowserve.supervisor import refusals, start, surroundings
from shadowserve.supervisor.processes import Processes
from shadowserve.versions.stores import preflight, uris

_TAKEN = ("method", "output_kind", "entity", "entity_header", "ignore_outputs", "batch")


@dataclass(frozen=True, slots=True)
class Begun:
    """A rescoring whose directory is held.

    Parameters
    ----------
    places, deployment, processes
        As `Rescoring` takes them.
    asked : Asked
    total : int or None
        How many requests the source says that it holds.
    whole : bool
        Whether it has come to its end before.
    resumed : bool
        Whether it goes on with what was cut off.
    held : int
        Descriptor of the lock.
    """

    places: Places
    deployment: Deployment
    processes: Processes
    asked: Asked
    total: int | None
    whole: bool
    resumed: bool
    held: int

    def let_go(self) -> None:
        """Let others have the directory."""
        os.close(self.held)


def begin(settings: Settings, asked: Asked, *, say: Callable[[str], None]) -> Begun:
    """Resolve and check all that can fail, and claim the directory of the rescoring.

    Raises
    ------
    ShadowserveError
        Whatever stands against it; nothing is left running.
    """
    refusals.refuse_settings(settings)
    if len(settings.challengers) == 0:
        raise SettingsError(
            "--challenger is missing: name the version that is to be compared, such as v6."
        )
    start.allow_open_files()
    addresses = uris(settings.tracking_uri, settings.registry_uri)
    preflight(addresses)
    base = Places(settings.state_dir.resolve())
    base.root.mkdir(mode=0o700, parents=True, exist_ok=True)
    base.rescored.mkdir(mode=0o700, exist_ok=True)
    surroundings.settle(base.root)
    if not asked.is_table:
        settings = _as_recorded(settings, asked, say)
    token = secrets.token_hex(8)
    wanted = start.resolve(settings, addresses, base, start=token, fresh=True, say=say)
    wanted = replace(wanted, options=replace(wanted.options, rescored=asked.source))
    traffic = asked.open(wanted.champion.signature)
    _refuse(traffic, asked, wanted)
    asked = asked.of(traffic)
    places = Places(directory(base, asked, wanted))
    held = start.claim(places, by="rescore")
    try:
        resumed = places.asked.exists()
        if resumed:
            asked = Asked.read(places)
        else:
            asked.write(places)
        deployment, _ = start.settle(places, wanted)
        start.scratch_directory(places)
        return Begun(
            places,
            deployment,
            _processes(settings, places, deployment, addresses, token),
            asked,
            traffic.total if not resumed else fed.total(places) or traffic.total,
            places.rescored_whole.exists(),
            resumed,
            held,
        )
    except BaseException:
        os.close(held)
        raise


def _as_recorded(settings: Settings, asked: Asked, say: Callable[[str], None]) -> Settings:
    """Take over what shaped the recorded answers and their comparison, where nobody said otherwise."""
    recorded = asked.open(None).deployment
    if recorded is None:
        return settings
    taken = {
        name: value
        for name in _TAKEN
        if getattr(settings, name) == getattr(DEFAULTS, name)
        and (value := getattr(recorded.options, name)) != getattr(DEFAULTS, name)
    }
    if taken:
        say(f"Options        as they were recorded with: {', '.join(map(flag_of, taken))}")
    return replace(settings, **taken)


def _processes(
    settings: Settings, places: Places, deployment: Deployment, addresses: Any, token: str
) -> Processes:
    """Return what makes the processes: all CPUs score the challengers, unless somebody said otherwise."""
    lanes = len(deployment.lanes)
    placement = place(workers=0, lanes=lanes, scoring=0, wanted=settings.placement)
    if not settings.lane_processes:
        each = max(1, placement.n_cpus // max(1, len(deployment.challengers)))
        told = tuple(f"{number}={each}" for number in deployment.numbers)
        settings = replace(settings, lane_processes=told)
    return Processes(settings, places, placement, addresses, token)


def _refuse(traffic: Traffic, asked: Asked, wanted: Deployment) -> None:
    """Refuse recorded requests that these versions cannot be asked with, or answers that are another's."""
    of = traffic.deployment
    if of is None:
        return
    lost = sorted(set(traffic.hidden) & set(_columns(wanted)))
    if lost:
        raise SettingsError(
            f"{', '.join(lost)} cannot be rescored: dropped or hashed where these requests were kept. Rescore a table "
            "that has the values, or keep them from now on (--drop-inputs, --hash-inputs)."
        )
    if of.model != wanted.model:
        raise PinError(
            f"These requests were sent to {of.model}, not to {wanted.model}. Name its versions."
        )
    same = (of.champion.number, of.champion.digest) == (
        wanted.champion.number,
        wanted.champion.digest,
    )
    if not same and not asked.rescore_champion:
        raise PinError(
            f"The recorded answers are {of.champion.pin}'s, not {wanted.champion.pin}'s. Give --rescore-champion to "
            f"have {wanted.champion.pin} answer anew, or --champion v{of.champion.number}."
        )


def _columns(wanted: Deployment) -> list[str]:
    versions = (wanted.champion, *wanted.challengers)
    schemas = (Schema.from_signature(one.signature) for one in versions)
    return [column.key for schema in schemas for column in schema.columns]


def bad_rows(places: Places) -> Mapping[str, Any]:
    """Return how many rows of a table were left out, and the first of them by number and column."""
    told = fed.read(places) or {}
    return {"n": told.get("bad_rows", 0), "rows": told.get("bad", [])}
