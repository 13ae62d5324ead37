"""Tensor signatures take nested lists of the declared shape, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest

from shadowserve.errors import RequestError
from shadowserve.schema.tensors import Tensor


@pytest.mark.parametrize(
    ("dtype", "values"),
    [
        ("float64", [[1, 2.5], [None, 4]]),
        ("float32", [[0.1, 2], [3, 4]]),
        ("float16", [[1, 2], [3, 4]]),
        ("int64", [[1, 2.0], [3, 2**62]]),
        ("uint8", [[0, 255], [1, 2]]),
        ("bool", [[True, False], [True, True]]),
    ],
)
def test_nested_lists_become_an_array_of_the_declared_dtype(dtype, values):
    typed = Tensor(None, dtype, (-1, 2)).type(values)
    np.testing.assert_array_equal(typed, np.array(values, dtype=dtype))
    assert typed.dtype == np.dtype(dtype)


def test_text_is_object_so_that_its_width_does_not_depend_on_the_batch():
    assert Tensor("v", "str", (-1,)).type(["a", "long text"]).dtype == object


def test_a_wrong_number_of_features_is_refused_with_both_numbers():
    with pytest.raises(RequestError, match="expected 4 features, 3 came") as caught:
        Tensor(None, "float64", (-1, 4)).type([[1, 2, 3]])
    assert caught.value.code == "wrong_shape"


@pytest.mark.parametrize("values", [[1, 2], [[1, 2], [1]], [[[1], [2]]], 3, {"a": 1}, [[1, 2], 3]])
def test_another_shape_is_refused(values):
    with pytest.raises(RequestError):
        Tensor(None, "float64", (-1, 2)).type(values)


@pytest.mark.parametrize(
    ("dtype", "value"),
    [
        ("uint8", 256),
        ("int8", -129),
        ("int32", 1.5),
        ("int64", 2.0**53),
        ("uint64", 2.0**53),
        ("float16", 1e6),
        ("bool", 1),
        ("float64", "1"),
    ],
)
def test_a_value_that_does_not_fit_is_refused_with_its_row(dtype, value):
    fine = True if dtype == "bool" else 1
    with pytest.raises(RequestError) as caught:
        Tensor(None, dtype, (-1, 2)).type([[fine, fine], [fine, value]])
    assert caught.value.row == 1
    assert "row 1:" in str(caught.value)
