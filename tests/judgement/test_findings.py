"""Findings: what is planted is named, in the place where it lies; what is not, is not."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline

from rig.deployment import OPTIONS, deployment
from rig.judging import known_of, policy, timed
from rig.scoring import double, native, opaque, pipeline, version
from shadowserve.comparison.failures import Differing, Poison
from shadowserve.divergence.confused import swapped
from shadowserve.judgement.facts import Pair
from shadowserve.judgement.findings import Finding, Severity, look
from shadowserve.judgement.findings.memory_growth import growth_per_request
from shadowserve.statistics.tally import Confusion
from shadowserve.versions.training import TrainingData

SECRET = "s3cret-value"
CHANCE = np.random.default_rng(0)


def found(known, **limits):
    return {one.kind: one for one in look(known, policy(**limits))}


def alarms(known):
    return [one for one in look(known, policy()) if one.severity.is_alarm]


STEADY = Differing([False] * 8, [False] * 8)


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
        if (frame["age"] % 6 == 0).any():
            raise ValueError(SECRET)
        return double(frame, params)

    one = found(known_of(tmp_path, opaque(fail), rescore=True))["error_rate"]
    assert one.severity is Severity.CRITICAL
    assert "ValueError" in one.message
    assert "scored again twice" in one.message
    assert SECRET not in json.dumps(one.to_dict())
    assert one.since == 1
    assert one.effect.value == pytest.approx(50 / 300)


def test_errors_that_the_champion_has_too_are_only_its_own(tmp_path):
    def fail(frame, params):
        if (frame["age"] > 250).any():
            raise ValueError(SECRET)
        return double(frame, params)

    known = known_of(tmp_path, opaque(fail), champion=opaque(fail, number=3))
    one = found(known)["error_rate"]
    assert (one.where.role, one.severity) == ("champion", Severity.NOTE)


def test_nan_is_named(tmp_path):
    def holes(frame, params):
        return np.where(frame["age"].to_numpy() % 10 == 0, np.nan, double(frame, params))

    one = found(known_of(tmp_path, opaque(holes), rescore=True))["nonfinite_output"]
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


def test_one_item_in_every_list_is_named(tmp_path):
    def ranked(frame, params):
        return [[f"film {(int(age) * 7 + k) % 90}" for k in range(5)] for age in frame["age"]]

    def promoted(frame, params):
        return [[*row[:4], "egg"] for row in ranked(frame, params)]

    known = known_of(tmp_path, opaque(promoted), champion=opaque(ranked, number=3))
    one = found(known)["concentration"]
    assert (one.where.items, one.effect.value, one.effect.baseline) == (("egg",), 1.0, 0.0)
    assert one.severity is Severity.WARNING


def test_an_output_that_stopped_to_vary_is_named(tmp_path):
    one = found(known_of(tmp_path, opaque(lambda f, p: np.full(len(f), 7.0))))["concentration"]
    assert "nearly the same" in one.message


def test_two_absurd_answers_of_the_champion_are_no_collapse_of_the_challenger(tmp_path):
    chance = np.random.default_rng(4)

    def usual(frame, params):
        return frame["age"].to_numpy() % 97 + chance.normal(0, 0.1, len(frame))

    def absurd(frame, params):
        return np.where(frame["age"].isin([40, 200]), 1e9, usual(frame, params))

    known = known_of(tmp_path, opaque(usual), champion=opaque(absurd, number=3))
    assert "concentration" not in found(known)


def test_another_unit_is_no_collapse(tmp_path):
    kinds = found(known_of(tmp_path, opaque(lambda f, p: double(f, p) / 1_000)))
    assert "prediction_divergence" in kinds
    assert "concentration" not in kinds


def fields(frame, params):
    age = frame["age"]
    return pd.DataFrame({"price": age * 7, "old": age > 150, "score": (age % 10 + 1) / 10})


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


def test_a_field_that_is_gone_is_another_form_and_nothing_else(tmp_path):
    off = opaque(lambda f, p: fields(f, p).drop(columns="score"))
    # So many that the control has timed enough: the journal's own times are made up.
    kinds = found(known_of(tmp_path, off, champion=opaque(fields, number=3), n=420))
    assert kinds["structure_change"].where.output == "score: present becomes score: absent"
    assert set(kinds) <= {"structure_change", "prediction_divergence"}


def parity(frame, params):
    return ["odd" if age % 2 else "even" for age in frame["age"]]


def test_one_label_for_everything_is_named(tmp_path):
    known = known_of(tmp_path, opaque(lambda f, p: ["odd"] * len(f)), champion=opaque(parity))
    assert "one label is 100 %" in found(known)["concentration"].message


def topics(*, of_shipping: str):
    """A class for each request: 'shipping' for a third of them, unless the version calls it otherwise."""
    names = {0: of_shipping, 1: "refund"}
    return lambda frame, params: [names.get(age % 3, "login") for age in frame["age"]]


def test_a_class_that_is_never_answered_any_more_is_named_with_its_share(tmp_path):
    lost = opaque(topics(of_shipping="login"))
    known = known_of(tmp_path, lost, champion=opaque(topics(of_shipping="shipping"), number=3))
    one = found(known)["prediction_divergence"]
    assert "it never answers shipping; the champion did for 33 %" in one.message
    assert one.where.items == ("shipping",)


def test_a_class_that_is_rare_by_chance_is_not_said_to_be_never_answered(tmp_path):
    """Three answers of the champion's prove nothing."""

    def rare(frame, params):
        return ["rare" if age in (7, 70, 170) else "login" for age in frame["age"]]

    known = known_of(tmp_path, opaque(topics(of_shipping="login")), champion=opaque(rare, number=3))
    assert "never answers" not in found(known)["prediction_divergence"].message


