"""Which kind of output is what."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from shadowserve.divergence import Kind, by_row, detect, kind_named
from shadowserve.errors import SettingsError

TEXT = "a description that goes on for more than forty letters"


@pytest.mark.parametrize(
    ("sample", "hints", "kind"),
    [
        ([0, 1, 1], {}, Kind.LABEL),
        ([0, 1, 1], {"classifier": False}, Kind.NUMBER),
        ([0, 7, 3], {}, Kind.LABEL),
        ([0, 7, 3], {"classifier": True}, Kind.LABEL),
        ([0, 7, 3], {"n_classes": 10}, Kind.LABEL),
        ([0.0, 1.0], {"classifier": True}, Kind.LABEL),
        ([0.0, 1.0], {}, Kind.NUMBER),
        ([0.5, None, float("nan")], {}, Kind.NUMBER),
        ([True, False], {}, Kind.LABEL),
        (["yes", "no"], {}, Kind.LABEL),
        ([TEXT, TEXT], {}, Kind.TEXT),
        (["x" * 60], {}, Kind.LABEL),
        ([[0.2, 0.8], [0.5, 0.5]], {}, Kind.PROBABILITY),
        (np.array([[0.2, 0.8], [0.5, 0.5]]), {}, Kind.PROBABILITY),
        ([[0.2, 0.8], [0.5, 0.6]], {}, Kind.MULTI),
        ([[0.2, 0.7], [0.5, 0.6]], {"n_classes": 2}, Kind.PROBABILITY),
        ([{"yes": 0.2, "no": 0.8}], {}, Kind.PROBABILITY),
        ([{"id": "x", "score": 0.3}], {}, Kind.RECORD),
        ([[17, 4, 9], [4, 2, 1]], {}, Kind.RANKING),
        ([["a", "b"], ["b", "c"]], {}, Kind.RANKING),
        ([[0, 1], [1, 0]], {}, Kind.MULTI),
        ([["a", "a"]], {}, Kind.MULTI),
        ([[0.5] * 16], {}, Kind.VECTOR),
        ([[12.5, 3.25, 1.0]], {}, Kind.MULTI),
        ([[1, "a"]], {}, Kind.MULTI),
        ([[[0.5, 0.5], [1.0, 0.0]]], {}, Kind.MULTI),
    ],
)
def test_outputs_show_their_kind(sample: Any, hints: dict[str, Any], kind: Kind) -> None:
    assert detect(None, sample, **hints) is kind


@pytest.mark.parametrize(
    ("outputs", "hints", "kind"),
    [
        ([{"type": "double"}], {}, Kind.NUMBER),
        ([{"type": "long"}], {}, Kind.LABEL),
        ([{"type": "long"}], {"classifier": True}, Kind.LABEL),
        ([{"type": "string"}], {}, Kind.LABEL),
        ([{"type": "boolean"}], {}, Kind.LABEL),
        ([{"type": "double", "name": "a"}, {"type": "string", "name": "b"}], {}, Kind.RECORD),
        ([{"type": "array", "items": {"type": "string"}}], {}, Kind.RANKING),
        ([{"type": "array", "items": {"type": "double"}}], {}, Kind.VECTOR),
        ([{"type": "tensor", "tensor-spec": {"dtype": "float64", "shape": [-1]}}], {}, Kind.NUMBER),
        (
            [{"type": "tensor", "tensor-spec": {"dtype": "float64", "shape": [-1, 3]}}],
            {"classifier": True},
            Kind.PROBABILITY,
        ),
        (
            [{"type": "tensor", "tensor-spec": {"dtype": "float32", "shape": [-1, 384]}}],
            {},
            Kind.VECTOR,
        ),
        (
            [{"type": "tensor", "tensor-spec": {"dtype": "int64", "shape": [-1]}}],
            {"classifier": True},
            Kind.LABEL,
        ),
        (None, {"classifier": True}, Kind.LABEL),
        (None, {}, Kind.NUMBER),
    ],
)
def test_without_outputs_the_signature_decides(
    outputs: list[dict[str, Any]] | None, hints: dict[str, Any], kind: Kind
) -> None:
    assert detect(outputs, [], **hints) is kind
    assert detect(outputs, [None], **hints) is kind


def test_the_user_overrules_by_name_and_a_wrong_name_lists_the_right_ones() -> None:
    assert kind_named("set") is Kind.SET
    with pytest.raises(
        SettingsError, match=r"'sets' is not known\. Known: number, label, .*record"
    ):
        kind_named("sets")


@pytest.mark.parametrize(
    ("predictions", "n_rows", "expected"),
    [
        ([1, 2], 2, [1, 2]),
        ({"a": [1, 2], "b": ["x", "y"]}, 2, [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}]),
        ([[1, 2, 3], ["x", "y", "z"]], 3, [[1, "x"], [2, "y"], [3, "z"]]),
        ([[[0.5, 0.5]], [[0.2, 0.3, 0.5]]], 1, [[[0.5, 0.5], [0.2, 0.3, 0.5]]]),
        (
            [[[0.5, 0.5], [0.1, 0.9]], [[0.2, 0.3, 0.5], [1.0, 0.0, 0.0]]],
            2,
            [[[0.5, 0.5], [0.2, 0.3, 0.5]], [[0.1, 0.9], [1.0, 0.0, 0.0]]],
        ),
        ([[[1, 2], [3]], [[4, 5], [6]]], 2, [[[1, 2], [3]], [[4, 5], [6]]]),
        ([["a"], ["b"]], 1, [["a"], ["b"]]),
        ({"a": 1.5}, 1, [{"a": 1.5}]),
        (0.5, 1, [0.5]),
        ([1, 2, 3], 2, [1, 2, 3]),
    ],
)
def test_answers_are_laid_out_one_output_a_row(
    predictions: Any, n_rows: int, expected: list[Any]
) -> None:
    assert by_row(predictions, n_rows) == expected
