"""Probabilities that moved are told as large as they did; scatter and another order are no move."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from rig.deployment import OPTIONS, deployment
from rig.judging import found, known_of
from rig.scoring import double, opaque
from shadowserve.judgement.findings import Severity
from shadowserve.judgement.pairs import Pair


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


def test_another_class_that_moves_is_another_finding_though_it_moves_by_less(tmp_path):
    """Accepting the one excuses no other."""
    known = known_of(tmp_path, opaque(double), n=30)
    control = np.random.default_rng(2).dirichlet([5, 5, 5], 400)
    labels = ("a", "b", "c")
    ids = [
        found(scored(known, control + np.array(moved), control, (labels, labels)))["score_shift"].id
        for moved in ([-0.04, -0.06, 0.10], [-0.04, 0.09, -0.05], [-0.05, -0.06, 0.11])
    ]
    assert ids[0] != ids[1]
    assert ids[0] == ids[2]


def test_probabilities_in_another_order_of_classes_have_not_moved(tmp_path):
    yes = np.random.default_rng(0).uniform(0.1, 0.9, 300)
    known = known_of(tmp_path, opaque(double), n=30)
    turned = scored(known, both_ways(yes)[:, ::-1], both_ways(yes), (("b", "a"), ("a", "b")))
    assert not {"score_shift", "structure_change"} & set(found(turned))
    served = dataclasses.replace(
        turned, deployment=deployment(options={**OPTIONS, "method": "predict_proba"})
    )
    assert found(served)["structure_change"].severity is Severity.CRITICAL
