"""One battery over every kind of output and its tally.

The cases say what a kind's outputs look like; the tests say what every kind owes.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shadowserve.divergence import Divergence, Kind, KindTally, Swap, divergence_of, names, tally

numbers = st.one_of(st.integers(-(10**6), 10**6), st.floats(-1e6, 1e6), st.just(1.0))
ids = st.integers(0, 30)
words = st.text(alphabet="ab cä", max_size=12)


def _normalised(weights: list[float]) -> list[float]:
    return [w / sum(weights) for w in weights]


probabilities = st.lists(st.floats(0.001, 1), min_size=3, max_size=3).map(_normalised)


@dataclass(frozen=True)
class Case:
    kind: Kind
    row: st.SearchStrategy[Any]
    sample: tuple[Any, ...] = ()

    def divergence(self) -> Divergence:
        return divergence_of(self.kind, sample=self.sample)


CASES = [
    Case(Kind.NUMBER, numbers),
    Case(Kind.LABEL, st.sampled_from([0, 1, 2])),
    Case(Kind.LABEL, st.sampled_from(["yes", "no"])),
    Case(Kind.PROBABILITY, probabilities),
    Case(Kind.RANKING, st.lists(ids, unique=True, max_size=10)),
    Case(Kind.RANKING, st.lists(words, unique=True, min_size=4, max_size=4)),
    Case(Kind.SET, st.lists(ids, max_size=6)),
    Case(Kind.TEXT, words),
    Case(Kind.VECTOR, st.lists(st.floats(-1e300, 1e300), min_size=8, max_size=8)),
    Case(Kind.MULTI, st.tuples(numbers, st.booleans()).map(list), sample=([0.5, True],)),
    Case(
        Kind.RECORD,
        st.fixed_dictionaries({"score": numbers, "name": words, "ids": st.lists(ids, unique=True)}),
        sample=({"score": 0.5, "name": "a", "ids": [3, 4]},),
    ),
]
ODD = [None, math.nan, math.inf, True, 3, -0.0, 2.5, "3", "", [], [None], [1, "1"], [[1]], {}]
ODD += [
    {"a": 1},
    {"score": None, "name": 3, "ids": None},
    [math.nan, 1.0],
    10**400,
    1.7e308,
    -1.7e308,
    5e-324,
]
FLAGS = (
    "structure",
    "exact",
    "tolerant",
    "nan_mismatch",
    "champion_nonfinite",
    "lane_nonfinite",
)

every_case = pytest.mark.parametrize("case", CASES, ids=lambda c: f"{c.kind}-{CASES.index(c)}")
quickly = settings(max_examples=12, deadline=None)


def _pair(case: Case, data: st.DataObject) -> tuple[list[Any], list[Any]]:
    rows = data.draw(st.lists(st.tuples(case.row, case.row), max_size=8))
    return [a for a, _ in rows], [b for _, b in rows]


def _tallied(divergence: Divergence, champion: list[Any], lane: list[Any]) -> KindTally:
    remembered = tally(divergence)
    remembered.add(champion, lane, divergence.compare(champion, lane))
    return remembered


def test_every_kind_is_in_the_battery() -> None:
    assert {case.kind for case in CASES} == set(Kind)


@every_case
@quickly
@given(data=st.data())
def test_an_output_does_not_diverge_from_itself(case: Case, data: st.DataObject) -> None:
    champion, _ = _pair(case, data)
    found = case.divergence().compare(champion, json.loads(json.dumps(champion)))
    assert all((column == 0).all() for column in found.values.values())
    assert found.exact.all()
    assert found.tolerant.all()
    assert not found.structure.any()
    assert not found.disagreement().any()


@every_case
@quickly
@given(data=st.data())
def test_measures_stay_in_their_range_with_one_number_a_row(
    case: Case, data: st.DataObject
) -> None:
    champion, lane = _pair(case, data)
    divergence = case.divergence()
    found = divergence.compare(champion, lane)
    assert tuple(found.values) == names(divergence)
    assert found.primary == names(divergence)[0]
    for measure in divergence.measures:
        column = found.values[measure.name]
        assert column.shape == (len(champion),)
        assert column.dtype == np.float64
        known = column[~np.isnan(column)]
        assert ((known >= measure.low) & (known <= measure.high)).all()
        assert np.isfinite(known).all()
    for name in FLAGS:
        assert getattr(found, name).shape == (len(champion),)
        assert getattr(found, name).dtype == bool
    assert ((found.disagreement() >= 0) & (found.disagreement() <= 1)).all()


@every_case
def test_the_primary_measure_is_declared_bounded(case: Case) -> None:
    primary = case.divergence().measures[0]
    assert (primary.low, primary.high) == (0, 1)


@every_case
@quickly
@given(data=st.data())
def test_changing_places_does_what_the_measure_declares(case: Case, data: st.DataObject) -> None:
    champion, lane = _pair(case, data)
    divergence = case.divergence()
    there, back = divergence.compare(champion, lane), divergence.compare(lane, champion)
    for measure in divergence.measures:
        a, b = there.values[measure.name], back.values[measure.name]
        if measure.swap is Swap.SAME:
            np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)
        elif measure.swap is Swap.SIGN:
            np.testing.assert_allclose(a, -b, rtol=1e-9, atol=1e-12)
    assert (there.exact == back.exact).all()
    assert (there.structure == back.structure).all()
    assert sum(there.kind_of_structure.values()) == sum(back.kind_of_structure.values())


@every_case
@quickly
@given(data=st.data())
def test_a_row_does_not_depend_on_its_neighbours(case: Case, data: st.DataObject) -> None:
    champion, lane = _pair(case, data)
    champion, lane = [*champion, None, "x"], [*lane, 3, "x"]
    together = case.divergence().compare(champion, lane)
    for i in range(len(champion)):
        alone = case.divergence().compare([champion[i]], [lane[i]])
        assert alone.exact[0] == together.exact[i]
        assert alone.structure[0] == together.structure[i]
        for name, column in together.values.items():
            np.testing.assert_allclose(column[i], alone.values[name][0], rtol=1e-12, atol=1e-12)


@every_case
@quickly
@given(data=st.data())
def test_a_null_on_one_side_is_a_category_of_its_own_and_no_number(
    case: Case, data: st.DataObject
) -> None:
    value, null = (
        data.draw(case.row),
        data.draw(st.sampled_from([None, math.nan, np.float32("nan")])),
    )
    found = case.divergence().compare([value, null, null], [null, value, None])
    assert found.nan_mismatch.tolist() == [True, True, False]
    assert found.lane_nonfinite.tolist() == [True, False, True]
    assert found.champion_nonfinite.tolist() == [False, True, True]
    assert found.exact.tolist() == [False, False, True]
    assert found.disagreement().tolist() == [1, 1, 0]
    assert not found.structure.any()
    for column in found.values.values():
        assert np.isnan(column[:2]).all()
        assert column[2] == 0


@every_case
def test_answers_of_different_length_are_a_difference_of_structure(case: Case) -> None:
    row = case.sample[0] if case.sample else 1
    for champion, lane in ([row, row], [row]), ([row], [row, row]), ([], [row]), ([row], []):
        found = case.divergence().compare(champion, lane)
        assert found.structure.tolist() == [True] * len(champion)
        assert found.disagreement().tolist() == [1.0] * len(champion)
        assert not found.exact.any()
        assert set(found.kind_of_structure) == {(f"{len(champion)} rows", f"{len(lane)} rows")}
        json.dumps(_tallied(case.divergence(), champion, lane).summary(), allow_nan=False)


@every_case
@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_no_output_however_odd_breaks_the_comparison(case: Case, data: st.DataObject) -> None:
    odd = st.one_of(case.row, st.sampled_from(ODD))
    rows = data.draw(st.lists(st.tuples(odd, odd), min_size=1, max_size=6))
    champion, lane = [a for a, _ in rows], [b for _, b in rows]
    divergence = case.divergence()
    found = divergence.compare(champion, lane)
    assert not (found.exact & (found.structure | found.nan_mismatch)).any()
    assert not (found.exact & ~found.tolerant).any()
    assert (found.disagreement()[found.exact] == 0).all()
    assert not np.isnan(found.disagreement()).any()
    json.dumps(_tallied(divergence, champion, lane).summary(), allow_nan=False)


@every_case
@quickly
@given(data=st.data())
def test_a_tally_goes_on_from_its_saved_state(case: Case, data: st.DataObject) -> None:
    champion, lane = _pair(case, data)
    divergence = case.divergence()
    before = _tallied(divergence, champion, lane)
    after = KindTally.from_state(json.loads(json.dumps(before.state(), allow_nan=False)))
    assert after.of is before.of
    assert after.summary() == before.summary()
    assert after.state() == before.state()
    for it in (before, after):
        it.add(lane, champion, divergence.compare(lane, champion))
    _assert_close(after.summary(), before.summary())


@every_case
def test_the_summary_of_nothing_is_finite_json(case: Case) -> None:
    empty = _tallied(case.divergence(), [], [])
    text = json.dumps(empty.summary(), allow_nan=False)
    assert json.loads(text)["agreement"]["n"] == 0


def _assert_close(found: Any, expected: Any, path: str = "") -> None:
    if isinstance(expected, dict):
        assert found.keys() == expected.keys(), path
        for key, value in expected.items():
            _assert_close(found[key], value, f"{path}/{key}")
    elif isinstance(expected, list):
        assert len(found) == len(expected), path
        for i, value in enumerate(expected):
            _assert_close(found[i], value, f"{path}/{i}")
    elif isinstance(expected, float) and not isinstance(found, bool) and found is not None:
        scale = max(abs(expected), abs(found))
        assert abs(found - expected) <= 1e-9 + 1e-6 * scale, (path, found, expected)
    else:
        assert found == expected, path
