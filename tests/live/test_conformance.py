"""For good input the same JSON as MLflow's own scoring app, in this process; refusals where it refuses."""

from __future__ import annotations

import json

import pandas as pd
import pytest
from pairs import ROWS, TABLE_BODIES, TYPED

pytestmark = [
    pytest.mark.live,
    pytest.mark.filterwarnings("ignore"),  # MLflow's and its dependencies' own
]

GOOD = [
    (model, body) for model in ("ridge", "tree", "frame", "series") for body in TABLE_BODIES
] + [
    ("types", {"dataframe_records": [TYPED]}),
    ("types", {"instances": [TYPED, TYPED]}),
    ("types", {"inputs": {k: [v] for k, v in TYPED.items()}}),
    ("types", {"dataframe_records": [TYPED | {"integer": 1.0, "float": 3, "double": -7}]}),
    ("types", {"dataframe_records": [TYPED | {"double": None, "float": None, "datetime": None}]}),
    ("types", {"dataframe_records": [TYPED | {"datetime": "2024-03-01"}]}),
    ("types", {"dataframe_records": [TYPED | {"string": "", "double": 1e300}]}),
    ("binary", {"dataframe_records": [{"x": "aGk="}]}),
    ("numbered", {"inputs": [[1, 2.5], [3, 4]]}),
    ("numbered", {"instances": [[1, 2.5]]}),
    ("numbered", {"dataframe_split": {"data": [[1, 2.5]]}}),
    ("zero", {"dataframe_split": {"columns": [1, 0], "data": [[2, 1]]}}),
    ("zero", {"inputs": [[1, 2]]}),
    ("text", {"inputs": ["x", "y"]}),
    ("text", {"instances": ["x"]}),
    ("text", {"inputs": "x"}),
    ("lone", {"inputs": [1, 2]}),
    ("lone", {"instances": [1.5]}),
    ("lone", {"inputs": {"a": 1}}),
    ("tensor", {"inputs": [[1, 2, 3], [4, 5, 6.5]]}),
    ("tensor", {"instances": [[1, 2, None]]}),
    ("tensor", {"dataframe_split": {"columns": ["a", "b", "c"], "data": [[1, 2, 3]]}}),
    ("tensor", {"dataframe_records": [{"a": 1, "b": 2.5, "c": 3}]}),
    ("tensors", {"inputs": {"u": [[1, 2]], "v": [3]}}),
    ("tensors", {"instances": [{"u": [1, 2], "v": 3}]}),
    ("unsigned", {"dataframe_records": [{"b": "02139", "a": 1.5, "c": True}]}),
    ("unsigned", {"dataframe_split": {"columns": ["a"], "data": [[1], [None]]}}),
    ("unsigned", {"instances": [[1, 2.5]]}),
]


@pytest.mark.parametrize(("model", "document"), GOOD)
def test_good_input_is_answered_as_mlflow_answers_it(pairs, model, document):
    body = json.dumps(document).encode()
    wanted = pairs[model].theirs(body, "application/json")
    assert wanted[0] == 200
    assert pairs[model].ours(body, "application/json") == wanted


@pytest.mark.parametrize("model", ["ridge", "tree", "frame"])
def test_csv_is_answered_as_mlflow_answers_it(pairs, model):
    body = pd.DataFrame(ROWS).to_csv(index=False).encode()
    assert pairs[model].ours(body, "text/csv") == pairs[model].theirs(body, "text/csv")


BAD = [
    ("ridge", b""),
    ("ridge", b"null"),
    ("ridge", b"[]"),
    ("ridge", b"{}"),
    ("ridge", b'{"dataframe_records":[]}'),
    ("ridge", b'{"dataframe_records":[{}]}'),
    ("ridge", b'{"dataframe_records":[{"age":1}]}'),
    ("ridge", b'{"dataframe_records":[],"instances":[]}'),
    ("ridge", b'{"dataframe_split":{"data":[[1,2,"x"]]}}'),
    ("ridge", b'{"inputs":[[1,2,"x"]]}'),
    ("tensor", b'{"inputs":[[1,2]]}'),
    ("lone", b'{"inputs":[[1],[2]]}'),
    ("lone", b'{"inputs":1}'),
]


@pytest.mark.parametrize(("model", "body"), BAD)
def test_what_mlflow_refuses_is_refused(pairs, model, body):
    theirs = pairs[model].theirs(body, "application/json")
    assert (theirs[0], pairs[model].ours(body, "application/json")[0]) == (400, 400)
