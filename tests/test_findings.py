"""Findings: what is planted is named, in the place where it lies; what is not, is not."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
from deployment_fixtures import deployment
from judging_fixtures import known_of, policy, timed
from scoring_fixtures import double, native, opaque, pipeline, version

from shadowserve.findings import Finding, Severity, look
from shadowserve.findings.failures import growth_per_request
from shadowserve.lane.failures import Poison
from shadowserve.training import TrainingData

SECRET = "s3cret-value"


def found(known, **limits):
    return {one.kind: one for one in look(known, policy(**limits))}


def alarms(known):
    return [one for one in look(known, policy()) if one.severity.is_alarm]


def test_a_version_against_itself_raises_no_alarm(tmp_path):
    known = timed(known_of(tmp_path, native(pipeline(), number=4), champion=native(pipeline()), rescore=True))  # fmt: skip
    assert alarms(known) == []


def test_a_version_with_labels_against_itself_raises_no_alarm(tmp_path):
    own = native(pipeline(labels=True))
    assert alarms(timed(known_of(tmp_path, own, champion=own))) == []


def test_another_answer_is_a_divergence_with_its_interval_and_examples(tmp_path):
    known = known_of(tmp_path, opaque(lambda f, p: 3 * double(f, p)))
    one = found(known)["prediction_divergence"]
    assert one.severity is Severity.CRITICAL
    assert one.effect.low > 0.1
    assert one.effect.low < one.effect.value < one.effect.high
    assert one.since == 2  # the first answer is 0 times three
    assert len(one.examples) == 5
    assert "v4" in one.message


def test_a_difference_below_the_tolerance_is_no_divergence(tmp_path):
    known = known_of(tmp_path, opaque(lambda f, p: double(f, p) * (1 + 1e-13)))
    assert alarms(known) == []


def test_the_noise_of_a_champion_that_wanders_is_not_held_against_the_challenger(tmp_path):
    chance = np.random.default_rng(0)

    def wander(frame, params):
        return double(frame, params) + chance.normal(0, 50, len(frame))

    known = known_of(tmp_path, opaque(wander), champion=opaque(wander, number=3), n=600)
    assert known.learned.outputs.disagreement.mean > 0.1
    assert "prediction_divergence" not in found(known)


def test_an_error_is_named_by_type_step_and_column(tmp_path):
    def fail(frame, params):
        if (frame["age"] > 250).any():
            raise ValueError(SECRET)
        return double(frame, params)

    one = found(known_of(tmp_path, opaque(fail)))["error_rate"]
    assert one.severity is Severity.CRITICAL
    assert "ValueError" in one.message
    assert SECRET not in json.dumps(one.to_dict())
    assert one.since == 252
    assert one.effect.value == pytest.approx(49 / 300)


def test_errors_that_the_champion_has_too_are_no_finding(tmp_path):
    def fail(frame, params):
        if (frame["age"] > 250).any():
            raise ValueError(SECRET)
        return double(frame, params)

    known = known_of(tmp_path, opaque(fail), champion=opaque(fail, number=3))
    assert "error_rate" not in found(known)


def test_nan_is_named(tmp_path):
    def holes(frame, params):
        return np.where(frame["age"].to_numpy() % 10 == 0, np.nan, double(frame, params))

    one = found(known_of(tmp_path, opaque(holes)))["nonfinite_output"]
    assert one.severity is Severity.CRITICAL
    assert one.effect.value == pytest.approx(0.1)
    assert one.effect.baseline == 0.0


def test_another_form_of_answer_is_a_structure_change(tmp_path):
    known = known_of(tmp_path, opaque(lambda f, p: [str(v) for v in double(f, p)]))
    one = found(known)["structure_change"]
    assert one.severity is Severity.CRITICAL
    assert one.effect.value == 1.0


def test_a_collapse_onto_few_items_is_named_with_them(tmp_path):
    def ranked(frame, params):
        return [[f"film {(int(age) * 7 + k) % 90}" for k in range(5)] for age in frame["age"]]

    def eggs(frame, params):
        return [[f"egg {k}" for k in range(5)]] * len(frame)

    known = known_of(tmp_path, opaque(eggs), champion=opaque(ranked, number=3))
    one = found(known)["concentration"]
    assert one.severity is Severity.CRITICAL
    assert set(one.where.items) == {f"egg {k}" for k in range(5)}
    assert one.effect.value == pytest.approx(1.0)


def test_an_output_that_stopped_to_vary_is_named(tmp_path):
    one = found(known_of(tmp_path, opaque(lambda f, p: np.full(len(f), 7.0))))["concentration"]
    assert "nearly the same" in one.message


def parity(frame, params):
    return ["odd" if age % 2 else "even" for age in frame["age"]]


def test_one_label_for_everything_is_named(tmp_path):
    known = known_of(tmp_path, opaque(lambda f, p: ["odd"] * len(f)), champion=opaque(parity))
    assert "one label is 100 %" in found(known)["concentration"].message


def test_swapped_labels_are_seen_as_such(tmp_path):
    swapped = opaque(lambda f, p: ["even" if age % 2 else "odd" for age in f["age"]])
    known = known_of(tmp_path, swapped, champion=opaque(parity))
    assert "the two labels look swapped" in found(known)["prediction_divergence"].message


def test_a_change_is_dated(tmp_path):
    """The challenger agrees, and from one request on it does not."""
    known = known_of(tmp_path, opaque(lambda f, p: double(f, p) * (1 + 2 * (f["age"].to_numpy() >= 300))), n=900)  # fmt: skip
    one = found(known)["change_point"]
    assert abs(one.since - 301) <= 20


def test_a_request_that_kills_is_named_whatever_else(tmp_path):
    known = known_of(tmp_path, opaque(double))
    known.learned.failures.poisoned(Poison(77, "r", "deadline", "predict", 10_000.0, {"title": 25}))
    one = found(known)["poison_request"]
    assert one.severity is Severity.CRITICAL
    assert (one.examples, one.where.step, one.where.columns) == ((77,), "predict", ("title",))
    assert "deadline" in one.message


def test_a_version_that_depends_on_its_batch_is_named(tmp_path):
    def centred(frame, params):
        return double(frame, params) - frame["age"].mean()

    known = known_of(tmp_path, opaque(centred), champion=opaque(centred, number=3), rescore=True)
    assert "depends on batch" in found(known)["nondeterminism"].message
    served_alone = opaque(centred, batched=False)
    known = known_of(tmp_path / "alone", served_alone, champion=served_alone, rescore=True)
    assert "nondeterminism" not in found(known)


def test_a_version_that_wanders_is_named(tmp_path):
    chance = np.random.default_rng(1)
    known = known_of(tmp_path, opaque(lambda f, p: double(f, p) + chance.random(len(f))), rescore=True)  # fmt: skip
    assert found(known)["nondeterminism"].severity is Severity.WARNING


def test_a_slower_version_is_named_beyond_the_margin_only(tmp_path):
    known = known_of(tmp_path, opaque(double))
    assert found(timed(known, times=1.5))["latency"].effect.value == pytest.approx(1.5, rel=0.02)
    assert "latency" not in found(timed(known, times=1.05))
    assert "latency" not in found(timed(known, times=0.5))


def trained(number, since, until):
    data = TrainingData("events", rows=100, since=since, until=until)
    return dataclasses.replace(version(number), training_data=(data,))


@pytest.mark.parametrize(
    ("since", "severity"), [("2020-04-05", Severity.WARNING), ("2018-06-01", Severity.INFO)]
)
def test_a_version_that_learned_from_a_short_time_is_named(tmp_path, since, severity):
    known = known_of(tmp_path, opaque(double), n=30)
    apart = deployment(
        champion=trained(3, "2018-01-01", "2020-04-12"),
        challengers=(trained(4, since, "2020-04-12"),),
    )
    known = dataclasses.replace(known, deployment=apart, challenger=apart.challengers[0])
    assert found(known)["lineage"].severity is severity


def test_a_lane_that_cannot_work_is_named(tmp_path):
    known = known_of(tmp_path, opaque(double), n=30)
    known = dataclasses.replace(known, lane=dataclasses.replace(known.lane, state="degraded", reason="it died"))  # fmt: skip
    assert "it died" in found(known)["coverage"].message


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


@pytest.mark.parametrize(
    ("leak", "plateau", "named"), [(50_000, 0, True), (0, 16 * 2**20, False), (0, 200 * 2**20, False)]
)  # fmt: skip
def test_memory_is_judged_after_the_plateau(leak, plateau, named):
    """An innocent process grows at first, then no more."""
    notes = [(n, 2**28 + leak * n + min(plateau, n * 2**20)) for n in range(0, 3000, 50)]
    slope = growth_per_request(notes)
    assert (slope is not None) is named
    if named:
        assert slope == pytest.approx(leak)


def test_a_restarted_process_begins_anew():
    first = [(n, 2**28 + 100_000 * n) for n in range(0, 3000, 50)]
    second = [(3000 + n, 2**27) for n in range(0, 3000, 50)]
    assert growth_per_request([*first, *second]) is None


def test_what_is_not_finite_is_null_in_json():
    from shadowserve.findings import Effect

    told = Finding("latency", Severity.NOTE, "x", effect=Effect("m", 1.0, 0.5, float("inf")))
    assert json.loads(json.dumps(told.to_dict(), allow_nan=False))["effect"]["high"] is None
