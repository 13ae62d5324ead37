"""A step that gets slow on long inputs is named with its column, unless the champion's does too."""

from __future__ import annotations

import numpy as np
import pytest

from rig.slow_steps import (
    WORDS,
    grown,
    put,
    slow,
    untimed_champion,
)
from shadowserve.judgement.findings import Severity


def test_growth_waits_until_the_champion_was_timed(known):
    known = grown(known, exponent=1.0, per_unit=0.05)
    assert "exponent" not in [
        one.effect.measure for one in slow(untimed_champion(known, np.full(60, 0.2)))
    ]


def test_a_step_whose_time_grows_faster_than_its_input_is_named_with_its_column(known):
    [one] = slow(grown(known, exponent=2.0))
    assert (one.where.step, one.where.columns) == (WORDS, ("title",))
    assert one.effect.value == pytest.approx(2.0, abs=0.25)
    assert one.severity.is_alarm


def test_a_step_whose_time_grows_by_little_as_its_input_does_is_no_finding(known):
    assert slow(grown(known, exponent=1.0)) == []


def test_a_cold_cache_that_lives_on_in_rare_sizes_is_no_growth(known):
    """Long titles are one in ten: their latest 48 timings reach back into the slow beginning."""
    n = 200
    sizes = np.where(np.arange(n) % 10 == 0, 12, 5)
    cold = np.arange(n) < 80
    put(known.learned, "lane", np.where(cold, 25.0, 0.2), sizes)
    put(known.control, "lane", np.full(n, 0.2), sizes)
    assert slow(known) == []


def test_a_step_that_is_slow_in_proportion_to_its_input_is_named_where_the_champions_is_not(known):
    [one] = slow(grown(known, exponent=1.0, per_unit=0.05))
    assert (one.where.step, one.where.columns) == (WORDS, ("title",))
    assert one.effect.value == pytest.approx(1.0, abs=0.25)
    assert one.severity.is_alarm


def test_what_the_champions_step_does_as_well_is_no_alarm(known):
    assert slow(grown(known, exponent=1.0, per_unit=0.05, theirs=1.0)) == []


def test_a_champion_that_is_as_bad_makes_steep_growth_a_note_that_says_so(known):
    [one] = slow(grown(known, exponent=2.0, per_unit=1e-3, theirs=1.0))
    assert one.severity is Severity.NOTE
    assert "the control's step does the same" in one.message.lower()
