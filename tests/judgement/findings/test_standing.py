"""Failures: the version's own are alarms, those of its surroundings are not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from rig.judging import known_of, policy
from rig.scoring import double, opaque
from shadowserve.judgement.findings import Severity, look
from shadowserve.judgement.verdict import judge

KINDS = {"raises": "error_rate", "answers null": "nonfinite_output"}


def failing(when, how, answers=double):
    """A version that fails on the requests, or at the calls, that a function tells."""
    calls = [0]

    def score(frame, params):
        calls[0] += 1
        age = int(frame["age"].iloc[0])
        if not when(age, calls[0]):
            return answers(frame, params)
        if how == "raises":
            raise ConnectionError("no route")
        return np.full(len(frame), np.nan)

    return opaque(score, batched=False)


def found(known):
    return {one.kind: one for one in look(known, policy())}


@pytest.mark.parametrize("how", KINDS)
def test_a_request_that_fails_again_and_again_is_the_versions_fault(tmp_path, how):
    version = failing(lambda age, _: age % 25 == 7, how)
    one = found(known_of(tmp_path, version, n=400, rescore=True))[KINDS[how]]
    assert one.severity.is_alarm
    assert "scored again twice" in one.message


@pytest.mark.parametrize("how", KINDS)
def test_ten_failures_by_chance_against_none_are_no_alarm(tmp_path, how):
    chance = np.random.default_rng(7)
    version = failing(lambda *_: chance.random() < 0.025, how)
    one = found(known_of(tmp_path, version, n=400, rescore=True))[KINDS[how]]
    assert one.severity is Severity.NOTE
    assert "surroundings" in one.message


@pytest.mark.parametrize("how", KINDS)
@pytest.mark.parametrize("share", [0.3, 0.9])
def test_an_outage_that_outlasts_every_second_scoring_is_no_alarm(tmp_path, how, share):
    chance = np.random.default_rng(8)
    version = failing(lambda _, call: 250 < call < 520 and chance.random() < share, how)
    known = known_of(tmp_path, version, n=500, rescore=True)
    told = found(known)
    assert not told[KINDS[how]].severity.is_alarm
    errors = next(one for one in judge(known, [], policy()).limits if one.name == "errors")
    assert errors.state != "broken"


@pytest.mark.parametrize("how", KINDS)
def test_what_fails_every_time_is_an_alarm_at_once(tmp_path, how):
    one = found(known_of(tmp_path, failing(lambda *_: True, how), n=60, rescore=True))[KINDS[how]]
    assert one.severity is Severity.CRITICAL


def test_what_the_champions_version_cannot_take_any_more_either_is_no_alarm(tmp_path):
    gone = [False]

    def needs_a_table(frame, params):
        if gone[0] and int(frame["age"].iloc[0]) % 25 == 7:
            raise ConnectionError("no route")
        gone[0] = gone[0] or int(frame["age"].iloc[0]) == 399
        return double(frame, params)

    both = (opaque(needs_a_table, number=n, batched=False) for n in (4, 3))
    known = known_of(tmp_path, next(both), champion=next(both), n=400, rescore=True)
    assert not found(known)["error_rate"].severity.is_alarm


def test_without_scoring_again_it_is_said_that_the_cause_is_not_known(tmp_path):
    version = failing(lambda age, _: age % 25 == 7, "raises")
    known = known_of(tmp_path, version, n=400)
    options = replace(known.deployment.options, rescore=False)
    known = replace(known, deployment=replace(known.deployment, options=options))
    one = found(known)["error_rate"]
    assert one.severity is Severity.NOTE
    assert "--no-rescore" in one.message


@pytest.mark.parametrize(("persists", "is_alarm"), [(0.0, False), (1.0, True)])
def test_what_does_not_differ_at_a_second_scoring_is_noise_and_no_divergence(
    tmp_path, persists, is_alarm
):
    known = known_of(tmp_path, opaque(lambda f, p: 3 * double(f, p)), n=100)
    known.learned.noise.persisting.add(np.full(60, persists))
    assert found(known)["prediction_divergence"].severity.is_alarm == is_alarm


def test_no_more_is_an_alarm_than_lasts_at_a_second_scoring(tmp_path):
    """Long before the rest is proven to be noise."""
    known = known_of(tmp_path, opaque(lambda f, p: 3 * double(f, p)), n=100)
    known.learned.noise.persisting.add(np.repeat([1.0, 0.0], [3, 2]))
    told = {
        one.kind: one for one in look(known, policy(min_disagreement=0.4, max_disagreement=0.99))
    }
    assert told["prediction_divergence"].severity is Severity.NOTE
    told = {
        one.kind: one for one in look(known, policy(min_disagreement=0.1, max_disagreement=0.99))
    }
    assert told["prediction_divergence"].severity is Severity.WARNING
