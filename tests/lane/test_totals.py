"""A run's own totals are cumulative and true, and so is each window's ledger, whatever left no row."""

from __future__ import annotations

import json

import pytest

from rig.deployment import CHALLENGER, CONTROL, made
from rig.lane import answer, records, work
from shadowserve.lane import windows
from shadowserve.state.lane_reading import closed_windows


@pytest.fixture
def places(tmp_path):
    return made(tmp_path, CHALLENGER, CONTROL)


def figures(places):
    found = closed_windows(places.lane(CHALLENGER.role, 4).state, after=-1)
    return [json.loads(window.metrics) for window in found]


def test_the_run_shows_its_totals_and_not_its_last_window(places):
    for n in (30, 3):  # a start each, which closes a window at its end
        answer(places, records(n))
        work(places)
    first, last = figures(places)
    assert (first["total/requests"], last["total/requests"]) == (30, 33)
    assert (last["ledger/requests"], last["ledger/both_ok"]) == (3, 3)
    assert last["total/compared"] == 33
    assert last["total/both_ok"] == 33
    assert last["total/disagreement"] == first["total/disagreement"]
    assert last["total/latency_ms/challenger/max"] >= first["total/latency_ms/challenger/max"]


def test_what_was_sampled_out_or_skipped_by_a_pause_is_in_the_windows_ledger(places):
    answer(places, records(8), sampled=lambda n: n % 4 == 0)
    work(places)
    places.paused.touch()
    answer(places, records(5))
    work(places)
    places.paused.unlink()
    answer(places, records(2))
    work(places)
    first, last = figures(places)
    assert (first["ledger/sampled_out"], first["ledger/requests"]) == (6, 8)
    assert (last["ledger/skipped_paused"], last["ledger/requests"]) == (5, 7)
    assert last["total/skipped_paused"] == 5
    assert last["total/sampled_out"] == 6


def test_a_window_that_an_earlier_release_closed_takes_nothing_from_the_next():
    """It told no totals: what happened before is then not this window's."""
    found = windows.ledger({"both_ok": 900}, before={"ledger/both_ok": 890.0}, in_window={"ledger/both_ok": 10.0})  # fmt: skip
    assert (found["ledger/both_ok"], found["total/both_ok"]) == (10.0, 900.0)
