"""All findings together: nothing where versions are alike or nothing is known, and the worst first."""

from __future__ import annotations

import numpy as np
import pytest

from rig.judging import alarms, found, known_of, policy, timed
from rig.scoring import double, fields, native, opaque, pipeline
from shadowserve.comparison.failures import Poison
from shadowserve.judgement.findings import Severity, look


def test_a_version_against_itself_raises_no_alarm(tmp_path):
    known = timed(known_of(tmp_path, native(pipeline(), number=4), champion=native(pipeline()), rescore=True))  # fmt: skip
    assert alarms(known) == []


def test_a_version_with_labels_against_itself_raises_no_alarm(tmp_path):
    own = native(pipeline(labels=True))
    assert alarms(timed(known_of(tmp_path, own, champion=own))) == []


@pytest.mark.parametrize(
    ("change", "kind", "output"),
    [
        (lambda d: d.assign(score=d["score"] / 2), "prediction_divergence", "score"),
        (lambda d: d.assign(price=d["price"] + 99), "prediction_divergence", "price"),
        (lambda d: d.assign(old=~d["old"]), "prediction_divergence", "old"),
        (lambda d: d.assign(score=np.nan), "nonfinite_output", "score"),
        (lambda d: d.assign(price=7.0), "concentration", "price"),
    ],
)
def test_the_field_that_is_off_is_named(tmp_path, change, kind, output):
    off = opaque(lambda f, p: change(fields(f, p)))
    one = found(known_of(tmp_path, off, champion=opaque(fields, number=3), n=160))[kind]
    assert one.where.output == output


def test_a_request_that_kills_is_named_whatever_else(tmp_path):
    known = known_of(tmp_path, opaque(double))
    known.learned.failures.poisoned(Poison(77, "r", "deadline", "predict", 10_000.0, {"title": 25}))
    one = found(known)["poison_request"]
    assert one.severity is Severity.CRITICAL
    assert (one.examples, one.where.step, one.where.columns) == ((77,), "predict", ("title",))
    assert "deadline" in one.message


def test_a_lane_that_has_learnt_nothing_has_no_findings(tmp_path):
    known = known_of(tmp_path, opaque(double), sent=[])
    assert known.learned is None
    assert look(known, policy()) == []


def test_the_worst_findings_come_first(tmp_path):
    known = known_of(tmp_path, opaque(lambda f, p: np.full(len(f), np.nan)))
    order = ["critical", "warning", "note", "info"]
    severities = [order.index(one.severity.value) for one in look(known, policy())]
    assert severities == sorted(severities)
    assert len(severities) > 1
