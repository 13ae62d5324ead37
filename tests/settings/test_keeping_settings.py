"""How much of the past is kept is read without a guess."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shadowserve.settings.keeping import Keep, keep


@given(st.none() | st.floats(0.001, 1e9), st.none() | st.integers(1, 2**50))
def test_what_is_spelled_is_read_again(age_s, n_bytes):
    if age_s is None and n_bytes is None:
        return
    asked = Keep(age_s, n_bytes)
    if age_s is None or "e" not in repr(age_s):
        assert keep(asked.spelled) == asked


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("7d", Keep(604_800.0, None)),
        ("50GiB", Keep(None, 50 * 2**30)),
        ("50 GB, 2w", Keep(1_209_600.0, 50 * 10**9)),
        ("off", None),
        (False, None),
        (None, None),
    ],
)
def test_a_duration_a_size_or_both_are_read(text, found):
    assert keep(text) == found


@pytest.mark.parametrize(
    "text",
    ["7", 7, "7d,", "7x", "", "for ever", "7d,50GiB,1d", "7d,8d", "0d", "-1d", "1GiB,2GiB", True],
)
def test_what_could_mean_two_things_is_refused(text):
    with pytest.raises(ValueError, match="Write"):
        keep(text)


def test_it_is_said_as_people_say_it():
    assert str(Keep(604_800.0, 2**30)) == "for 7 days, at most 1GiB"
