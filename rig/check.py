"""Sides of a check as a trial would have told them."""

from __future__ import annotations

from dataclasses import replace

from shadowserve.check import Side, Trial
from shadowserve.check.trial import Passage
from shadowserve.versions.training import TrainingData
from shadowserve.versions.version import Version

VERSION = Version(
    model="films",
    number=3,
    created="2026-01-01T00:00:00+00:00",
    signature={"inputs": [], "outputs": [], "params": None},
    training_data=(TrainingData("events"),),
)
PASSAGE = Passage(n_rows=2, kind="number", answers=[1.0, 2.5])
TRIAL = Trial(
    columns=[["a", "double", True], ["b", "string", False]],
    steps=[{"name": "scale", "columns": ["a"], "kind": "featurization", "n_jobs": None}],
    own=PASSAGE,
    champion=PASSAGE,
)


def side(number=3, *, version=None, **changes):
    known = replace(VERSION, number=number, **(version or {}))
    return Side(known, replace(TRIAL, **changes))
