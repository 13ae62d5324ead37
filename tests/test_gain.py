"""A challenger is judged by what it loses of what the champion gains over the constant answer."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
from judging_fixtures import known_of, timed
from labels_fixtures import Kind
from scipy.stats import norm
from scoring_fixtures import double, opaque

from shadowserve.findings import look
from shadowserve.known import Known
from shadowserve.labels import Losses
from shadowserve.labels.store import Pair
from shadowserve.policy import Policy
from shadowserve.verdict import Judgement, Verdict, judge

N = 4_000


def pair(label, champion, challenger, *, scores=(None, None)) -> Pair:
    """One label with both versions' answers, as the labels' file has them."""
    return Pair(
        label=json.dumps(label),
        received_ns=2,
        arrived_ns=1,
        champion=json.dumps([champion]),
        challenger=json.dumps([challenger]),
        challenger_scores=json.dumps(scores[1]) if scores[1] else None,
        of_first=True,
        champion_scores=json.dumps(scores[0]) if scores[0] else None,
        is_first=True,
        n_alike=1,
    )


def chances(truth, champion, challenger) -> list[Pair]:
    """Labels of two classes with both versions' probability of the second."""
    sides = [[{"0": 1 - p, "1": p} for p in map(float, side)] for side in (champion, challenger)]
    return [
        pair(int(y), [a["0"], a["1"]], [b["0"], b["1"]], scores=(a, b))
        for y, a, b in zip(truth, *sides, strict=True)
    ]


def world(rate: float, *, seed: int = 0, signal: float = 0.75, n: int = N):
    """Labels of a rate, and what the best of all versions could know of them."""
    rng = np.random.default_rng(seed)
    shared = rng.standard_normal(n)
    luck = rng.standard_normal(n)
    truth = signal * shared + np.sqrt(1 - signal**2) * luck > norm.ppf(1 - rate)
    return rng, truth.astype(int), shared


def knowing(shared, quality: float, rate: float, rng, *, signal: float = 0.75):
    """Probabilities of a calibrated version that knows so much of it."""
    seen = quality * shared + np.sqrt(1 - quality**2) * rng.standard_normal(shared.size)
    known = signal * quality
    return norm.cdf((known * seen - norm.ppf(1 - rate)) / np.sqrt(1 - known**2))


@pytest.fixture(scope="module")
def alike(tmp_path_factory) -> Known:
    """A challenger whose answers, failures and times are beyond reproach: labels alone decide."""
    return timed(known_of(tmp_path_factory.mktemp("alike"), opaque(double)))


def judged(known: Known, pairs: list[Pair], kind: Kind = Kind.PROBABILITY, **limits) -> Judgement:
    policy = Policy.of({"min_requests": 100, "max_error_rate": 0.05})
    losses = Losses(kind)
    for first in range(0, len(pairs), 500):
        losses.add(pairs[first : first + 500])
    found = dataclasses.replace(known, losses=losses)
    return judge(found, look(found, policy), policy)


def test_a_useless_challenger_of_a_rare_class_is_never_promoted(alike):
    """Fraud at 6.2 %: a version that answers the base rate, or ranks hardly better than chance."""
    rng, truth, shared = world(0.062)
    champion = knowing(shared, 0.95, 0.062, rng)
    for useless in (np.full(N, 0.062), knowing(shared, 0.1, 0.062, rng)):
        judgement = judged(alike, chances(truth, champion, useless))
        assert judgement.verdict is not Verdict.PROMOTE


def test_an_equal_challenger_is_promoted_within_four_thousand_labels(alike):
    rng, truth, shared = world(0.3)
    sides = [knowing(shared, 0.95, 0.3, rng) for _ in range(2)]
    assert judged(alike, chances(truth, *sides)).verdict is Verdict.PROMOTE


def test_log_loss_that_is_far_worse_is_not_kept_though_it_exceeds_one(alike):
    """Its bound is 6.9, not 1: what a sure and wrong answer costs is not clipped away."""
    rng, truth, shared = world(0.5, n=2_000)
    champion = knowing(shared, 0.95, 0.5, rng)
    wrong = rng.random(2_000) < 0.06
    challenger = np.where(wrong, np.where(truth == 1, 0.001, 0.999), champion)
    losses = Losses(Kind.PROBABILITY)
    losses.add(chances(truth, champion, challenger))
    loss = losses.measures["log_loss"]
    assert loss.challenger - loss.champion > 0.1
    low, _ = loss.interval(0.05)
    assert low > 0.1


def test_errors_of_the_challenger_are_not_clipped_at_what_the_champion_showed(alike):
    """A mean error of four beside 0.8, for it errs by a thousand now and then."""
    rng = np.random.default_rng(0)
    truth = rng.normal(0, 20, 2_000)
    champion = truth + rng.normal(0, 1, 2_000)
    challenger = champion + np.where(rng.random(2_000) < 0.004, 1_000, 0)
    pairs = [pair(*map(float, three)) for three in zip(truth, champion, challenger, strict=True)]
    judgement = judged(alike, pairs, Kind.NUMBER)
    (loss,) = [limit for limit in judgement.limits if limit.name == "loss"]
    assert loss.state != "kept"
    assert judgement.verdict is not Verdict.PROMOTE
