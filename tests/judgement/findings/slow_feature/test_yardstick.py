"""A step is compared with the same work, else with the parts at its place."""

from __future__ import annotations

import numpy as np
import pytest

from rig.slow_steps import (
    WORDS,
    put,
    put_whole,
    slow,
)
from shadowserve.comparison.timing import RoleTiming, StepTiming
from shadowserve.judgement.findings.slow_feature.yardstick import ways_apart, yardstick


def test_a_step_of_another_class_is_compared_with_all_that_lies_at_its_place(known):
    """A classifier of the same columns, or the same name, is not the same work."""
    put(known.learned, "lane", np.full(150, 30.0))
    known.learned.made_of = {WORDS: "theirs.Embedding"}
    known.control.made_of = {WORDS: "sklearn.feature_extraction.text.CountVectorizer"}
    for name in ("columns/scale", WORDS, "model"):
        known.control.lane.steps[name] = StepTiming(("title",))
        ones = np.ones(150)
        known.control.lane.steps[name].add(np.full(150, 5.0), ones, ones, {})
    found = yardstick(known, known.learned, WORDS)
    assert (found.kind, len(found.steps)) == ("parts", 2)
    assert found.median_ms == pytest.approx(10.0, rel=0.05)
    known.control.made_of = dict(known.learned.made_of)
    assert yardstick(known, known.learned, WORDS).kind == "same"


def test_a_container_that_cannot_be_looked_into_is_compared_with_the_parts_it_stands_for(known):
    """It takes as long as the champion's parts together, and the whole is as fast: no finding."""
    for learned in (known.learned, known.control):
        learned.lane = RoleTiming({})
        put_whole(learned, np.full(150, 41.0))
    ones = np.ones(150)
    known.learned.lane.steps["columns"] = StepTiming(("age", "title"))
    known.learned.lane.steps["columns"].add(np.full(150, 40.0), ones, ones, {})
    for name, ms in (("columns/scale", 20.0), (WORDS, 20.0), ("model", 1.0)):
        columns = ("age", "title") if name == "model" else ("title",)
        known.control.lane.steps[name] = StepTiming(columns)
        known.control.lane.steps[name].add(np.full(150, ms), ones, ones, {})
    found = yardstick(known, known.learned, "columns")
    assert (found.kind, found.median_ms) == ("parts", pytest.approx(40.0, rel=0.05))
    assert slow(known) == []


def test_parameters_that_only_change_how_a_version_runs_are_named_as_the_cause(known):
    known.learned.ways = {"columns__n_jobs": "2"}
    assert "columns__n_jobs (2, the champion's not set)" in ways_apart(known)
    known.control.ways = {"columns__n_jobs": "2"}
    assert ways_apart(known) == ""
