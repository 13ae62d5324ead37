"""How many rows share a call: never more than the version is known to take, and as many as are quick."""

from __future__ import annotations

import pytest

from shadowserve.serving.call_size import CALL_NS, FIRST_ROWS, MOST_BYTES, MOST_ROWS, CallSize


def most(size):
    return max(rows for rows in range(1, 2 * MOST_ROWS) if size.takes(rows, 1))


def test_calls_that_are_quick_grow_to_the_most_rows():
    size = CallSize(known=True)
    assert most(size) == FIRST_ROWS
    size.took(FIRST_ROWS, 1_000_000)
    assert most(size) == MOST_ROWS


def test_calls_grow_to_as_many_rows_as_their_pace_allows():
    """Of a model with 5 ms a call and 50 us a row, calls of 20 ms hold 300 rows."""
    size = CallSize(known=True)
    for _ in range(30):
        rows = most(size)
        size.took(rows, 5_000_000 + 50_000 * rows)
    assert most(size) == pytest.approx(300, abs=2)


@pytest.mark.parametrize("row_ns", [CALL_NS // FIRST_ROWS, 10**9])
def test_rows_that_cost_much_keep_calls_small_and_no_smaller(row_ns):
    size = CallSize(known=True)
    size.took(FIRST_ROWS, FIRST_ROWS * row_ns)
    assert most(size) == FIRST_ROWS


def test_slow_calls_halve_the_next_ones_down_to_the_first_rows():
    size = CallSize(known=True)
    size.took(FIRST_ROWS, 1)
    found = []
    for _ in range(4):
        size.took(most(size), 100 * CALL_NS)
        found.append(most(size))
    assert found == [256, 128, 64, 64]


def test_a_small_call_says_nothing_of_a_large_one():
    size = CallSize(known=True)
    size.took(FIRST_ROWS, 1)
    size.took(1, CALL_NS)
    assert most(size) == MOST_ROWS


def test_unknown_code_never_sees_more_rows_than_it_was_tried_with():
    size = CallSize(known=False)
    size.took(FIRST_ROWS, 1)
    assert most(size) == FIRST_ROWS


def test_large_bodies_keep_calls_to_the_first_rows():
    size = CallSize(known=True)
    size.took(FIRST_ROWS, 1)
    assert size.takes(FIRST_ROWS + 1, MOST_BYTES)
    assert not size.takes(FIRST_ROWS + 1, MOST_BYTES + 1)
    assert size.takes(FIRST_ROWS, 10 * MOST_BYTES)


def test_a_smaller_limit_holds_from_the_first_call():
    assert most(CallSize(most=8, known=True)) == 8