def test_ids_that_are_off_by_one_are_a_critical_divergence_and_whole_numbers_are_explained(
    tmp_path,
):
    """Numbers of a catalogue: each answer is another product."""
    ids = lambda off: opaque(  # noqa: E731
        lambda f, p: [40_000_000 + 7 * int(age) + off for age in f["age"]], number=4 if off else 3
    )
    known = known_of(tmp_path, ids(1), champion=ids(0))
    one = found(known)["prediction_divergence"]
    assert one.severity is Severity.CRITICAL
    assert one.effect.value == 1.0
    assert "--output-kind number" in one.message


def test_swapped_labels_are_seen_as_such(tmp_path):
    turned = opaque(lambda f, p: ["even" if age % 2 else "odd" for age in f["age"]])
    known = known_of(tmp_path, turned, champion=opaque(parity))
    assert "the two labels look swapped" in found(known)["prediction_divergence"].message


@pytest.mark.parametrize(
    ("places", "said"),
    [
        ({1: 2, 2: 1}, "; the two labels look swapped"),
        ({1: 2, 2: 3, 3: 1}, "; 3 labels look permuted"),
        ({1: 2}, ""),
        ({}, ""),
    ],
)
def test_labels_that_changed_places_among_others_are_seen_as_such(places, said):
    table = Confusion()
    labels = list(range(5)) * 20
    table.add(labels, [places.get(label, label) for label in labels])
    assert swapped({"confusion": table.summary()}) == said


def test_few_labels_that_are_alike_are_no_collapse(tmp_path):
    """At the first looks one label for all is chance."""
    first = opaque(lambda f, p: ["odd"] * len(f))
    rare = opaque(lambda f, p: ["even" if age == 3 else "odd" for age in f["age"]], number=3)
    assert "concentration" not in found(known_of(tmp_path, first, champion=rare, n=6))


def scored(known, challenger, control, classes=((0, 1), (0, 1))):
    """Put paired probabilities in."""
    known.learned.classes, known.control.classes = map(list, classes)
    known.control.noise.scores_again.add(np.zeros(100))
    pairs = tuple(
        Pair(i + 1, None, None, (), (), a.tolist(), b.tolist())
        for i, (a, b) in enumerate(zip(challenger, control, strict=True))
    )
    return dataclasses.replace(known, pairs=pairs)


def both_ways(yes):
    return np.column_stack([1 - yes, yes])


def test_scores_that_are_surer_of_every_answer_have_shifted_too(tmp_path):
    """No class gains: what is likely is likelier, and every threshold but one half is off."""
    yes = np.random.default_rng(0).uniform(0.1, 0.9, 300)
    surer = np.clip(0.5 + 2 * (yes - 0.5), 0, 1)
    known = known_of(tmp_path, opaque(double), n=30)
    one = found(scored(known, both_ways(surer), both_ways(yes)))["score_shift"]
    assert one.where.output == "probability of the likeliest class"
    assert one.effect.value > 0.1
    less = found(scored(known, both_ways(yes), both_ways(surer)))["score_shift"]
    assert less.effect.value < -0.1
    assert "score_shift" not in found(scored(known, both_ways(yes), both_ways(yes)))


def test_a_large_shift_is_told_as_large_as_it_is(tmp_path):
    """SS-107: 0.51 and 0.99 give one label; what is clipped to be found soon is told in full."""
    known = known_of(tmp_path, opaque(double), n=30)
    before, after = (np.full(300, yes) for yes in (0.51, 0.99))
    one = found(scored(known, both_ways(after), both_ways(before)))["score_shift"]
    assert one.effect.value == pytest.approx(0.48)
    assert one.effect.low < 0.48 < one.effect.high


