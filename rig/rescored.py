"""Recorded requests fed to a rescoring of their own, and scored there by a steady lane."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from rig.deployment import CHALLENGER, CONTROL, deployment, made
from rig.lane import close, lane, work
from shadowserve.journal import reader
from shadowserve.rescoring.asked import Asked
from shadowserve.rescoring.feeding import feed
from shadowserve.scorer.scorer import Scorer
from shadowserve.state import deployment as deployments
from shadowserve.state.deployment import Deployment
from shadowserve.state.places import Places


def rescoring(
    root: Path, asked: Asked, *, of: Deployment | None = None
) -> tuple[Places, Deployment]:
    """Return the directory of a rescoring that has not begun, and what it scores."""
    places = made(root, CHALLENGER, CONTROL)
    known = of or deployment()
    wanted = replace(known, options=replace(known.options, rescored=asked.source))
    deployments.write(places, wanted)
    asked.write(places)
    return places, wanted


def fed(root: Path, asked: Asked, *, of: Deployment | None = None) -> Places:
    """Return a rescoring whose journal holds all that is asked for."""
    places, wanted = rescoring(root, asked, of=of)
    feed(places, wanted, asked)
    return places


def journaled(places: Places) -> Asked:
    """Ask for all that a state directory's journal holds."""
    asked = Asked("journal", str(places.root))
    return asked.of(asked.open(None))


def scored(places: Places, challenger: Scorer, **options: Any) -> Places:
    """Let a steady lane score all that was fed."""
    work(places, challenger, steady=True, **options)
    return places


def killed_at(places: Places, challenger: Scorer, *, after: int) -> None:
    """Let a steady lane score until it has committed so many, and end its process as a kill does."""
    one = lane(places, challenger, steady=True)
    goal = sum(reader.extent(places.journal).last.values())
    one.take_up()
    while min(after, goal) > sum(one.parts.state.cursor().values()):
        one.turn()
    # What is scored and not committed goes with the process; nothing is flushed.
    close(one)
