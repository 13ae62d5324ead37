"""Another form of answer is named, unless the champion's form varies alike."""

from __future__ import annotations

import numpy as np

from rig.judging import found, known_of
from rig.scoring import double, fields, opaque
from shadowserve.judgement.findings import Severity


def test_another_form_of_answer_is_a_structure_change(tmp_path):
    known = known_of(tmp_path, opaque(lambda f, p: [str(v) for v in double(f, p)]))
    one = found(known)["structure_change"]
    assert one.severity is Severity.CRITICAL
    assert one.effect.value == 1.0


def test_a_field_that_is_gone_is_another_form_and_nothing_else(tmp_path):
    off = opaque(lambda f, p: fields(f, p).drop(columns="score"))
    # So many that the control has timed enough: the journal's own times are made up.
    kinds = found(known_of(tmp_path, off, champion=opaque(fields, number=3), n=420))
    assert kinds["structure_change"].where.output == "score: present becomes score: absent"
    assert set(kinds) <= {"structure_change", "prediction_divergence"}


def test_a_class_that_one_version_lacks_is_said_once(tmp_path):
    known = known_of(tmp_path, opaque(double), n=30)
    known.learned.classes, known.control.classes = ["b", "c"], ["a", "b", "c"]
    one = found(known)["structure_change"]
    assert (one.severity, one.where.items) == (Severity.WARNING, ("a",))
    known.learned.classes, known.control.classes = ["a", "b", "c"], ["b", "c"]
    assert found(known)["structure_change"].severity is Severity.NOTE


def test_a_form_that_varies_from_call_to_call_in_both_is_no_alarm(tmp_path):
    chance = np.random.default_rng(6)

    def lists(frame, params):
        return [list(range(1, 5 + chance.integers(2))) for _ in frame["age"]]

    both = opaque(lists), opaque(lists, number=3)
    one = found(known_of(tmp_path, both[0], champion=both[1]))["structure_change"]
    assert one.severity is Severity.NOTE
    assert 0.3 < one.effect.value < 0.7
