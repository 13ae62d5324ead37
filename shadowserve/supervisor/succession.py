"""What follows upon a deployment: the one that takes over from it, with what it knows of its predecessor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from shadowserve.state import deployment as deployments
from shadowserve.state import lane_numbers
from shadowserve.state.deployment import Deployment
from shadowserve.state.family import challengers_before, was_tried
from shadowserve.state.places import Places
from shadowserve.versions.version import Version

MOST_FORMER = 20
"""Former champions that a deployment remembers, the newest first."""


def succeeding(places: Places, present: Deployment, wanted: Deployment) -> Deployment:
    """Return a deployment as it follows upon the present one.

    Parameters
    ----------
    places : Places
        The present one's.
    """
    number = wanted.champion.number
    own = present.champion.number
    known = dict.fromkeys((own, *present.former)) if wanted.model == present.model else {}
    former = tuple(one for one in known if one != number)[:MOST_FORMER]
    tried = challengers_before(places, wanted)
    if (present.model, own) == (wanted.model, number):  # it will be one more of the archived
        tried += sum(was_tried(places, present, name) for name in _challengers(present))
    return replace(wanted, former=former, options=replace(wanted.options, challengers_before=tried))


def promoted(
    places: Places,
    present: Deployment,
    champion: Version,
    *,
    files: Mapping[int, str],
    keep_former: bool,
    salt: str,
) -> Deployment:
    """Return the deployment in which a version has been promoted, with everything else as it is.

    Parameters
    ----------
    files : mapping
        Where the champion's files lie, by its number.
    keep_former : bool
        Whether the former champion is scored on, as a challenger.
    """
    others: Sequence[Version] = [one for one in present.challengers if one.pin != champion.pin]
    lie = {one.pin: present.files[present.number_of(one)] for one in present.challengers}
    lie |= {present.champion.pin: present.files[present.champion.number]}
    lie |= {champion.pin: files[champion.number]} if champion.number in files else {}
    if keep_former and present.champion.pin != champion.pin:
        others = [present.champion, *others]
    # A version of another model may have had a number that is the champion's now, or the other way round.
    numbers = lane_numbers.assigned(champion.pin, [one.pin for one in others])
    paths = {numbers.get(str(one.pin), one.number): lie[one.pin] for one in others}
    wanted = replace(
        present,
        id=deployments.new_id(champion.model),
        champion=champion,
        challengers=tuple(others),
        files={champion.number: lie[champion.pin], **paths},
        lane_numbers=numbers,
        started=datetime.now(UTC).isoformat(timespec="seconds"),
        salt=salt,
        stays={},
        left=(),
        asked=None,
    )
    return succeeding(places, present, wanted)


def _challengers(deployment: Deployment) -> list[deployments.LaneName]:
    lanes = (*deployment.lanes, *deployment.left_lanes)
    return [one for one in lanes if one.role.value == "challenger"]
