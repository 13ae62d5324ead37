"""Memory is noted now and then, sooner when it jumps, and the notes stay few."""

from __future__ import annotations

import pytest

from shadowserve.comparison import memory


@pytest.fixture
def holds(monkeypatch):
    def hold(used):
        monkeypatch.setattr(memory, "own_bytes", lambda _pid=None: used)

    hold(2**30)
    return hold


def test_a_note_every_fifty_requests(holds):
    notes: list[tuple[int, int]] = []
    for n in range(1, 201):
        memory.note(notes, n)
    assert [n for n, _ in notes] == [1, 51, 101, 151]


def test_a_jump_is_noted_at_once(holds):
    notes: list[tuple[int, int]] = []
    memory.note(notes, 1)
    holds(2**30 + memory.STEP)
    memory.note(notes, 2)
    memory.note(notes, 3)
    assert notes == [(1, 2**30), (2, 2**30 + memory.STEP)]


def test_a_long_run_keeps_the_beginning_whole_and_the_rest_thinner(holds):
    notes: list[tuple[int, int]] = []
    for n in range(1, 2_000_000, memory.EVERY):
        memory.note(notes, n)
    assert len(notes) <= memory.MOST_NOTES
    assert [n for n, _ in notes[:101]] == list(range(1, 5_002, 50))
    assert notes[-1][0] > 1_990_000


def test_where_the_system_does_not_tell_nothing_is_noted(holds):
    holds(None)
    notes: list[tuple[int, int]] = []
    memory.note(notes, 1)
    assert notes == []
