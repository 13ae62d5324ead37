"""How many rows share a call: more while calls are quick, fewer at once where they are not."""

from __future__ import annotations

import pytest

from shadowserve.lane import batch_size
from shadowserve.lane.batch_size import CLEAN_CALLS, FIRST_ROWS, MOST_ROWS, BatchSize


def test_calls_that_stay_quick_grow_to_the_most_rows():
    size = BatchSize()
    seen = []
    for _ in range(8):
        seen.append(size.rows(alone_ms=5.0))
        size.took(seen[-1], 20.0)
    assert seen[:4] == [FIRST_ROWS, 2 * FIRST_ROWS, 4 * FIRST_ROWS, MOST_ROWS]
    assert seen[-1] == MOST_ROWS


def test_a_call_that_took_long_makes_the_next_small_enough_at_once():
    size = BatchSize()
    for _ in range(8):
        size.took(size.rows(alone_ms=1.0), 20.0)
    size.took(MOST_ROWS, 10_240.0)  # 20 ms a row
    assert size.rows(alone_ms=1.0) == 50


def test_a_last_short_batch_does_not_let_the_size_grow():
    size = BatchSize()
    for _ in range(20):
        size.took(3, 1.0)
    assert size.rows(alone_ms=0.0) == FIRST_ROWS


def test_after_a_death_the_size_begins_small_and_grows_back_slowly():
    size = BatchSize(after_death=True)
    first = size.rows(alone_ms=0.0)
    for _ in range(CLEAN_CALLS - 1):
        size.took(first, 1.0)
    assert size.rows(alone_ms=0.0) == first < FIRST_ROWS
    size.took(first, 1.0)
    assert size.rows(alone_ms=0.0) == 2 * first


@pytest.mark.parametrize(("peak", "rows"), [(50, 2 * FIRST_ROWS), (80, FIRST_ROWS // 2)])
def test_a_call_that_held_too_much_memory_halves_the_size_for_good(monkeypatch, peak, rows):
    held = iter([10, peak, *[peak] * 20])
    monkeypatch.setattr(batch_size, "peak_bytes", lambda: next(held))
    size = BatchSize(memory_bytes=100)
    size.took(FIRST_ROWS, 1.0)
    assert size.rows(alone_ms=0.0) == rows
    if peak == 80:
        for _ in range(10):
            size.took(size.rows(alone_ms=0.0), 1.0)
        assert size.rows(alone_ms=0.0) == rows
