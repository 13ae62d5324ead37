"""Answers apart beyond the noise are named in the words of their kind; noise is not."""

from __future__ import annotations

import numpy as np
import pytest

from rig.judging import alarms, found, known_of
from rig.scoring import double, opaque, parity
from shadowserve.divergence.confused import swapped
from shadowserve.judgement.findings import Severity
from shadowserve.statistics.tally import Confusion


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
