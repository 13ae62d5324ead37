from __future__ import annotations

import json

import numpy as np
import pytest

from shadowserve.statistics.slices.row_sample import RowSample


def filled(n_rows, *, batch, most=100):
    sample = RowSample(3, most=most)
    for at in range(0, n_rows, batch):
        rows = np.arange(at, min(at + batch, n_rows))
        members = rows[:, None] % np.array([2, 3, 5]) == 0
        sample.add(rows, members, rows.astype(float))
    return sample


@pytest.mark.parametrize("batch", [1, 64, 5_000])
def test_the_rows_kept_do_not_depend_on_the_batches_they_came_in(batch):
    one, other = filled(5_000, batch=batch), filled(5_000, batch=777)
    assert np.array_equal(one.values, other.values)
    assert np.array_equal(one.members(), other.members())


def test_the_rows_kept_are_drawn_evenly_from_all_that_came():
    sample = filled(100_000, batch=1_000, most=2_000)
    counts = np.histogram(sample.values, bins=10, range=(0, 100_000))[0]
    assert sample.values.size == 2_000
    # Of 2,000 drawn, a tenth of the stream holds 200 with a standard deviation of 13.
    assert np.abs(counts - 200).max() < 60


def test_each_row_keeps_its_own_cells_and_value_through_json():
    sample = filled(5_000, batch=64)
    again = RowSample(3, most=100)
    again.restore(json.loads(json.dumps(sample.state())))
    for kept in (sample, again):
        wanted = kept.values[:, None] % np.array([2, 3, 5]) == 0
        assert np.array_equal(kept.members(), wanted)
    again.append(np.ones((1, 3), dtype=bool), np.ones(1))
    assert again.n == 5_001
