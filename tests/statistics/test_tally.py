"""Summaries: right against numpy, scipy and scikit-learn; bounded; readable again."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import wasserstein_distance
from sklearn.metrics import cohen_kappa_score

from shadowserve.errors import StateError
from shadowserve.statistics.tally import (
    Confusion,
    Items,
    Moments,
    Pairs,
    Quantiles,
    Worst,
    hash_positions,
    histogram,
    wasserstein,
)

values = st.lists(st.floats(-1e6, 1e6), max_size=30)
Feed = Callable[[Any, np.ndarray, np.ndarray], None]


def _labels(x: np.ndarray) -> list[str]:
    return [f"l{int(v) % 5}" for v in x]


def _lists(x: np.ndarray) -> list[list[int]]:
    return [[int(v) % 7, 7 + int(v) % 3] for v in x]


SUMMARIES: list[tuple[Callable[[], Any], Feed]] = [
    (Moments, lambda it, x, _: it.add(x)),
    (Moments, lambda it, x, p: it.add(x, 1.0 + p % 3)),
    (Pairs, lambda it, x, p: it.add(x, p.astype(float))),
    (Quantiles, lambda it, x, _: it.add(x)),
    (lambda: Quantiles(tail=True), lambda it, x, p: it.add(x, 1.0 + p % 3)),
    (Confusion, lambda it, x, p: it.add(_labels(x), _labels(p))),
    (Items, lambda it, x, _: it.add(_lists(x))),
    (lambda: Worst(4), lambda it, x, p: it.add(x, p, [f"id-{i}" for i in p])),
]
every_summary = pytest.mark.parametrize(("make", "feed"), SUMMARIES)
quickly = settings(max_examples=30, deadline=None)


def _fed(make: Callable[[], Any], feed: Feed, x: np.ndarray, start: int = 0) -> Any:
    it = make()
    feed(it, x, np.arange(start, start + x.size))
    return it


@every_summary
@quickly
@given(x=values, cut=st.integers(0, 30))
def test_how_a_stream_is_cut_into_batches_changes_nothing(
    make: Callable[[], Any], feed: Feed, x: list[float], cut: int
) -> None:
    stream = np.array(x)
    cut = min(cut, stream.size)
    whole, parts = _fed(make, feed, stream), _fed(make, feed, stream[:cut])
    feed(parts, stream[cut:], np.arange(cut, stream.size))
    _assert_close(parts.summary(), whole.summary())


@every_summary
@quickly
@given(x=values)
def test_state_is_json_and_reads_back_exactly(
    make: Callable[[], Any], feed: Feed, x: list[float]
) -> None:
    it = _fed(make, feed, np.array(x))
    written = it.state()
    again = type(it).from_state(json.loads(json.dumps(written, allow_nan=False)))
    assert again.state() == written
    assert again.summary() == it.summary()


@every_summary
def test_nothing_is_a_summary_too_and_bad_values_do_not_spoil_it(
    make: Callable[[], Any], feed: Feed
) -> None:
    json.dumps(make().summary(), allow_nan=False)
    it = _fed(make, feed, np.array([1.0, 2.0, 3.0]))
    if not isinstance(it, Confusion | Items):
        feed(it, np.array([math.nan, math.inf, -math.inf]), np.arange(3, 6))
    json.dumps(it.summary(), allow_nan=False)


@every_summary
def test_a_foreign_state_is_refused(make: Callable[[], Any], feed: Feed) -> None:
    it = make()
    newer = {**it.state(), "version": 99}
    with pytest.raises(StateError, match="version 99"):
        type(it).from_state(newer)
    with pytest.raises(StateError, match="expected"):
        type(it).from_state({"kind": "something else", "version": 1})


def test_moments_are_numpys_even_far_from_zero() -> None:
    x = np.random.default_rng(1).normal(1e9, 1e-2, size=10_000)
    it = Moments()
    for part in np.array_split(x, 37):
        it.add(part)
    assert it.mean == pytest.approx(x.mean(), rel=1e-15)
    assert it.summary()["std"] == pytest.approx(x.std(ddof=1), rel=1e-4)
    assert (it.low, it.high) == (x.min(), x.max())


def test_a_weight_counts_as_that_many_equal_rows() -> None:
    x, w = np.array([1.0, 5.0, 9.0]), np.array([10.0, 1.0, 4.0])
    it, weighted = Moments(), Quantiles()
    it.add(x, w)
    weighted.add(x, w)
    assert it.mean == pytest.approx(np.average(x, weights=w))
    assert it.n_effective == pytest.approx(15**2 / 117)
    assert weighted.n_effective == it.n_effective
    repeated = np.repeat(x, w.astype(int))
    for rank in (0.1, 0.6, 0.7, 0.9):
        expected = np.quantile(repeated, rank, method="inverted_cdf")
        assert weighted.quantile(rank) == expected


def test_fractions_of_weights_are_carried_on() -> None:
    it = Quantiles()
    for _ in range(100):
        it.add(np.array([1.0]), np.array([1.3]))
        it.add(np.array([2.0]), np.array([2.6]))
    assert it.rank(1.0) == pytest.approx(1 / 3, abs=0.01)
    assert it.weight == pytest.approx(390)


def test_correlation_is_numpys() -> None:
    rng = np.random.default_rng(2)
    x = rng.normal(size=500)
    y = 0.3 * x + rng.normal(size=500)
    it = Pairs()
    for a, b in zip(np.array_split(x, 7), np.array_split(y, 7), strict=True):
        it.add(a, b)
    assert it.summary()["correlation"] == pytest.approx(np.corrcoef(x, y)[0, 1])
    assert it.summary()["covariance"] == pytest.approx(np.cov(x, y)[0, 1])


def test_correlation_with_a_constant_is_unknown() -> None:
    it = Pairs()
    it.add(np.array([1.0, 2.0, 4.0]), np.array([0.1, 0.1, 0.1]))
    assert it.summary()["correlation"] is None


@pytest.mark.parametrize("tail", [False, True])
def test_quantiles_keep_their_rank_error(tail: bool) -> None:
    x = np.random.default_rng(3).lognormal(size=200_000)
    it = Quantiles(tail=tail)
    for part in np.array_split(x, 100):
        it.add(part)
    # KLL at size 400: 0.7 % of rank; REQ: a few percent of the distance from the top
    for rank in (0.1, 0.5, 0.9, 0.99, 0.999):
        allowed = 0.01 if not tail else 0.1 * (1 - rank) + 1e-5
        assert np.mean(x <= it.quantile(rank)) == pytest.approx(rank, abs=allowed)


def test_wasserstein_is_the_shift_of_a_shifted_stream_and_near_scipys() -> None:
    rng = np.random.default_rng(4)
    x, y = rng.normal(size=5_000), rng.normal(0.5, 2, size=5_000)
    a, b, moved = Quantiles(), Quantiles(), Quantiles()
    a.add(x)
    b.add(y)
    moved.add(x[:300] + 3)
    head = Quantiles()
    head.add(x[:300])
    assert wasserstein(head, moved) == pytest.approx(3, abs=1e-9)
    assert wasserstein(a, b) == pytest.approx(wasserstein_distance(x, y), abs=0.08)
    assert math.isnan(wasserstein(a, Quantiles()))


def test_kappa_is_scikit_learns() -> None:
    rng = np.random.default_rng(5)
    a = rng.integers(0, 4, 300)
    b = np.where(rng.random(300) < 0.7, a, rng.integers(0, 4, 300))
    it = Confusion()
    it.add(a.tolist(), b.tolist())
    assert it.kappa() == pytest.approx(cohen_kappa_score(a, b))


def test_kappa_of_one_label_alone_is_unknown() -> None:
    it = Confusion()
    it.add(["a"], ["a"])
    assert it.summary()["kappa"] is None


def test_labels_of_different_type_have_rows_of_their_own() -> None:
    it = Confusion()
    it.add([1, 1.0, True, "1"], ["1", 1, 1, "1"])
    cells = {(c["champion"], c["lane"]): c["n"] for c in it.summary()["cells"]}
    assert cells == {("1", '"1"'): 1, ("1", "1"): 1, ("true", "1"): 1, ('"1"', '"1"'): 1}
    assert it.agree == 2


def test_a_table_is_bounded_and_agreement_stays_exact() -> None:
    it = Confusion(max_labels=3)
    labels = [f"l{i}" for i in range(100)]
    it.add(labels, labels)
    it.add(["l98"], ["l99"])
    assert len(it.summary()["cells"]) <= 16
    assert (it.n, it.agree) == (101, 100)


@pytest.mark.parametrize(
    ("counts", "gini"),
    [
        ([5, 5, 5, 5], 0.0),
        ([1, 3], 0.25),  # mean difference |1 - 3| / 2 over twice the mean
        ([0.0], None),
        ([1, 1, 1, 97], 0.72),  # (2·1-5)(1) + … = -3 -1 +1 +3·97 = 288, over 4 · 100
    ],
)
def test_gini_by_hand(counts: list[int], gini: float | None) -> None:
    it = Items()
    for item, n in enumerate(counts):
        it.add([[item]] * int(n))
    assert it.gini() == (None if gini is None else pytest.approx(gini))


def test_items_beyond_the_bound_are_estimated_and_said_to_be() -> None:
    it = Items(max_exact=50)
    rng = np.random.default_rng(6)
    for _ in range(40):
        it.add([[0, *map(int, 1 + rng.permutation(2_000)[:4])] for _ in range(100)])
    found = it.summary()
    assert not found["exact"]
    assert found["distinct"] == pytest.approx(2_001, rel=0.05)
    assert found["top"][0]["item"] == 0
    assert found["top_share"] == pytest.approx(0.2, abs=0.01)
    assert found["top_reach"] == pytest.approx(1.0, abs=0.05)
    again = Items.from_state(json.loads(json.dumps(it.state())))
    assert again.summary() == found


def test_worst_keeps_the_largest_not_the_first_whatever_the_order() -> None:
    rng = np.random.default_rng(8)
    keys, positions = rng.random(1_000), np.arange(1_000)
    whole, shuffled = Worst(10), Worst(10)
    whole.add(keys, positions)
    order = rng.permutation(1_000)
    for part in np.array_split(order, 13):
        shuffled.add(keys[part], positions[part])
    assert shuffled.rows() == whole.rows()
    assert [r["position"] for r in whole.rows()] == np.argsort(-keys)[:10].tolist()


def test_worst_prefers_the_earlier_of_equal_rows_and_passes_over_nan() -> None:
    it = Worst(2)
    it.add(np.array([1.0, np.nan, 1.0, 1.0]), np.array([7, 1, 5, 6]), [{"a": 1}] * 4)
    it.add(np.array([1.0]), np.array([5]), [{"b": 2}])
    assert [row["position"] for row in it.rows()] == [5, 5]


class Told(list):
    """Payloads that know how often one was asked for."""

    asked = 0

    def __getitem__(self, at):
        self.asked += 1
        return super().__getitem__(at)


@pytest.mark.parametrize("seed", range(5))
def test_worst_of_many_equal_rows_is_what_sorting_all_of_them_gives(seed):
    rng = np.random.default_rng(seed)
    keys = rng.integers(0, 3, 600) * 0.5 if seed else np.zeros(600)
    keys[rng.random(600) < 0.05] = rng.choice([np.nan, np.inf, -0.0])
    positions, payloads = rng.permutation(300).repeat(2), Told(f"id-{at}" for at in range(600))
    it = Worst(20)
    for part in np.array_split(np.arange(600), [1, 1, 30, 400]):
        it.add(keys[part], positions[part], Told(payloads[at] for at in part.tolist()))
    known = [at for at in range(600) if np.isfinite(keys[at])]
    rows = [(float(keys[at]), -int(positions[at]), json.dumps(payloads[at])) for at in known]
    expected = sorted(rows, reverse=True)[:20]
    assert [(r["key"], -r["position"], json.dumps(r["payload"])) for r in it.rows()] == expected


def test_worst_encodes_nothing_of_equal_rows_that_come_too_late():
    it, payloads = Worst(10), Told(["x"] * 1_000)
    it.add(np.zeros(10), np.arange(10), payloads)
    before = payloads.asked
    it.add(np.zeros(1_000), np.arange(10, 1_010), payloads)
    assert payloads.asked == before == 10


def test_hashed_positions_are_even_and_another_salt_is_another_order() -> None:
    found = hash_positions(np.arange(50_000))
    assert np.histogram(found, bins=10, range=(0, 1))[0] == pytest.approx(5_000, rel=0.06)
    assert abs(np.corrcoef(found, hash_positions(np.arange(50_000), salt=1))[0, 1]) < 0.02
    assert abs(np.corrcoef(found[1:], found[:-1])[0, 1]) < 0.02


def _assert_close(found: Any, expected: Any) -> None:
    if isinstance(expected, dict):
        assert found.keys() == expected.keys()
        for key, value in expected.items():
            _assert_close(found[key], value)
    elif isinstance(expected, list):
        assert len(found) == len(expected)
        for a, b in zip(found, expected, strict=True):
            _assert_close(a, b)
    elif isinstance(expected, float):
        assert found == pytest.approx(expected, rel=1e-6, abs=1e-6)
    else:
        assert found == expected


def test_a_histogram_lays_streams_over_the_same_bins():
    low, high = Quantiles(), Quantiles()
    low.add(np.linspace(0.0, 0.5, 1_001))
    high.add(np.linspace(0.5, 1.0, 1_001))
    told = histogram(low, high, n_bins=4, within=(0.0, 1.0))
    assert told["edges"] == [0.0, 0.25, 0.5, 0.75, 1.0]
    for shares, expected in zip(told["shares"], ([0.5, 0.5, 0, 0], [0, 0, 0.5, 0.5]), strict=True):
        assert shares == pytest.approx(expected, abs=0.02)
        assert sum(shares) == pytest.approx(1.0)


def test_a_histogram_of_one_value_or_of_one_side_is_one_all_the_same():
    alone = Quantiles()
    alone.add(np.full(10, 3.0))
    told = histogram(alone, Quantiles(), n_bins=2)
    assert told["shares"] == [[1.0, 0.0], None] or told["shares"] == [[0.0, 1.0], None]
    assert told["edges"] == [2.5, 3.0, 3.5]
    assert histogram(Quantiles(), Quantiles()) is None
    alone.add(np.full(10_000, -1e299))
    told = histogram(alone)
    assert all(a < b for a, b in zip(told["edges"], told["edges"][1:], strict=False))
