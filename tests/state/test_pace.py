"""Fewer calls where MLflow asks for fewer (SS-068): windows widen, step by step, and narrow again."""

from __future__ import annotations

import pytest

from shadowserve.state.pace import EASE_S, WIDEST, Pace, factor


class Time:
    """A clock that stands until it is moved."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_each_refusal_doubles_up_to_the_widest_and_peace_halves(tmp_path):
    time = Time()
    pace = Pace(tmp_path / "wider", clock=time)
    assert (pace.slowed, factor(tmp_path / "wider")) == (False, 1)
    seen = []
    for _ in range(6):
        pace.refused()
        seen.append(factor(tmp_path / "wider"))
    assert seen == [2, 4, 8, WIDEST, WIDEST, WIDEST]
    pace.taken()
    assert pace.factor == WIDEST  # one good answer is no peace
    for expected in (8, 4, 2, 1, 1):
        time.now += EASE_S
        pace.taken()
        assert factor(tmp_path / "wider") == pace.factor == expected
    assert not list(tmp_path.iterdir())


def test_the_next_process_goes_on_at_the_pace_of_the_last(tmp_path):
    Pace(tmp_path / "wider").refused()
    assert Pace(tmp_path / "wider").slowed


@pytest.mark.parametrize(("text", "told"), [("", 1), ("x", 1), ("0", 1), ("-3", 1), ("900", 16)])
def test_what_is_no_pace_changes_nothing_much(tmp_path, text, told):
    (tmp_path / "wider").write_text(text)
    assert factor(tmp_path / "wider") == told


def test_a_pace_that_cannot_be_told_stops_nobody(tmp_path):
    pace = Pace(tmp_path / "missing" / "wider")
    pace.refused()
    assert pace.slowed
