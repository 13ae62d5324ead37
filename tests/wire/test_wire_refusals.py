"""A refusal has its protocol's form, and no form holds more than the error says."""

from __future__ import annotations

import json

import jsonschema_rs
import numpy as np
import pytest

from shadowserve.errors import RequestError
from shadowserve.wire.refusals import OBJECT, TEXT, brief


@pytest.mark.parametrize("column", ["a", 3, None])
def test_an_error_has_the_contracts_form(column):
    error = RequestError("Column 'a'.", code="wrong_type", column=column, row=3)
    assert json.loads(OBJECT.write(error, "r1")) == {
        "error": {
            "code": "wrong_type",
            "message": "Column 'a'.",
            "column": column,
            "row": 3,
            "request_id": "r1",
        }
    }


def test_a_column_of_another_kind_is_named_by_its_text():
    error = RequestError("x", code="wrong_type", column=np.int64(3))
    assert json.loads(OBJECT.write(error, "r1"))["error"]["column"] == "3"


@pytest.mark.parametrize("form", [OBJECT, TEXT], ids=lambda form: form.name)
def test_each_form_is_of_the_shape_that_the_document_tells(form):
    fits = jsonschema_rs.validator_for(form.shape)
    for error in (RequestError("x", code="empty"), RequestError("y", code="z", column="a", row=0)):
        assert fits.is_valid(json.loads(form.write(error, "r1")))
    assert not fits.is_valid({"error": 3})


def test_the_console_adds_what_else_is_known():
    told = json.loads(brief(RequestError("x", code="bad_labels"), faults=[{"row": 1}]))
    assert told == {"error": {"code": "bad_labels", "message": "x", "faults": [{"row": 1}]}}
