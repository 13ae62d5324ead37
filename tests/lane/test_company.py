"""Recorded requests in company: a thousand alike are earned, the first that depends is proof."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest

from rig.journal import request
from rig.lane import TABLE
from rig.scoring import body, double, opaque, record
from shadowserve.lane.company import Company
from shadowserve.lane.observing import Observer
from shadowserve.state import sharing
from shadowserve.state.sharing import EARNED, EARNED_ROWS, STOPPED, UNDECIDED, Mark

FEW = 100


@pytest.fixture(autouse=True)
def few_rows_are_enough(monkeypatch):
    monkeypatch.setattr("shadowserve.lane.company.EARNED_ROWS", FEW)


def tried(tmp_path, predict, *, n=3 * FEW, made=record, batched=False, ignore=()):
    """Offer so many requests with the answers given to them alone; return the company and its mark."""
    observer = Observer(opaque(predict, batched=batched), TABLE, mark=[0])
    proven = []
    mark = Mark(tmp_path / "mark.bin")
    company = Company(
        observer, TABLE, mark=mark, path=tmp_path / "shown.json", ignore=ignore, proven=proven.extend
    )  # fmt: skip
    for place in range(1, n + 1):
        typed = observer.typed(request(place, body=body(made(place))))
        seen = observer.alone(typed)
        company.offer(typed, seen.answer, 5 * 10**7)
    return company, mark, proven


def test_a_thousand_real_rows_alike_are_earned_and_remembered(tmp_path, monkeypatch):
    monkeypatch.setattr("shadowserve.lane.company.EARNED_ROWS", EARNED_ROWS)
    company, mark, proven = tried(tmp_path, double, n=EARNED_ROWS + 50)
    assert mark.value == EARNED
    assert company.allows
    assert not proven
    shown = sharing.remembered(tmp_path / "shown.json")
    assert shown.rows >= EARNED_ROWS
    assert shown.earned is not None
    assert "real rows alike" in shown.story()


def test_less_rows_than_that_earn_nothing(tmp_path):
    company, mark, _ = tried(tmp_path, double, n=FEW)
    assert mark.value == UNDECIDED
    assert not company.allows


def by_age(frame, _):
    return frame.sort_values("age")["age"].to_numpy() * 2


def centred(frame, params):
    return double(frame, params) - frame["age"].mean()


def deduplicated(frame, _):
    seen = frame["title"].drop_duplicates()
    return np.resize(seen.str.len().to_numpy(), len(frame)).astype(float)


def ranked(frame, _):
    return frame["age"].rank().to_numpy()


def factorized(frame, _):
    return pd.factorize(frame["title"], sort=True)[0]


def beyond_forty(frame, params):
    return double(frame, params) + (len(frame) > 40)


def with_the_one_before(frame, params):
    return double(frame, params) + frame["age"].shift(1).fillna(0).to_numpy()


def for_a_rare_value(frame, params):
    return double(frame, params) + (frame["age"] == 77).any()


@pytest.mark.parametrize(
    "predict",
    [by_age, centred, deduplicated, ranked, factorized, beyond_forty, with_the_one_before, for_a_rare_value],
    ids=lambda predict: predict.__name__,
)  # fmt: skip
def test_what_depends_on_its_neighbours_is_proven_and_stopped(tmp_path, predict):
    company, mark, proven = tried(tmp_path, predict, n=120)
    assert mark.value == STOPPED
    assert proven
    assert not company.allows
    assert sharing.remembered(tmp_path / "shown.json").stopped is not None


def test_a_steady_field_beside_a_noisy_one_is_proof(tmp_path):
    noise = np.random.default_rng(0)

    def half_noisy(frame, _):
        return pd.DataFrame(
            {"yhat": frame["age"] - frame["age"].mean(), "low": noise.random(len(frame))}
        )

    _, mark, proven = tried(tmp_path, half_noisy, n=120)
    assert mark.value == STOPPED
    assert proven


@pytest.mark.parametrize("also_dependent", [False, True])
def test_what_is_random_all_over_is_neither_proof_nor_earned(tmp_path, also_dependent):
    noise = np.random.default_rng(0)

    def random(frame, params):
        base = centred(frame, params) if also_dependent else double(frame, params)
        return base + noise.random(len(frame))

    company, mark, proven = tried(tmp_path, random)
    assert mark.value == UNDECIDED
    assert not proven
    assert company.shown.unsteady > 0
    assert "call to call" in company.shown.story()


def test_a_coin_that_is_tossed_seldom_is_no_proof(tmp_path):
    noise = np.random.default_rng(0)

    def rarely(frame, params):
        return double(frame, params) + (noise.random(len(frame)) < 0.02)

    _, mark, proven = tried(tmp_path, rarely)
    assert mark.value == UNDECIDED
    assert not proven


def test_what_single_precision_rounds_is_neither_proof_nor_earned(tmp_path):
    def rounded(frame, params):
        return (double(frame, params) + 1) * (1 + 1e-7 * (len(frame) > 1))

    company, mark, proven = tried(tmp_path, rounded)
    assert mark.value == UNDECIDED
    assert not proven
    assert "single precision" in company.shown.story()


def test_a_field_that_is_ignored_proves_nothing(tmp_path):
    counted = itertools.count()

    def numbered(frame, _):
        return pd.DataFrame({"y": frame["age"], "id": [next(counted) for _ in frame.index]})

    assert tried(tmp_path, numbered, ignore=("id",))[1].value == EARNED


def test_what_was_earned_is_checked_for_ever(tmp_path):
    _, mark, _ = tried(tmp_path, double)
    assert mark.value == EARNED
    _, mark, proven = tried(tmp_path, centred, n=120)
    assert mark.value == STOPPED
    assert proven


def test_nothing_lifts_a_stop(tmp_path):
    _, mark, _ = tried(tmp_path, centred, n=100)
    mark.earn()
    assert mark.value == STOPPED
    tried(tmp_path, double)
    assert Mark(tmp_path / "mark.bin").value == STOPPED


def test_one_label_that_rounding_tips_does_not_stop_what_is_known_by_structure(tmp_path):
    def tipped(frame, params):
        return double(frame, params) + ((frame["age"] == 5) & (len(frame) > 1))

    _, mark, proven = tried(tmp_path, tipped, n=64, batched=True)
    assert len(proven) == 1
    assert mark.value == UNDECIDED


def test_company_costs_a_share_of_the_time_only(tmp_path):
    """A model that needs as long for a row in company as alone is tried the less."""
    calls = []

    def noted(frame, params):
        calls.append(len(frame))
        return double(frame, params)

    observer = Observer(opaque(noted, batched=False), TABLE, mark=[0])
    mark = Mark(tmp_path / "mark.bin")
    company = Company(observer, TABLE, mark=mark, path=tmp_path / "shown.json")
    for place in range(1, 400):
        typed = observer.typed(request(place, body=body(record(place))))
        company.offer(typed, observer.alone(typed).answer, 1)
    assert len([size for size in calls if size > 1]) <= 2 * 5
