"""A version that differs from itself, from call to call or by its company, is named."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline

from rig.judging import found, known_of, policy, slices
from rig.scoring import double, native, opaque, pipeline
from shadowserve.comparison.failures import Differing
from shadowserve.judgement.findings import Severity, look

CHANCE = np.random.default_rng(0)


STEADY = Differing([False] * 8, [False] * 8)


def test_a_version_that_changed_for_good_wandered_on_one_occasion_and_is_not_nondeterministic(
    tmp_path,
):
    """Of every eighty requests eight are scored again at once: a change between is seen eight times."""
    known = known_of(tmp_path, opaque(double), n=90, rescore=True)
    noise = known.learned.noise
    for both in (noise, known.control.noise):
        for _ in range(15):
            both.add(again=STEADY, together=None, positions=range(8))
    noise.add(again=Differing([True] * 7 + [False], []), together=None, positions=range(8))
    assert "nondeterminism" not in found(known)
    noise.add(again=Differing([True] + [False] * 7, []), together=None, positions=range(8))
    assert found(known)["nondeterminism"].severity.is_alarm
    read = type(noise).from_state(json.loads(json.dumps(noise.state())))
    assert read.occasions == noise.occasions == 2


def test_a_version_that_depends_on_its_batch_is_named(tmp_path):
    def centred(frame, params):
        return double(frame, params) - frame["age"].mean()

    known = known_of(tmp_path, opaque(centred), champion=opaque(centred, number=3), rescore=True)
    assert "depends on batch" in found(known)["nondeterminism"].message
    served_alone = opaque(centred, batched=False)
    known = known_of(tmp_path / "alone", served_alone, champion=served_alone, rescore=True)
    assert found(known)["nondeterminism"].severity is Severity.NOTE


def test_answers_that_depend_on_the_batch_are_another_finding_than_probabilities(tmp_path):
    """Accepting that a few probabilities do excuses no answer."""
    ids = []
    for of in (
        lambda differs: Differing([False] * 8, differs),
        lambda differs: Differing(differs, []),
    ):
        own = known_of(tmp_path / str(len(ids)), opaque(double), n=60)
        for _ in range(30):
            still = Differing([False] * 8, [False] * 8)
            own.learned.noise.add(again=still, together=of([True] * 8), positions=range(8))
        ids.append(found(own)["nondeterminism"].id)
    assert ids[0] != ids[1]


@pytest.mark.parametrize(
    ("shared", "champion", "severities"),
    [
        (True, True, [Severity.CRITICAL, Severity.NOTE]),
        (False, True, [Severity.NOTE, Severity.NOTE]),
        (True, False, [Severity.CRITICAL]),
        (False, False, [Severity.CRITICAL]),
    ],
)
def test_a_proven_dependence_is_critical_where_calls_were_shared(
    tmp_path, shared, champion, severities
):
    """Of the champion for its callers' sake; where no call was ever shared it harms nobody."""
    known = known_of(tmp_path, opaque(double), n=60)
    known = dataclasses.replace(known, shared=shared)
    known.learned.noise.depend([7])
    if champion:
        known.control.noise.depend([7, 9])
    told = [one for one in look(known, policy()) if one.kind == "nondeterminism"]
    assert sorted(one.severity for one in told) == sorted(severities)
    assert all(one.where.output == "depends on batch" and 7 in one.examples for one in told)


def test_a_version_that_depends_on_its_batch_as_the_champion_does_is_no_alarm(tmp_path):
    def centred(frame, params):
        return double(frame, params) - (frame["age"].mean() if len(frame) > 1 else 0)

    both = opaque(centred), opaque(centred, number=3)
    known = known_of(tmp_path, both[0], champion=both[1], rescore=True, n=420)
    one = found(known)["nondeterminism"]
    assert "depends on batch" in one.message
    assert one.severity is Severity.NOTE


class Moved(LogisticRegression):
    """Labels as they were, probabilities moved by what a function says of each call."""

    def predict_proba(self, X):
        yes = super().predict_proba(X)[:, 1] * self.by_(len(X))
        return np.column_stack([1 - yes, yes])


def moved(by):
    fitted = pipeline(labels=True)
    last = Moved()
    last.__dict__.update(vars(fitted[-1]), by_=by)
    return native(Pipeline([*fitted.steps[:-1], ("model", last)]), number=4)


@pytest.mark.parametrize("champion_too", [False, True])
@pytest.mark.parametrize(
    ("by", "output", "severity"),
    [
        (lambda n: 0.9 if n > 1 else 1.0, "depends on batch", Severity.CRITICAL),
        (lambda n: CHANCE.uniform(0.9, 1.0), "probabilities", Severity.WARNING),
        (lambda n: 1.0 - 1e-6 * n, None, None),
    ],
    ids=["batch", "chance", "rounding"],
)  # fmt: skip
def test_probabilities_show_what_no_label_does(tmp_path, by, output, severity, champion_too):
    """F25, another way: what the neighbours do to a score seldom turns a label over."""
    champion = moved(by) if champion_too else native(pipeline(labels=True))
    known = known_of(tmp_path, moved(by), champion=champion, n=170, rescore=True)
    assert known.learned.noise.again.mean == known.learned.noise.together.mean == 0.0
    if not champion_too:
        known.control.noise.add(again=STEADY, together=STEADY, positions=range(8))
    one = found(known).get("nondeterminism")
    assert (one.where.output if one else None) == output
    if one:
        assert one.severity is (Severity.NOTE if champion_too else severity)


def test_answers_that_turn_out_otherwise_now_and_then_are_seen_early(tmp_path):
    """One in fifty: of requests scored twice as they come, hardly one would differ in so few."""
    chance = np.random.default_rng(5)

    def flips(frame, params):
        return (frame["age"].to_numpy() % 2 == 0) ^ (chance.random(len(frame)) < 0.02)

    def steady(frame, params):
        return frame["age"].to_numpy() % 2 == 0

    known = known_of(tmp_path, opaque(flips), champion=opaque(steady), n=900, rescore=True)
    assert "nondeterminism" in found(known)
    assert not slices(known)


def test_a_version_that_wanders_is_named(tmp_path):
    chance = np.random.default_rng(1)
    known = known_of(tmp_path, opaque(lambda f, p: double(f, p) + chance.random(len(f))), rescore=True)  # fmt: skip
    assert found(known)["nondeterminism"].severity is Severity.WARNING
