"""A collapse onto little is named with what it collapsed on; absurd answers and other units are none."""

from __future__ import annotations

import numpy as np
import pytest

from rig.judging import found, known_of
from rig.scoring import double, opaque, parity
from shadowserve.judgement.findings import Severity


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


def test_one_label_for_everything_is_named(tmp_path):
    known = known_of(tmp_path, opaque(lambda f, p: ["odd"] * len(f)), champion=opaque(parity))
    assert "one label is 100 %" in found(known)["concentration"].message


def test_few_labels_that_are_alike_are_no_collapse(tmp_path):
    """At the first looks one label for all is chance."""
    first = opaque(lambda f, p: ["odd"] * len(f))
    rare = opaque(lambda f, p: ["even" if age == 3 else "odd" for age in f["age"]], number=3)
    assert "concentration" not in found(known_of(tmp_path, first, champion=rare, n=6))
