"""Law 4 through the real scorer and champion: generated signatures, rows and orders, real models."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import pickle
import tempfile
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import RandomForestRegressor
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import Ridge
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from rig.champion import Serving, work
from rig.scoring import version
from shadowserve.schema.rows import Rows, concat
from shadowserve.schema.schema import Column, Schema
from shadowserve.scorer import featurization
from shadowserve.scorer.featurization.identity import Agreement, check_identity, difference
from shadowserve.scorer.loading import Loaded
from shadowserve.scorer.scorer import Scorer
from shadowserve.wire.likeness import ABSOLUTE, RELATIVE, alike
from shadowserve.wire.protocols import protocols

N_TRAINING = 30
EXAMPLES = 8
WORDS = ("red", "blue", "green", "gold", "new", "old")
TABLE = protocols("films", 3)
DATATYPES = {
    "boolean": "BOOL",
    "integer": "INT32",
    "long": "INT64",
    "float": "FP32",
    "double": "FP64",
    "string": "BYTES",
}
CELLS = {
    "boolean": st.booleans(),
    "integer": st.integers(-(2**31), 2**31 - 1),
    "long": st.integers(-(2**53), 2**53),
    "float": st.floats(-1000, 1000, width=32, allow_subnormal=False) | st.none(),
    "double": st.floats(-1e6, 1e6, allow_subnormal=False) | st.integers(-99, 99) | st.none(),
    "string": st.lists(st.sampled_from([*WORDS, "Zoë", "01", 'a"b,c']), min_size=1, max_size=5).map(
        " ".join
    ),
}
WHOLE = ("integer", "long")
NAMES = st.text(st.characters(codec="utf-8", categories=["L", "N", "Zs", "P"]), min_size=1)
TREE, LINE = "tree", "line"


@st.composite
def cases(draw, *, max_rows: int = 5) -> tuple[Schema, list[dict[str, Any]]]:
    """A signature, whole numbers optional now and then, and rows that fit it."""
    names = draw(st.lists(NAMES, min_size=2, max_size=5, unique_by=str.casefold))
    types = [draw(st.sampled_from(sorted(CELLS))) for _ in names]
    columns = tuple(
        Column(name, type_, required=type_ not in WHOLE or draw(st.booleans()))
        for name, type_ in zip(names, types, strict=True)
    )
    row = st.fixed_dictionaries(
        {c.key: CELLS[c.type] if c.required else CELLS[c.type] | st.none() for c in columns}
    )
    return Schema(columns=columns), draw(st.lists(row, min_size=1, max_size=max_rows))


def training(schema: Schema) -> pd.DataFrame:
    chance = np.random.default_rng(6)
    drawn = {
        "boolean": lambda: chance.integers(2, size=N_TRAINING).astype(bool),
        "integer": lambda: chance.integers(-99, 99, N_TRAINING).astype(np.int32),
        "long": lambda: chance.integers(-99, 99, N_TRAINING),
        "float": lambda: chance.normal(size=N_TRAINING).astype(np.float32),
        "double": lambda: chance.normal(size=N_TRAINING) * 50,
        "string": lambda: [" ".join(chance.choice(WORDS, 2)) for _ in range(N_TRAINING)],
    }
    return pd.DataFrame({column.key: drawn[column.type]() for column in schema.columns})


def fitted(schema: Schema, kind: str) -> Pipeline:
    """Every column goes through the step that its type asks for; then a forest, or a line."""
    number = Pipeline([("fill", SimpleImputer()), ("scale", StandardScaler())])
    steps: list[tuple[str, Any, Any]] = []
    for at, column in enumerate(schema.columns):
        if column.type == "string":
            text = CountVectorizer() if at % 2 else OneHotEncoder(handle_unknown="ignore")
            steps.append((f"text{at}", text, column.key if at % 2 else [column.key]))
        elif column.type == "boolean":
            steps.append((f"flag{at}", OneHotEncoder(), [column.key]))
        else:
            steps.append((f"number{at}", number, [column.key]))
    rows = training(schema)
    last = RandomForestRegressor(3, random_state=0) if kind == TREE else Ridge()
    target = np.random.default_rng(7).normal(size=N_TRAINING) * 10
    return Pipeline([("columns", ColumnTransformer(steps)), ("last", last)]).fit(rows, target)


def scorer(schema: Schema, model: Pipeline) -> Scorer:
    plan = featurization.compile(model, method="predict")
    loaded = Loaded(native=model, predict=lambda rows, _: model.predict(rows), method="predict")
    names = tuple((step.name, tuple(map(str, step.columns))) for step in plan.steps)
    return Scorer(version(), loaded, plan, schema, step_names=names)


def typed(schema: Schema, records: Sequence[Mapping[str, Any]]) -> Rows:
    return schema.type_records(records)


def forms(schema: Schema, records: list[dict[str, Any]], order: list[str]) -> list[tuple]:
    """The same rows in every protocol and form, keys and columns in the order given."""
    turned = [{key: record[key] for key in order} for record in records]
    data = [[record[key] for key in order] for record in records]
    by_column = {key: [record[key] for record in records] for key in order}
    types = {column.key: column.type for column in schema.columns}
    tensors = [
        {"name": k, "datatype": DATATYPES[types[k]], "shape": [len(records)], "data": by_column[k]}
        for k in order
    ]
    split = {"columns": order, "data": data, "index": list(range(9, 9 + len(data)))}
    documents = [
        ("invocations", {"dataframe_records": records}),
        ("invocations", {"dataframe_records": turned}),
        ("invocations", {"dataframe_split": split}),
        ("invocations", {"instances": turned}),
        ("invocations", {"inputs": by_column}),
        ("predict", {"rows": turned}),
        ("infer", {"inputs": tensors}),
    ]
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerows([order, *(["" if v is None else v for v in row] for row in data)])
    asked = [(name, "application/json", json.dumps(d).encode()) for name, d in documents]
    return [*asked, ("invocations", "text/csv", text.getvalue().encode())]


def answered(
    serving: Serving, asked: Sequence[tuple[str, str, bytes]], records: list[dict[str, Any]]
) -> list[Any]:
    """Submit requests together and return the values of their answers, in order."""

    async def run() -> list[Any]:
        schema, works = serving.scorer.schema, []
        for name, content_type, body in asked:
            rows, echo = TABLE[name].parse(body, content_type, schema)
            changes = {"body": body, "rows": rows, "encode": partial(TABLE[name].encode, echo=echo)}
            works.append(work(records, schema, protocol=name, content_type=content_type, **changes))
        for one in works:
            serving.champion.submit(one)
        return list(await asyncio.gather(*(one.done for one in works)))

    ends = asyncio.run(run())
    assert [end.status for end in ends] == [200] * len(asked)
    return [TABLE[name].read(end.body) for (name, _, _), end in zip(asked, ends, strict=True)]


@pytest.mark.parametrize("kind", [TREE, LINE])
@settings(max_examples=EXAMPLES)
@given(case=cases(), chance=st.randoms())
def test_the_answer_is_identical_in_any_format_key_order_and_column_order(kind, case, chance):
    schema, records = case
    order = [column.key for column in schema.columns]
    chance.shuffle(order)
    with (
        tempfile.TemporaryDirectory() as directory,
        Serving(Path(directory), scorer(schema, fitted(schema, kind))) as serving,
    ):
        told = [answered(serving, [asked], records)[0] for asked in forms(schema, records, order)]
        journaled = serving.journaled()
    assert told == [told[0]] * len(told)
    assert len(told[0]) == len(records)
    again = [TABLE[r.protocol].parse(r.body, r.content_type, schema)[0] for r in journaled]
    assert all(repr(rows.columns) == repr(again[0].columns) for rows in again)  # what lanes type


@pytest.mark.parametrize("kind", [TREE, LINE])
@settings(max_examples=EXAMPLES)
@given(case=cases(max_rows=9), data=st.data())
def test_a_row_is_answered_alone_as_in_any_batch(kind, case, data):
    """Within the law's tolerance; by a forest exactly."""
    schema, records = case
    model = scorer(schema, fitted(schema, kind))
    edges = data.draw(
        st.sets(st.integers(1, len(records) - 1)) if len(records) > 1 else st.just(())
    )
    cuts = [0, *sorted(edges), len(records)]
    parts = [typed(schema, records[a:b]) for a, b in pairwise(cuts)]
    together = model.split(model.score(concat(parts)).output, [part.n_rows for part in parts])
    in_batch = [value for part in together for value in part.tolist()]
    alone = [model.score(typed(schema, [record])).output.tolist()[0] for record in records]
    if kind == TREE:
        assert in_batch == alone
    assert alike(in_batch, alone)
    np.testing.assert_allclose(in_batch, alone, rtol=RELATIVE, atol=ABSOLUTE)