def test_scatter_about_the_same_scores_is_no_shift(tmp_path):
    """The champion's likeliest class looks too likely where its scores scatter: so does any maximum."""
    chance = np.random.default_rng(1)
    own, theirs = (np.clip(0.5 + chance.normal(0, 0.1, 1_000), 0, 1) for _ in range(2))
    known = known_of(tmp_path, opaque(double), n=30)
    known.control.noise.scores_again.add([1.0, 0.0])
    assert "score_shift" not in found(scored(known, both_ways(own), both_ways(theirs)))


def test_the_class_that_moved_most_is_named(tmp_path):
    control = np.random.default_rng(2).dirichlet([5, 5, 5], 400)
    challenger = control + np.array([-0.04, -0.06, 0.10])
    known = known_of(tmp_path, opaque(double), n=30)
    labels = ("a", "b", "c")
    one = found(scored(known, challenger, control, (labels, labels)))["score_shift"]
    assert one.where.output == "probability of class c"
    assert one.effect.value == pytest.approx(0.1)


def test_probabilities_in_another_order_of_classes_have_not_moved(tmp_path):
    yes = np.random.default_rng(0).uniform(0.1, 0.9, 300)
    known = known_of(tmp_path, opaque(double), n=30)
    turned = scored(known, both_ways(yes)[:, ::-1], both_ways(yes), (("b", "a"), ("a", "b")))
    assert not {"score_shift", "structure_change"} & set(found(turned))
    served = dataclasses.replace(
        turned, deployment=deployment(options={**OPTIONS, "method": "predict_proba"})
    )
    assert found(served)["structure_change"].severity is Severity.CRITICAL


def test_a_class_that_one_version_lacks_is_said_once(tmp_path):
    known = known_of(tmp_path, opaque(double), n=30)
    known.learned.classes, known.control.classes = ["b", "c"], ["a", "b", "c"]
    one = found(known)["structure_change"]
    assert (one.severity, one.where.items) == (Severity.WARNING, ("a",))
    known.learned.classes, known.control.classes = ["a", "b", "c"], ["b", "c"]
    assert found(known)["structure_change"].severity is Severity.NOTE


def test_a_change_is_dated(tmp_path):
    """The challenger agrees, and from one request on it does not."""
    known = known_of(tmp_path, opaque(lambda f, p: double(f, p) * (1 + 2 * (f["age"].to_numpy() >= 300))), n=900)  # fmt: skip
    one = found(known)["change_point"]
    assert abs(one.since - 301) <= 20


@pytest.mark.parametrize("theirs", [0.7, 0.2, -0.7])
def test_a_change_that_no_old_request_proves_is_a_note_whatever_the_champion_does(tmp_path, theirs):
    known = known_of(tmp_path, opaque(double), n=30)
    for side, by in ((known.learned, 0.8), (known.control, theirs)):
        before, after = (0.1, 0.1 + by) if by > 0 else (0.1 - by, 0.1)
        rows = np.random.default_rng(0).random(2_000) < np.repeat([before, after], 1_000)
        side.outputs.change.add(rows.astype(float), np.arange(2_000))
        assert side.outputs.change.change() is not None
    assert found(known)["change_point"].severity is Severity.NOTE


def test_a_request_that_kills_is_named_whatever_else(tmp_path):
    known = known_of(tmp_path, opaque(double))
    known.learned.failures.poisoned(Poison(77, "r", "deadline", "predict", 10_000.0, {"title": 25}))
    one = found(known)["poison_request"]
    assert one.severity is Severity.CRITICAL
    assert (one.examples, one.where.step, one.where.columns) == ((77,), "predict", ("title",))
    assert "deadline" in one.message


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


def close_calls(noise, *, wrong=()):
    """A label that turns on the age, with noise on the score; wrong for some titles."""
    chance = np.random.default_rng(3)

    def said(frame, params):
        score = frame["age"].to_numpy() - 40 + chance.normal(0, noise, len(frame))
        return (score > 0) ^ frame["title"].isin(wrong).to_numpy()

    return said


def met(n):
    """Requests of whom a third are near the turn, with titles that have nothing to do with it."""
    chance = np.random.default_rng(4)
    titles = chance.choice(["red", "blue", "green", "gold"], n, p=[0.5, 0.3, 0.1, 0.1]).tolist()
    return [
        {"age": a, "title": t}
        for a, t in zip(chance.normal(40, 10, n).tolist(), titles, strict=True)
    ]


