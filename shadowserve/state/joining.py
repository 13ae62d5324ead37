"""Joining and leaving: a deployment with one challenger more or less, and where in the journal one begins.

What is written is the deployment's file alone, whole or not at all: that instant a challenger has joined or left.
Its lane's file lies there before, with the requests that came before it behind its cursor.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import replace

from shadowserve.journal import beginning, reader
from shadowserve.state import counters, lane_numbers
from shadowserve.state.deployment import Deployment, LaneName
from shadowserve.state.family import was_tried
from shadowserve.state.lane_file import LaneState
from shadowserve.state.places import Places
from shadowserve.state.stays import Left, Stay
from shadowserve.versions.version import Version

NOW = "now"
START = "start"


def joined(
    deployment: Deployment, version: Version, *, path: str, at: str, isolated: bool = False
) -> Deployment:
    """Return a deployment with one challenger more, at a place that no judged one has.

    Parameters
    ----------
    path : str
        Where its files lie.
    at : str
        UTC, ISO 8601.
    isolated : bool
        Whether it runs in an environment of its own, whatever an earlier stay of it did.
    """
    settled = _settled(deployment)
    taken = [stay.place for stay in settled.stays.values()]
    taken += [one.stay.place for one in settled.left if one.tried]
    came = [*(one.version.pin for one in settled.left), *(one.pin for one in settled.challengers)]
    numbers = lane_numbers.assigned(
        settled.champion.pin, [*came, version.pin], known=settled.lane_numbers
    )
    number = numbers.get(str(version.pin), version.number)
    before = sum(settled.number_of(one.version) == number for one in settled.left)
    stay = Stay(place=max(taken, default=0) + 1, number=before + 1, joined=at)
    return replace(
        settled,
        challengers=(*settled.challengers, version),
        files={**settled.files, number: path},
        stays={**settled.stays, number: stay},
        lane_numbers=numbers,
        options=settled.options.isolating(version.pin, isolated),
    )


def without(places: Places, deployment: Deployment, challenger: int, *, at: str) -> Deployment:
    """Return a deployment that a challenger, named by its lane's number, has left.

    Raises
    ------
    LookupError
        If it is none of its challengers.
    """
    settled = _settled(deployment)
    version = next(one for one in settled.challengers if settled.number_of(one) == challenger)
    tried = was_tried(places, settled, settled.lane_of(challenger))
    gone = Left(version, settled.stays[challenger], at=at, tried=tried)
    return replace(
        settled,
        challengers=tuple(one for one in settled.challengers if one != version),
        files={number: path for number, path in settled.files.items() if number != challenger},
        stays={number: stay for number, stay in settled.stays.items() if number != challenger},
        left=(*settled.left, gone),
    )


def _settled(deployment: Deployment) -> Deployment:
    """Freeze each challenger's place, and remember what the command line had asked for."""
    numbers = deployment.numbers
    return replace(
        deployment,
        stays={number: deployment.stay_of(number) for number in numbers},
        asked=numbers if deployment.asked is None else deployment.asked,
    )


def begin(places: Places, name: LaneName, *, after: Mapping[int, int]) -> None:
    """Make the file of a lane that joins behind some sequences, by worker; what an aborted try left goes."""
    lane = places.lane(name.role, name.version, name.stay)
    shutil.rmtree(lane.root, ignore_errors=True)
    lane.make()
    state = LaneState(lane.state)
    try:
        state.join(after)
    finally:
        state.close()


def place_to_begin(places: Places, since: str | int) -> dict[int, int]:
    """Return behind which sequence of each worker a newcomer begins.

    Parameters
    ----------
    since : "now", "start" or int
        With what comes from now on, with the oldest that the journal holds, or with what arrived at that many
        nanoseconds since the epoch or later.
    """
    reach = reader.extent(places.journal).last
    ends = {worker: counters.read(path).sequence for worker, path in places.all_counters().items()}
    for worker, end in reach.items():
        ends[worker] = max(end, ends.get(worker, 0))
    if since == NOW:
        return {worker: end for worker, end in ends.items() if end}
    arrived_ns = 0 if since == START else int(since)
    found = {
        worker: beginning.first_since(places.journal, worker, arrived_wall_ns=arrived_ns)
        for worker in ends
    }
    begins = {w: end if (first := found[w]) is None else first - 1 for w, end in ends.items()}
    return {worker: begin for worker, begin in begins.items() if begin}
