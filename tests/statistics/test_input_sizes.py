from __future__ import annotations

import json

import numpy as np
import pytest

from shadowserve.statistics.input_sizes import SizeCounts, sizes


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.array(["abc", "", None], dtype=object), [3, 0, 0]),
        (np.array(["abc", "de"]), [3, 2]),
        (np.array([b"ab", float("nan")], dtype=object), [2, 0]),
        (np.array([[1, 2, 3], [4, 5, 6]]), [3, 3]),
        (np.array([1.0, 2.0]), None),
        (np.array([True, False]), None),
        (np.array([None, 3], dtype=object), None),
    ],
)
def test_size_is_characters_bytes_or_items(values, expected):
    found = sizes(values)
    assert (found if found is None else found.tolist()) == expected


def test_size_of_lists_is_their_items():
    values = np.empty(2, dtype=object)
    values[:] = [[1, 2], np.zeros(5)]
    assert sizes(values).tolist() == [2, 5]


def test_size_counts_round_trip_and_tell_quantiles():
    rng = np.random.default_rng(0)
    whole = SizeCounts()
    a, b = rng.integers(0, 10_000, 500), rng.integers(0, 100, 500)
    whole.add(a)
    whole.add(b)
    assert SizeCounts.from_state(json.loads(json.dumps(whole.state()))).state() == whole.state()
    exact = np.quantile(np.concatenate([a, b]), 0.9)
    assert exact <= whole.quantile(0.9) * 1.001
    assert whole.quantile(0.9) <= 1.1 * exact
    assert np.isnan(SizeCounts().quantile(0.5))