def slices(known):
    return {one.where.slice: one for one in look(known, policy()) if one.kind == "slice_divergence"}


def test_noise_where_calls_are_close_is_no_slice(tmp_path):
    """F11, another way: what comes back on a second scoring is wrong, the rest is noise."""
    noisy = opaque(close_calls(4.0))
    known = known_of(tmp_path, noisy, champion=opaque(close_calls(0.0), number=3), sent=met(1_000), rescore=True)  # fmt: skip
    assert found(known)["nondeterminism"].severity is Severity.WARNING
    assert slices(known)
    assert not any(one.severity.is_alarm for one in slices(known).values())


def test_a_wrong_slice_is_named_beside_noise_that_is_none(tmp_path):
    noisy = opaque(close_calls(2.0, wrong=["gold"]))
    known = known_of(tmp_path, noisy, champion=opaque(close_calls(0.0), number=3), sent=met(900), rescore=True)  # fmt: skip
    alarmed = [one.where.columns for one in slices(known).values() if one.severity.is_alarm]
    assert alarmed == [("title",)]


def test_the_champions_noise_where_calls_are_close_is_no_slice_of_the_challenger(tmp_path):
    champion = opaque(close_calls(4.0), number=3)
    known = known_of(tmp_path, opaque(close_calls(0.0)), champion=champion, sent=met(700), rescore=True)  # fmt: skip
    assert slices(known)
    assert not any(one.severity.is_alarm for one in slices(known).values())


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


def test_a_form_that_varies_from_call_to_call_in_both_is_no_alarm(tmp_path):
    chance = np.random.default_rng(6)

    def lists(frame, params):
        return [list(range(1, 5 + chance.integers(2))) for _ in frame["age"]]

    both = opaque(lists), opaque(lists, number=3)
    one = found(known_of(tmp_path, both[0], champion=both[1]))["structure_change"]
    assert one.severity is Severity.NOTE
    assert 0.3 < one.effect.value < 0.7


def test_a_version_that_wanders_is_named(tmp_path):
    chance = np.random.default_rng(1)
    known = known_of(tmp_path, opaque(lambda f, p: double(f, p) + chance.random(len(f))), rescore=True)  # fmt: skip
    assert found(known)["nondeterminism"].severity is Severity.WARNING


def test_a_slower_version_is_named_beyond_the_margin_only(tmp_path):
    known = known_of(tmp_path, opaque(double))
    assert found(timed(known, times=1.5))["latency"].effect.value == pytest.approx(1.5, rel=0.02)
    assert "latency" not in found(timed(known, times=1.05))
    assert "latency" not in found(timed(known, times=0.5))


def test_a_version_that_was_slower_in_its_own_time_only_is_a_note_that_says_so(tmp_path):
    one = found(timed(known_of(tmp_path, opaque(double)), times=1.5, in_turn=False))["latency"]
    assert one.severity is Severity.NOTE
    assert "restart its lane" in one.message


def busy(known, *, ms):
    """Let requests come faster than one process of the challenger serves them."""
    known.learned.busy_ms.add(np.full(200, ms))
    known.learned.elapsed._workers = {0: (int(known.learned.requests * 1e9 / 150), 0)}
    return known


def test_a_version_that_cannot_keep_up_is_named_where_it_takes_a_quarter_more(tmp_path):
    known = busy(known_of(tmp_path, opaque(double)), ms=20.0)
    assert found(timed(known, times=1.4))["capacity"].severity is Severity.WARNING
    assert "capacity" not in found(timed(known, times=1.1))


def test_one_request_that_takes_seconds_for_both_is_no_want_of_capacity(tmp_path):
    """Timed for one lane only, it would be most of that lane's time."""
    known = busy(known_of(tmp_path, opaque(double)), ms=20.0)
    for own, theirs in ((3_200.0, 3_200.0), (3_200.0, 20.0)):
        same = timed(known, times=1.0)
        ms = np.full(16, 20.0)
        slow = np.where(np.arange(16) == 7, 1.0, 0.0)
        for burst in range(40, 60):
            one = slow * (burst == 42)
            same.learned.pairing.paired.add(
                burst, np.where(one, theirs, ms), np.where(one, own, ms)
            )
        assert "capacity" not in found(same)


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
    from shadowserve.judgement.findings import Effect

    told = Finding("latency", Severity.NOTE, "x", effect=Effect("m", 1.0, 0.5, float("inf")))
    assert json.loads(json.dumps(told.to_dict(), allow_nan=False))["effect"]["high"] is None
