from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shadowserve.statistics.changepoint import Change, ChangeDetector


def watched(values, *, batch=256, **options) -> ChangeDetector:
    detector = ChangeDetector(**options)
    values = np.asarray(values, dtype=float)
    positions = 10_000 + np.arange(values.size)
    for at in range(0, values.size, batch):
        detector.add(values[at : at + batch], positions[at : at + batch])
    return detector


def in_bursts(rng, *, n_rows, rate, length) -> np.ndarray:
    """One user's requests share their outcome and come one after the other."""
    lengths = rng.geometric(1 / length, n_rows)
    return np.repeat(rng.random(n_rows) < rate, lengths)[:n_rows].astype(float)


def test_a_feed_that_goes_stale_is_dated_to_the_request():
    found = watched(np.repeat([0.0, 1.0], [1_200, 800])).change()
    assert found is not None
    assert (found.position, found.row, found.before, found.after) == (11_200, 1_200, 0.0, 1.0)
    assert found.resolution == 1


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("before", "after"), [(0.05, 0.9), (0.0, 0.4), (0.7, 0.1)])
def test_a_noisy_change_is_dated_to_a_few_requests(before, after, seed):
    rng = np.random.default_rng(seed)
    values = np.concatenate([rng.random(1_200) < before, rng.random(800) < after])
    found = watched(values).change()
    assert found is not None
    assert abs(found.row - 1_200) <= 12
    assert found.before == pytest.approx(before, abs=0.05)
    assert found.after == pytest.approx(after, abs=0.07)


def test_a_change_late_in_a_long_stream_is_dated_too():
    rng = np.random.default_rng(0)
    values = np.concatenate([rng.random(100_000) < 0.02, rng.random(2_000) < 0.6])
    found = watched(values).change()
    assert found is not None
    assert abs(found.row - 100_000) <= 10


@pytest.mark.parametrize("seed", range(4))
def test_a_change_within_bursts_is_found(seed):
    rng = np.random.default_rng(seed)
    values = np.concatenate(
        [
            in_bursts(rng, n_rows=1_200, rate=0.05, length=10),
            in_bursts(rng, n_rows=1_200, rate=0.7, length=10),
        ]
    )
    found = watched(values).change()
    assert found is not None
    assert abs(found.row - 1_200) <= 150


@pytest.mark.parametrize(
    "draw",
    [
        pytest.param(lambda rng: (rng.random(20_000) < 0.05).astype(float), id="random flips"),
        pytest.param(lambda rng: rng.beta(0.5, 8, 20_000), id="small errors"),
        pytest.param(
            lambda rng: in_bursts(rng, n_rows=20_000, rate=0.05, length=10), id="bursts of ten"
        ),
        pytest.param(
            lambda rng: in_bursts(rng, n_rows=20_000, rate=0.01, length=25), id="rare long bursts"
        ),
    ],
)
def test_exchangeable_traffic_raises_no_alarm(draw):
    alarms = [watched(draw(np.random.default_rng(seed))).change() is not None for seed in range(30)]
    assert sum(alarms) <= 1


def test_two_identical_versions_never_change():
    assert watched(np.zeros(50_000), batch=1_000).change() is None


@pytest.mark.parametrize("length", [40, 100, 200])
def test_a_burst_that_passes_is_no_change(length):
    values = np.zeros(4_000)
    values[2_000 : 2_000 + length] = 1
    assert watched(values).change() is None


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 700), st.integers(0, 5))
def test_the_size_of_the_batches_does_not_matter(batch, seed):
    rng = np.random.default_rng(seed)
    values = np.concatenate([rng.random(900) < 0.1, rng.random(700) < 0.6])
    once, parts = watched(values, batch=values.size).change(), watched(values, batch=batch).change()
    assert isinstance(once, Change)
    assert isinstance(parts, Change)
    assert once.row == parts.row
    assert once.after == pytest.approx(parts.after)


@pytest.mark.parametrize("cut", [0, 500, 1_300, 1_900])
def test_a_detector_restored_from_its_state_goes_on_as_if_nothing_had_happened(cut):
    rng = np.random.default_rng(2)
    values = np.concatenate([rng.random(1_200) < 0.05, rng.random(900) < 0.5]).astype(float)
    whole, first = watched(values[:cut]), watched(values[:cut])
    second = ChangeDetector.from_state(json.loads(json.dumps(first.state())))
    for detector in (whole, second):
        detector.add(values[cut:], 10_000 + np.arange(cut, values.size))
    assert whole.state() == second.state()
    assert whole.change() == second.change()


def test_memory_grows_with_the_logarithm_of_the_stream():
    def blocks(n_rows: int) -> int:
        state = watched(np.zeros(n_rows), batch=10_000).state()
        assert len(state["recent"]) <= 1_024 + 128
        return sum(len(level) for level in state["levels"])

    assert blocks(400_000) - blocks(100_000) <= 2 * 64


def test_rows_without_a_disagreement_are_left_out():
    values = np.repeat([0.0, 1.0], [1_200, 800])
    values[::7] = np.nan
    detector = watched(values)
    assert detector.n == int((~np.isnan(values)).sum())
    found = detector.change()
    assert found is not None
    assert abs(found.position - 11_200) <= 1


def two_changes(seed, *, upto=2_000):
    """A change that proves to be other traffic, and another one 50 rows after that is known."""
    rng = np.random.default_rng(seed)
    first = watched(np.concatenate([rng.random(1_200) < 0.05, rng.random(600) < 0.3]))
    assert first.change() is not None
    later = np.concatenate([rng.random(50) < 0.3, rng.random(upto) < 0.9]).astype(float)
    return first, later


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("stored", [False, True])
def test_a_change_soon_after_one_that_was_explained_is_seen_too(seed, stored):
    first, later = two_changes(seed)
    if stored:
        first = ChangeDetector.from_state(json.loads(json.dumps(first.state())))
    second = first.anew()
    assert second.change() is None
    second.add(later, 20_000 + np.arange(later.size))
    found = second.change()
    assert abs(found.position - 20_050) <= 16
    assert found.before == pytest.approx(0.3, abs=0.06)


def test_rows_before_the_explained_change_are_not_handed_on():
    first = watched(np.repeat([0.0, 1.0], [1_200, 600]))
    second = first.anew()
    assert (second.n, second.total) == (600, 600.0)
    assert watched(np.repeat([0.0, 1.0], [1_200, 9_000])).anew().n <= 1_024 + 128


def test_the_state_of_an_earlier_release_hands_on_only_what_came_since():
    first = watched(np.repeat([0.0, 1.0], [1_200, 600]))
    state = json.loads(json.dumps(first.state()))
    del state["whole"]
    old = ChangeDetector.from_state(state)
    assert old.change() == first.change()
    old.add(np.ones(40), np.arange(40))
    assert old.anew().n == 40


@pytest.mark.parametrize("seed", range(8))
def test_one_explained_change_on_steady_traffic_leads_to_no_other(seed):
    rng = np.random.default_rng(seed)
    values = np.concatenate([rng.random(1_200) < 0.05, rng.random(500) < 0.4])
    second = watched(values).anew()
    second.add(rng.random(5_000) < 0.4, np.arange(5_000))
    assert second.change() is None
