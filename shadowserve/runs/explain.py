"""Why two versions answer differently: both loaded in processes of their own and asked about recorded requests.

It runs beside a deployment or after it, off every scoring path.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from shadowserve.errors import ModelError, RegistryError, UnreachableError
from shadowserve.judgement.cause.deciding import decide
from shadowserve.judgement.cause.nearest import Nearest, nearest
from shadowserve.judgement.cause.vectors import same, vectors
from shadowserve.legible import legible
from shadowserve.records import Request, Role
from shadowserve.report.one_request import held
from shadowserve.runs.apart_process import ApartProcess
from shadowserve.runs.recent import by_id, recorded
from shadowserve.runs.replay import position_of
from shadowserve.schema.disclosure import Rule
from shadowserve.scorer.apart import INPUT
from shadowserve.state import causes
from shadowserve.state.deployment import Deployment, LaneName
from shadowserve.state.places import LanePlaces, Places

MOST_REQUESTS = 400
LEAST_REQUESTS = 20
LONGEST_VALUE = 120


@dataclass(frozen=True, slots=True)
class _Asked:
    """Both versions, the requests that both can take, and which request each row is of."""

    sides: tuple[ApartProcess, ApartProcess]
    requests: Sequence[Request]
    of_row: np.ndarray


def explain(
    places: Places,
    deployment: Deployment,
    *,
    challenger: int,
    request: str | None = None,
    archive: Places | None = None,
) -> dict[str, Any]:
    """Return why a challenger answers differently, and keep that for its report.

    Parameters
    ----------
    places : Places
        Where the deployment lies.
    challenger : int
        Lane number.
    request : str, optional
        A request id or a position: why this one is answered differently too. That is not kept.
    archive : Places, optional
        Whose journal archive is read; by default of the same state directory.

    Returns
    -------
    dict
        `Cause.to_dict`, with ``champion``, ``challenger``, ``at``, ``requests`` and ``request``, the latter None where
        none was asked about.

    Raises
    ------
    UnreachableError
        If no requests, or not this one, are here any more.
    ModelError
        If a version cannot be loaded, or does not answer.
    """
    archive = archive or places
    name = deployment.lane_of(challenger)
    lane = places.lane(name.role, name.version, name.stay)
    found, hidden = recorded(archive, deployment, lane, most=MOST_REQUESTS)
    one = None
    if request is not None:
        one = by_id(archive, deployment, request) or _held(places, lane, challenger, request)
        if one is None or one.body is None:
            raise UnreachableError(
                f"No request {legible(request, most=LONGEST_VALUE)} whose body is still here. The report names the "
                "worst requests; 'shadowserve serve --keep-journal 7d' keeps all of them for a week."
            )
        found = [one, *(other for other in found if other.position != one.position)]
    if len(found) < LEAST_REQUESTS:
        lost = f" Values of {', '.join(hidden)} are not kept." if hidden else ""
        raise UnreachableError(
            f"{len(found)} recorded requests are here, and fewer than {LEAST_REQUESTS} show nothing.{lost} A lane keeps "
            "some as it scores; 'shadowserve serve --keep-journal 7d' keeps all of them for a week."
        )
    for number in (deployment.champion.number, challenger):
        if not Path(deployment.files[number]).is_dir():
            raise UnreachableError(
                f"The files of {deployment.version(number).pin} are no longer in {deployment.files[number]}. 'shadowserve "
                "serve' fetches them again."
            )
    labels = (deployment.champion.pin.label, deployment.name_of(challenger))
    champion = LaneName(Role.CONTROL, deployment.champion.number)
    with ApartProcess(champion, labels[0]) as own, ApartProcess(name, labels[1]) as other:
        asked = _loaded((own, other), deployment, found)
        cause = decide(own, other, names=labels, of_request=asked.of_row)
        told = {
            **cause.to_dict(),
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
            "deployment": deployment.id,
            "champion": deployment.champion.number,
            "challenger": challenger,
            "requests": len(asked.requests),
        }
        causes.write(lane, told)
        about = None if one is None else _about(asked, one, deployment, labels)
    return {**told, "request": about}


def _held(places: Places, lane: LanePlaces, challenger: int, request: str) -> Request | None:
    """Return a request by its id or position, while it is in the journal or among those that the lane keeps."""
    with suppress(RegistryError):
        return held(places, lane, position_of(places, challenger, request))
    return held(places, lane, int(request)) if request.isdecimal() else None


def _loaded(
    sides: tuple[ApartProcess, ApartProcess], deployment: Deployment, found: Sequence[Request]
) -> _Asked:
    with ThreadPoolExecutor(2) as both:
        lengths = list(both.map(lambda side: side.load(deployment, found), sides))
    taken = [at for at, n in enumerate(zip(*lengths, strict=True)) if n[0] and n[0] == n[1]]
    if len(taken) < LEAST_REQUESTS:
        raise ModelError(
            f"Both versions can take {len(taken)} of {len(found)} recorded requests, and fewer than {LEAST_REQUESTS} "
            "show nothing. 'shadowserve report' says what is refused."
        )
    with ThreadPoolExecutor(2) as both:
        list(both.map(lambda side: side.take(taken), sides))
    rows = np.repeat(np.arange(len(taken)), [lengths[0][at] for at in taken])
    return _Asked(sides, [found[at] for at in taken], rows)


def _about(
    asked: _Asked, one: Request, deployment: Deployment, labels: tuple[str, str]
) -> dict[str, Any]:
    """Say what makes the versions part on one request, which is the first."""
    about: dict[str, Any] = {"position": one.position, "request_id": one.request_id or None}
    if asked.requests[0].position != one.position:
        return {**about, "says": "Not both versions can take it.", "nearest": None}
    outlines = [side.outline() for side in asked.sides]
    classes = [outline.classes for outline in outlines]
    laid = vectors([side.answers({}) for side in asked.sides], classes)
    mine = np.flatnonzero(asked.of_row == 0)
    if laid is None:
        return {
            **about,
            "says": "Its answers cannot be laid side by side as numbers.",
            "nearest": None,
        }
    a, b = laid[0]
    differing = mine[~same(a[mine], b[mine])]
    if not len(differing):
        return {**about, "says": f"{labels[0]} and {labels[1]} answer it alike.", "nearest": None}
    row = int(differing[np.abs(a[differing] - b[differing]).sum(axis=1).argmax()])
    others = np.flatnonzero(asked.of_row != 0).tolist()
    try:
        found = nearest(*asked.sides, row, classes=classes, among=others)
    except ModelError as error:
        return {**about, "says": f"Other inputs could not be tried: {error}", "nearest": None}
    if found is None:
        says = (
            "No recorded request that both versions answer alike is made to part them by its inputs: they differ "
            "on all that are like it."
        )
        return {**about, "says": says, "nearest": None}
    return {**about, **_told(asked, found, row, deployment)}


def _told(asked: _Asked, found: Nearest, row: int, deployment: Deployment) -> dict[str, Any]:
    like = asked.requests[int(asked.of_row[found.like])]
    disclosure = deployment.options.disclosure(salt=deployment.salt)
    frame = asked.sides[0].value(INPUT, {})
    by_name = {str(name): frame[name] for name in frame.columns}
    values = {
        name: [_shown(by_name[name].iloc[at]) for at in (found.like, row)]
        if disclosure.rule(name) is Rule.SHOWN
        else None
        for name in found.columns
    }
    changes = [
        f"{name}, {own[1]} instead of {own[0]}" if own is not None else name
        for name, own in values.items()
    ]
    least = "No smaller change does it" if found.smallest else "Without any one of them they do not"
    return {
        "says": f"{like.position} is like it, and both versions answer that alike. They part once it has this request's "
        f"{'; '.join(changes)}. {least}.",
        "nearest": {**found.to_dict(), "like": like.position, "values": values},
    }


def _shown(value: Any) -> str:
    missing = value is None or value != value
    return "missing" if missing else legible(str(value), most=LONGEST_VALUE)
