"""Starvation is taken out of times, and nothing else is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shadowserve.lane.clean_times import Clean, without_starvation
from shadowserve.scorer.scorer import Scored
from shadowserve.steps import InnerStep


@given(
    steps=st.lists(st.tuples(st.integers(0, 10**9), st.integers(0, 10**9)), max_size=6),
    starved=st.integers(0, 10**10),
)
def test_starvation_is_taken_out_of_waiting_never_of_work(steps, starved):
    wall = [cpu + gap for cpu, gap in steps]
    cpu = [cpu for cpu, _ in steps]
    left = without_starvation(wall, cpu, starved)
    assert all(c <= one <= w for c, one, w in zip(cpu, left, wall, strict=True))
    taken = sum(wall) - sum(left)
    assert taken == pytest.approx(min(starved, sum(wall) - sum(cpu)), abs=len(steps) + 1)


def scored(*, wall, cpu, total, total_cpu, inner=()):
    """A call of some steps; the last is inference."""
    return Scored(None, wall, cpu, total - wall[-1], wall[-1], tuple(inner), total_cpu_ns=total_cpu)


def test_starvation_is_taken_out_of_named_parts_as_out_of_their_step():
    """A part that was starved all the while would sum to a multiple of the whole."""
    part = InnerStep("predict/look_up", ("city",), wall_ns=90, cpu_ns=10, calls=1)
    own = Clean.of(scored(wall=(100,), cpu=(20,), total=100, total_cpu=20, inner=[part]), 80)
    assert own.wall_ns == (20,)
    assert own.inner == (("predict/look_up", ("city",), 10, 10),)
    assert own.total_ns == 20


def test_starvation_between_steps_is_taken_out_of_the_whole():
    own = Clean.of(scored(wall=(10, 20), cpu=(10, 20), total=1_030, total_cpu=31), 990)
    assert own.wall_ns == (10, 20)
    assert own.total_ns == 40


@given(
    steps=st.lists(
        st.tuples(*[st.integers(0, 10**9)] * 2, st.floats(0, 1)), min_size=1, max_size=5
    ),
    between=st.tuples(st.integers(0, 10**9), st.integers(0, 10**9)),
    starved=st.integers(0, 10**10),
)
def test_named_parts_lie_within_their_step_and_steps_within_the_whole(steps, between, starved):
    wall = tuple(cpu + gap for cpu, gap, _ in steps)
    cpu = tuple(cpu for cpu, _, _ in steps)
    parts = [
        InnerStep(f"s{n}/part", (), int(share * gap) + int(share * cpu), int(share * cpu), 1)
        for n, (cpu, gap, share) in enumerate(steps)
    ]
    own = Clean.of(
        scored(
            wall=wall, cpu=cpu, inner=parts, total=sum(wall) + sum(between),
            total_cpu=sum(cpu) + between[0],
        ),
        starved,
    )  # fmt: skip
    assert sum(own.wall_ns) <= own.total_ns
    for (_, _, part_ns, _), step_ns in zip(own.inner, own.wall_ns, strict=True):
        assert part_ns <= step_ns + 2