@settings(max_examples=EXAMPLES)
@given(case=cases(max_rows=6))
def test_requests_in_company_are_answered_as_alone(case):
    """Whatever the champion's thread puts into one batch."""
    schema, records = case
    asked = [
        ("invocations", "application/json", json.dumps({"inputs": [record]}).encode())
        for record in records
    ]
    with (
        tempfile.TemporaryDirectory() as directory,
        Serving(Path(directory), scorer(schema, fitted(schema, TREE))) as serving,
    ):
        together = answered(serving, asked * 3, records)
        alone = [answered(serving, [one], records)[0] for one in asked]
    assert together == alone * 3


@pytest.mark.parametrize("kind", [TREE, LINE])
@settings(max_examples=EXAMPLES)
@given(case=cases(), chance=st.randoms())
def test_the_control_answers_the_champions_batch_bit_for_bit(kind, case, chance):
    """The control loads its own copy and types the journaled bytes for itself."""
    schema, records = case
    stored = pickle.dumps(fitted(schema, kind))
    champion, control = (scorer(schema, pickle.loads(stored)) for _ in range(2))
    order = [column.key for column in schema.columns]
    chance.shuffle(order)
    bodies = [body for name, kind, body in forms(schema, records, order) if name == "invocations"][
        :5
    ]
    batch = [TABLE["invocations"].parse(body, "application/json", schema)[0] for body in bodies]
    theirs = [TABLE["invocations"].parse(body, "application/json", schema)[0] for body in bodies]
    assert (
        difference(champion.score(concat(batch)).output, control.score(concat(theirs)).output) == ""
    )


@pytest.mark.parametrize("kind", [TREE, LINE])
@settings(max_examples=EXAMPLES)
@given(case=cases(max_rows=9))
def test_timing_changes_no_bit_of_any_answer(kind, case):
    schema, records = case
    plan = scorer(schema, fitted(schema, kind)).plan
    assert plan is not None
    assert len(plan.steps) > len(schema.columns)  # every column's step is timed, and the last
    assert check_identity(plan, typed(schema, records)).agreement is Agreement.IDENTICAL
