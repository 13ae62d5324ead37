"""A batch's prediction is cut into what each request would have been answered alone."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
from hypothesis import given
from hypothesis import strategies as st

from shadowserve.errors import AlignmentError
from shadowserve.wire import answer, split

FRAME = pd.DataFrame({"a": [1, 2, 3], "b": ["x", "y", "z"]})


@pytest.mark.parametrize(
    "batch",
    [
        np.array([1, 2, 3]),
        np.array([[1, 2], [3, 4], [5, 6]]),
        [1, 2, 3],
        (1, 2, 3),
        [[1], [2, 3], []],
        FRAME,
        FRAME["b"],
        pd.Index([1, 2, 3]),
        pd.array([1, None, 3], dtype="Int64"),
        {"a": np.array([1, 2, 3]), "b": ["x", "y", "z"]},
        [np.array([1.0]), np.array([2.0]), np.array([3.0])],
    ],
    ids=lambda batch: type(batch).__name__,
)
def test_parts_answer_as_the_whole_does(batch):
    parts = split(batch, [1, 2])
    assert len(parts) == 2
    whole = split(batch, [3])[0]
    assert whole is batch
    if isinstance(batch, dict):
        assert answer(parts[1]) == answer({"a": [2, 3], "b": ["y", "z"]})
        return
    joined = [
        value
        for part in parts
        for value in list(part.itertuples() if isinstance(part, pd.DataFrame) else part)
    ]
    assert len(joined) == 3


@pytest.mark.parametrize("k", [2, 3, 5])
def test_a_matrix_a_row_is_cut_by_row_also_where_a_batch_has_as_many_rows_as_a_matrix(k):
    """Each caller gets the matrix of its own row, not a line of everybody's."""
    for n_rows in (2, 3, 5):
        batch = [np.full((k, 2), row) for row in range(n_rows)]
        for row, (part,) in enumerate(split(batch, [1] * n_rows)):
            assert part.tolist() == [[row, row]] * k


@pytest.mark.parametrize("k", [2, 3, 5])
def test_what_is_known_to_answer_an_array_an_output_is_cut_within_each(k):
    batch = [np.arange(3.0)[:, None] + output for output in range(k)]
    first, second = split(batch, [1, 2], multi_output=True)
    assert [part.tolist() for part in first] == [[[0.0 + output]] for output in range(k)]
    assert [len(part) for part in second] == [2] * k


@pytest.mark.parametrize(
    "batch", [np.ones((3, 2)), [np.ones((2, 2))], [[1, 2, 3]], [np.ones(3)], []]
)
def test_what_is_known_to_answer_an_array_an_output_and_does_not_is_refused(batch):
    with pytest.raises(AlignmentError, match="3 rows"):
        split(batch, [1, 2], multi_output=True)


def test_a_frame_counts_its_rows_from_zero_again():
    _, second = split(FRAME, [1, 2])
    pd.testing.assert_frame_equal(second, pd.DataFrame({"a": [2, 3], "b": ["y", "z"]}))


def test_a_sparse_matrix_is_cut_by_row():
    _, second = split(scipy.sparse.csc_matrix([[1, 0], [0, 2], [3, 0]]), [1, 2])
    np.testing.assert_array_equal(second.toarray(), [[0, 2], [3, 0]])


@pytest.mark.parametrize(
    "batch",
    [np.array([1, 2]), [1, 2, 3, 4], "abc", 3.5, None, np.array(3), FRAME[:2], {"a": [1, 2]}, {}],
)
def test_another_number_of_entries_than_rows_is_refused(batch):
    with pytest.raises(AlignmentError, match="3 rows"):
        split(batch, [1, 2])


@pytest.mark.parametrize("prediction", ["one text for all", 3.5, {"total": 1}, None])
def test_a_lone_request_gets_whatever_the_model_said(prediction):
    assert split(prediction, [5]) == [prediction]


@given(st.lists(st.integers(1, 5), min_size=1, max_size=6))
def test_no_entry_is_lost_or_moved(lengths):
    batch = np.arange(sum(lengths))
    parts = split(batch, lengths)
    assert [len(part) for part in parts] == lengths
    np.testing.assert_array_equal(np.concatenate(parts), batch)
