"""A challenger is judged by what it loses of what the champion gains over the constant answer."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
from scipy.stats import norm

from rig.judging import known_of, timed
from rig.labels import Kind
from rig.scoring import double, opaque
from shadowserve.judgement.facts import Facts
from shadowserve.judgement.findings import gains, look
from shadowserve.judgement.verdict import Judgement, Verdict, judge
from shadowserve.labels import Losses
from shadowserve.labels.pairs import Pair
from shadowserve.labels.terms import Terms
from shadowserve.settings.policy import Policy

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
def alike(tmp_path_factory) -> Facts:
    """A challenger whose answers, failures and times are beyond reproach: labels alone decide."""
    return timed(known_of(tmp_path_factory.mktemp("alike"), opaque(double)))


def judged(known: Facts, pairs: list[Pair], kind: Kind = Kind.PROBABILITY, **limits) -> Judgement:
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


def states(pairs, kind=Kind.PROBABILITY, terms=None, *, at_once=100):
    """How the decisive loss stands after each hundred labels, and what is shown of it then."""
    losses = Losses(kind) if terms is None else Losses(kind, terms)
    for first in range(0, len(pairs), at_once):
        losses.add(pairs[first : first + at_once])
        loss = losses.decisive
        alphas = {"alpha": 0.05, "broken_alpha": 0.0125}
        yield loss.standing(**alphas), loss.lost(**alphas), loss, losses


def test_what_is_shown_of_a_loss_never_contradicts_how_it_stands():
    rng, truth, shared = world(0.3, n=2_000)
    champion = knowing(shared, 0.95, 0.3, rng)
    for quality in (0.95, 0.1):
        most = []
        for standing, (least, at_most), loss, _ in states(
            chances(truth, champion, knowing(shared, quality, 0.3, rng))
        ):
            if standing == "kept":
                assert at_most <= loss.allowed
            if standing == "broken":
                assert least is None or least >= loss.allowed
            most.append(2.0 if at_most is None else at_most)
        assert most == sorted(most, reverse=True)  # what was proven stays


def test_errors_that_come_after_a_limit_was_kept_and_break_its_mean_take_it_back():
    """What a cap hides is judged by itself: no promote while the plain mean is beyond the limit."""
    rng = np.random.default_rng(0)
    truth = rng.normal(0, 1, 2_000)
    champion, challenger = (truth + rng.normal(0, 0.3, 2_000) for _ in range(2))
    challenger[1_900::20] += 1e6
    pairs = [pair(*map(float, three)) for three in zip(truth, champion, challenger, strict=True)]
    seen = [standing for standing, *_ in states(pairs, Kind.NUMBER)]
    assert "kept" in seen
    assert seen[-1] != "kept"


def test_truths_that_outgrow_the_first_hundred_ask_for_a_cap():
    truth = np.concatenate([np.linspace(0, 1, 100), np.linspace(50, 90, 900)])
    pairs = [pair(float(t), float(t) + 0.1, float(t) + 0.1) for t in truth]
    *_, (standing, _, _, losses) = states(pairs, Kind.NUMBER)
    assert standing == "undecided"
    assert "Set loss_cap in [verdict]" in gains.told(losses, Policy())
    *_, (_, _, _, losses) = states(pairs, Kind.NUMBER, Terms(cap=100.0))
    assert "loss_cap" not in gains.told(losses, Policy())


def test_a_rare_class_names_the_positives_that_are_still_needed():
    rng, truth, shared = world(0.005, n=4_000)
    sides = [knowing(shared, 0.95, 0.005, rng) for _ in range(2)]
    *_, (standing, _, _, losses) = states(chances(truth, *sides), at_once=1_000)
    told = gains.told(losses, Policy())
    assert standing == "undecided"
    assert "more labels" in told
    assert "of them of the rarest class" in told
    assert 'loss = "rank"' in told


def test_ranks_tell_a_version_that_ranks_from_one_that_does_not():
    rng, truth, shared = world(0.062)
    champion = knowing(shared, 0.95, 0.062, rng)
    ends = {}
    for name, quality in (("equal", 0.95), ("useless", 0.05)):
        challenger = knowing(shared, quality, 0.062, rng)
        *_, (ends[name], _, loss, _) = states(
            chances(truth, champion, challenger), terms=Terms(chosen="rank"), at_once=500
        )
    assert ends == {"equal": "kept", "useless": "broken"}
    assert loss.constant == 0.5


def test_numbers_are_ranked_by_the_order_of_their_labels():
    rng = np.random.default_rng(0)
    truth = rng.normal(0, 1, 1_000)
    champion, challenger = truth + rng.normal(0, 1, 1_000), rng.permutation(truth)
    pairs = [pair(*map(float, three)) for three in zip(truth, champion, challenger, strict=True)]
    *_, (standing, _, loss, _) = states(pairs, Kind.NUMBER, Terms(chosen="rank"))
    assert standing == "broken"
    assert 0.2 < loss.champion < 0.35
    assert 0.45 < loss.challenger < 0.55


COSTS = {'"fraud"': {'"fraud"': 0.0, '"fine"': 50.0}, '"fine"': {'"fraud"': 1.0, '"fine"': 0.0}}


def test_a_matrix_of_costs_weighs_errors_as_the_team_does():
    """As many errors on either side, but the dear ones: by errors alike, by costs useless."""
    rng = np.random.default_rng(0)
    truth = np.where(rng.random(3_000) < 0.2, "fraud", "fine")
    wrong = np.where(truth == "fraud", "fine", "fraud")
    champion = np.where((truth == "fine") & (rng.random(3_000) < 0.25), wrong, truth)
    challenger = np.where((truth == "fraud") & (rng.random(3_000) < 0.99), wrong, truth)
    pairs = [pair(*map(str, three)) for three in zip(truth, champion, challenger, strict=True)]
    *_, (standing, _, loss, _) = states(pairs, Kind.LABEL, Terms(costs=COSTS))
    assert (loss.measure, standing) == ("cost", "broken")
    assert loss.constant < 1.0  # to call all of them fraud costs less than to call none so


def test_a_loss_that_the_champion_does_not_beat_asks_for_another():
    """A rare class by errors: whoever always says no is right as often."""
    rng = np.random.default_rng(0)
    truth = (rng.random(1_000) < 0.03).astype(int)
    answer = (rng.random(1_000) < 0.05).astype(int)
    *_, (standing, _, _, losses) = states(
        [pair(int(t), int(a), int(a)) for t, a in zip(truth, answer, strict=True)], Kind.LABEL
    )
    assert standing == "undecided"
    assert "the champion does not beat answering the most frequent label" in gains.told(
        losses, Policy()
    )


def test_what_labels_taught_survives_its_state_and_an_earlier_releases_begins_anew():
    rng, truth, shared = world(0.3, n=600)
    seen = chances(truth, *(knowing(shared, 0.95, 0.3, rng) for _ in range(2)))
    losses, halves = Losses(Kind.PROBABILITY), Losses(Kind.PROBABILITY)
    losses.add(seen[:300])
    halves.add(seen[:300])
    losses = Losses.from_state(json.loads(json.dumps(losses.state())))
    for one in (losses, halves):
        one.add(seen[300:])
    assert losses.to_dict(alpha=0.05) == halves.to_dict(alpha=0.05)
    old = {**losses.state(), "form": None}
    assert Losses.from_state(old).joined == 0
    assert Losses.from_state(losses.state(), Terms(allowed=0.1)).joined == 0
    assert Losses.from_state(losses.state(), kind=Kind.LABEL).kind is Kind.LABEL
