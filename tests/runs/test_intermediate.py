"""What a step makes of a request, told in bounded JSON-able values."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from rig.scoring import body, native, opaque, pipeline, record
from shadowserve.runs import intermediate as told_by
from shadowserve.runs.intermediate import described, intermediate
from shadowserve.runs.replay import _compared
from shadowserve.schema.rows import Rows
from shadowserve.scorer.scorer import Scorer
from shadowserve.wire.protocols import protocols


def rows(scorer: Scorer, *numbers: int) -> Rows:
    sent = body(*(record(n) for n in numbers or (5,)))
    return dict(protocols("films", 3))["invocations"].parse(
        sent, "application/json", scorer.schema
    )[0]


def test_every_step_of_the_walk_is_told_by_the_names_of_its_features():
    scorer = native(pipeline())
    found = intermediate(scorer, rows(scorer))
    assert list(found) == [name for name, _ in scorer.step_names]
    words = next(told for step, told in found.items() if step.endswith("words"))
    names = {name for _, name, _ in words["values"]}
    assert names <= {"red", "blue", "green", "gold"}
    assert names


def test_the_last_step_gives_what_the_version_answers_and_watching_changes_nothing():
    scorer = native(pipeline())
    given = rows(scorer, 5, 6, 7)
    before = np.asarray(scorer.score(given).output)
    found = intermediate(scorer, given)
    last = [value for _, _, value in list(found.values())[-1]["values"]]
    assert last == before.tolist() == np.asarray(scorer.score(given).output).tolist()


def test_a_version_that_is_called_as_a_whole_has_no_steps_to_tell():
    scorer = opaque(lambda frame, params=None: frame["age"])
    assert intermediate(scorer, rows(scorer)) == {}


@pytest.mark.parametrize(
    ("output", "shape", "values"),
    [
        (sparse.csr_matrix([[0, 2.5], [1.0, 0]]), [2, 2], [[0, 1, 2.5], [1, 0, 1.0]]),
        (pd.DataFrame({"a": [0.0], "b": [3]}), [1, 2], [[0, "b", 3.0]]),
        (np.array(["no", "yes"]), [2], [[0, 0, "no"], [1, 0, "yes"]]),
        (pd.Series([True, False]), [2], [[0, 0, 1.0]]),
        (np.zeros((2, 3, 4)), [2, 3, 4], []),
        (np.float64(1.5), [], [[0, 0, 1.5]]),
        (np.empty((0, 3)), [0, 3], []),
        ([["a"], ["b", "c"]], None, None),
    ],
)
def test_whatever_a_step_gives_is_told(output, shape, values):
    if shape is None:  # a ragged list is no array
        output = np.array(output, dtype=object)
        assert described(output)["shape"] == [2]
        return
    told = described(output)
    assert (told["shape"], told["values"], told["left_out"]) == (shape, values, 0)


def test_what_is_told_is_bounded(monkeypatch):
    monkeypatch.setattr(told_by, "MOST_VALUES", 10)
    told = described(np.ones((1, 50)))
    assert (len(told["values"]), told["left_out"]) == (10, 40)
    (only,) = described(np.array(["x" * 10_000 + "\x1b[2J\u202e"]))["values"]
    assert len(only[2]) <= told_by.LONGEST_TEXT + 1
    assert only[2].isprintable()


def test_names_that_do_not_fit_the_output_are_not_told():
    assert described(np.array([[1.0, 2.0]]), ["one"])["values"] == [[0, 0, 1.0], [0, 1, 2.0]]


def test_steps_are_compared_by_feature_and_not_by_place():
    """Two vocabularies lay the same word at different places."""
    a = described(np.array([[1.0, 0.0, 2.0]]), ["blue", "gold", "red"])
    b = described(np.array([[2.0, 1.0]]), ["red", "blue"])
    assert _compared(a, b) == {"same": True, "apart": 0, "of": 2, "largest": 0.0}
    c = described(np.array([[2.0, 4.0]]), ["red", "blue"])
    assert _compared(a, c) == {"same": False, "apart": 1, "of": 2, "largest": 3.0}


def test_last_bits_are_the_same_and_nan_is_nan():
    a, b = (described(np.array([value, np.nan])) for value in (0.1 + 0.2, 0.3))
    assert _compared(a, b)["same"]
    assert not _compared(a, described(np.array([0.3, 0.0])))["same"]


def test_a_step_of_one_version_alone_is_neither_same_nor_apart():
    assert _compared(None, described(np.array([1.0])))["same"] is None
