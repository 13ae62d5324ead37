"""Versions that no example can be tried on, dates in other units, and what `check` says of them."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from rig.check import TRIAL, side
from rig.scoring import SIGNATURE, version
from shadowserve.check import check
from shadowserve.check.trial import Passage
from shadowserve.cli.checking import _behaviour
from shadowserve.schema.schema import Schema
from shadowserve.scorer import probing, tryout
from shadowserve.scorer.loading import Loaded
from shadowserve.settings.options import Options

DATES = {"inputs": [{"name": "day", "type": "datetime", "required": True}]}


def tried(predict, *, signature=SIGNATURE, probe="example", example=None):
    loaded = Loaded(native=None, predict=predict, method="predict", input_example=example)
    return tryout.tried(version(signature=signature), loaded, options=Options(probe=probe))


def fails(rows, _params):
    raise KeyError("s3cret")


def ones(rows, _params):
    return [1.0] * len(rows)


def test_a_version_without_an_example_that_always_raises_is_told_at_the_start():
    scorer = tried(fails)
    assert scorer.sharing.tried.startswith(
        "a row made from its signature, on which it fails: KeyError at"
    )
    assert scorer.sharing.tries == 1
    assert any("on which it fails" in note for note in scorer.notes)
    assert "s3cret" not in str(scorer.notes)


def test_a_version_without_an_example_is_tried_on_a_made_up_row_once():
    calls = []
    scorer = tried(lambda rows, _: calls.append(len(rows)) or [1.0])
    assert calls == [1]
    assert scorer.sharing.tried == "a row made from its signature, as it has no input example"


@pytest.mark.parametrize(
    ("signature", "probe", "told"),
    [
        (None, "example", "nothing: it has no input example, and no signature"),
        ({"inputs": [{"name": "a", "type": "any", "required": True}]}, "example", "nothing"),
        (SIGNATURE, "none", ""),
    ],
)
def test_what_was_not_tried_is_said_and_not_called(signature, probe, told):
    scorer = tried(fails, signature=signature, probe=probe)
    assert scorer.sharing.tries == 0
    assert scorer.sharing.tried.startswith(told)


@pytest.mark.parametrize(
    "type_", ["boolean", "integer", "long", "float", "double", "string", "datetime", "binary"]
)
def test_a_row_is_made_of_every_plain_type(type_):
    signed = {"inputs": [{"name": "a", "type": type_, "required": True}]}
    unnamed = {"inputs": [{"type": type_, "required": False}]}
    for signature in (signed, unnamed):
        assert probing.made_up(Schema.from_signature(signature)).n_rows == 1


def whole_numbers(rows, _params):
    return rows["day"].astype("int64").to_numpy() // 10**15


def test_an_answer_that_depends_on_the_unit_of_dates_is_noted():
    example = {"dataframe_split": {"columns": ["day"], "data": [["2026-01-01T00:00:00"]]}}
    assert any(
        "unit in which dates are held" in n
        for n in tried(whole_numbers, signature=DATES, example=example).notes
    )
    calls = []
    year = tried(
        lambda rows, _: calls.append(len(rows)) or rows["day"].dt.year.to_numpy(),
        signature=DATES,
        example=example,
    )
    assert not any("unit" in note for note in year.notes)
    assert year.sharing.tries == len(calls)


def test_dates_in_other_units_are_the_same_moments():
    rows = Schema.from_signature(DATES).type_records([{"day": "2026-01-01T00:00:00"}])
    assert [str(other.columns["day"].dtype) for other in probing.in_units(rows)] == [
        "datetime64[us]",
        "datetime64[s]",
    ]
    assert all(
        (other.columns["day"] == rows.columns["day"]).all() for other in probing.in_units(rows)
    )
    assert (
        probing.in_units(
            Schema.from_signature(SIGNATURE).type_records([{"age": 1.0, "title": "x"}])
        )
        == []
    )
    assert np.issubdtype(rows.columns["day"].dtype, np.datetime64)


def test_check_does_not_say_alike_twice_of_what_was_not_tried():
    told = dataclasses.replace(TRIAL, own=None, champion=None, calls=1, batching="row by row")
    said = _behaviour({"trial": told.to_dict()})
    assert "alike twice" not in said
    assert "made-up row at most" in said


def test_one_example_does_not_settle_a_kind_that_the_team_says():
    label = Passage(n_rows=1, kind="label", answers=[1])
    number = Passage(n_rows=1, kind="number", answers=[7])
    sides = side(3, own=label, champion=label), side(4, own=number, champion=number)
    assert "--output-kind" in check(*sides).incompatible[0]
    assert check(*sides, output_kind="label").compatible


def test_a_tensor_and_a_table_are_laid_side_by_side_by_their_examples():
    """ONNX from a pipeline: one unnamed tensor, where the champion has columns."""
    tensor = {"columns": [["", "tensor float32", True]]}
    assert check(side(3), side(4, **tensor)).compatible
    assert check(side(3, **tensor), side(4)).compatible
    assert not any(
        "does not look at" in text for text in check(side(3), side(4, **tensor)).not_comparable
    )
    refused = Passage(fault="wrong shape")
    assert not check(side(3), side(4, **tensor, champion=refused)).compatible
