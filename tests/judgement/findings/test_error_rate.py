"""Errors are named by type, step and column; those that the champion has too are its own."""

from __future__ import annotations

import json

import pytest

from rig.judging import found, known_of, of_champion
from rig.scoring import double, opaque
from shadowserve.judgement.findings import Severity

SECRET = "s3cret-value"


def test_an_error_is_named_by_type_step_and_column(tmp_path):
    def fail(frame, params):
        if (frame["age"] % 6 == 0).any():
            raise ValueError(SECRET)
        return double(frame, params)

    one = found(known_of(tmp_path, opaque(fail), rescore=True))["error_rate"]
    assert one.severity is Severity.CRITICAL
    assert "ValueError" in one.message
    assert "scored again twice" in one.message
    assert SECRET not in json.dumps(one.to_dict())
    assert one.since == 1
    assert one.effect.value == pytest.approx(70 / 420)


def test_errors_that_the_champion_has_too_are_only_its_own(tmp_path):
    def fail(frame, params):
        if (frame["age"] > 250).any():
            raise ValueError(SECRET)
        return double(frame, params)

    known = known_of(tmp_path, opaque(fail), champion=opaque(fail, number=3))
    one = found(known)["error_rate"]
    assert (one.where.role, one.severity) == ("champion", Severity.NOTE)


def failing_on(part):
    def score(frame, params):
        if part(int(frame["age"].iloc[0])):
            raise ValueError
        return double(frame, params)

    return opaque(score, number=3)


def test_a_champion_that_fails_on_most_requests_is_named(tmp_path):
    (one,) = of_champion(known_of(tmp_path, opaque(double), champion=failing_on(lambda a: a % 5), n=200))  # fmt: skip
    assert (one.kind, one.severity) == ("error_rate", Severity.WARNING)
    assert "v3 itself fails on 80 %" in one.message


def test_a_champion_that_fails_now_and_then_is_a_note(tmp_path):
    known = known_of(tmp_path, opaque(double), champion=failing_on(lambda a: a % 10 == 0), n=200)
    assert [one.severity for one in of_champion(known)] == [Severity.NOTE]
