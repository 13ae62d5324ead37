"""Standing still is counted in the time of whoever looks."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from shadowserve.host.pulse import MOMENT_S, Pulse

PAUSES = st.lists(st.floats(0.0, 1e6), min_size=1, max_size=50)


@given(PAUSES)
def test_a_looker_that_was_stopped_itself_counts_a_moment(pauses):
    now = [0.0]
    pulse = Pulse(clock=lambda: now[0])
    pulse.still_s("beat")
    for pause in pauses:
        now[0] += pause
        still_s = pulse.still_s("beat")
    assert still_s <= MOMENT_S * len(pauses) + 1e-6
    assert still_s >= min(MOMENT_S, max(pauses)) - 1e-6


@given(PAUSES)
def test_whatever_beats_never_stands_still(pauses):
    now = [0.0]
    pulse = Pulse(clock=lambda: now[0])
    for beat, pause in enumerate(pauses):
        now[0] += pause
        assert pulse.still_s(beat) == 0.0
