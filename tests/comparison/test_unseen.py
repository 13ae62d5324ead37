"""Values of categories that a version never met in training are counted by column, and none is kept."""

from __future__ import annotations

import json

import lightgbm
import numpy as np
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import FeatureUnion, Pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    OneHotEncoder,
    OrdinalEncoder,
    StandardScaler,
    TargetEncoder,
)

from rig.deployment import CHALLENGER
from rig.judging import known_of, policy, shadowed
from rig.scoring import native
from shadowserve.comparison.unseen import Unseen
from shadowserve.judgement.findings.unseen import look
from shadowserve.report import build
from shadowserve.schema.disclosure import Disclosure
from shadowserve.schema.rows import Rows
from shadowserve.scorer.featurization.categories import MAX_COLUMNS, known_categories
from shadowserve.state.lane_reading import summary

TOWNS = ["Oslo", "Rome", "Bonn", "Kyiv"]
SECRET = "Atlantis-7f3a"


def trained(encoder=None, *, towns=TOWNS, column="title"):
    """A pipeline of a number and a column of categories."""
    frame = pd.DataFrame({"age": np.arange(40.0), column: [towns[n % len(towns)] for n in range(40)]})  # fmt: skip
    encoder = encoder or OneHotEncoder(handle_unknown="ignore")
    columns = ColumnTransformer([("n", StandardScaler(), ["age"]), ("c", encoder, [column])])
    return Pipeline([("columns", columns), ("model", LinearRegression())]).fit(
        frame, frame["age"] + 0.25
    )


def sent(n, *, every=4, value=SECRET):
    return [
        {"age": float(i), "title": value if i % every == 0 else TOWNS[i % 4]} for i in range(1, n)
    ]


def test_unknown_categories_are_told_by_column_with_number_and_share_and_never_by_value(tmp_path):
    wider = trained(towns=[*TOWNS, SECRET])
    places, served = shadowed(
        tmp_path, native(trained(), number=4), champion=native(wider), sent=sent(61)
    )
    told = build.build(places, served, challenger=4)
    (one,) = [f for f in told["findings"] if "never met" in f["message"]]
    assert (one["kind"], one["severity"]) == ("coverage", "note")
    assert one["where"]["columns"] == ["title"]
    assert "15 of 60 rows that v4 scored (25 %) bring a value of 'title'" in one["message"]
    assert "v3 knows all that it was asked" in one["message"]
    of_challenger = next(row for row in told["unseen"] if row["role"] == "challenger")
    assert of_challenger == {
        "role": "challenger", "column": "title", "rows": 60, "unseen": 15, "share": 0.25, "refuses": False,
    }  # fmt: skip
    assert SECRET not in json.dumps(told)
    state = places.lane(CHALLENGER.role, CHALLENGER.version).state
    assert SECRET.encode() not in (summary(state, "unseen") or b"")


def test_what_only_the_champion_never_met_is_told_of_the_champion(tmp_path):
    wider = trained(towns=[*TOWNS, SECRET])
    known = known_of(tmp_path, native(wider, number=4), champion=native(trained()), sent=sent(61))
    (one,) = look(known, policy())
    assert one.where.role == "champion"
    assert "v4 knows all" in one.message


def test_where_all_is_known_nothing_is_told(tmp_path):
    known = known_of(tmp_path, native(trained(), number=4), champion=native(trained()), sent=sent(41, every=1000))  # fmt: skip
    assert list(look(known, policy())) == []
    assert known.learned.unseen.columns["title"].rows == 40


@pytest.mark.parametrize(
    "encoder",
    [
        OneHotEncoder(handle_unknown="ignore"),
        OneHotEncoder(handle_unknown="infrequent_if_exist", min_frequency=3),
        OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1),
        TargetEncoder(cv=2),
        Pipeline([("fill", SimpleImputer(strategy="most_frequent")), ("code", OneHotEncoder())]),
        Pipeline([("as it is", "passthrough"), ("code", OneHotEncoder())]),
        FeatureUnion([("a", OneHotEncoder()), ("b", OrdinalEncoder())]),
    ],
)
def test_every_encoder_that_sees_a_column_as_it_comes_is_read(encoder):
    known = known_categories(trained(encoder))
    assert set(known) == {"title"}
    assert known["title"].knows("Oslo")
    assert not known["title"].knows(SECRET)


@pytest.mark.parametrize(
    "encoder",
    [
        Pipeline([("low", FunctionTransformer(lambda f: f.apply(lambda c: c.str.lower()))), ("code", OneHotEncoder())]),
        Pipeline([("low", FunctionTransformer(lambda f: f.apply(lambda c: c.str[:1]))), ("code", OrdinalEncoder())]),
    ],
)  # fmt: skip
def test_behind_a_step_that_changes_values_nothing_is_claimed(encoder):
    assert known_categories(trained(encoder)) == {}


def test_columns_are_told_by_name_whatever_their_order_and_numbers_count_by_value():
    frame = pd.DataFrame({"a": ["x", "y"] * 10, "b": [1, 2] * 10, "c": np.arange(20.0)})
    columns = ColumnTransformer(
        [("late", OneHotEncoder(), [1]), ("early", OrdinalEncoder(), ["a"])]
    )
    model = Pipeline([("columns", columns), ("model", LinearRegression())]).fit(frame, frame["c"])
    known = known_categories(GridSearchCV(model, {"model__fit_intercept": [True]}, cv=2).fit(frame, frame["c"]))  # fmt: skip
    assert known["b"].knows(1.0)
    assert not known["b"].knows(3)
    assert not known["a"].knows("z")


def test_a_gap_is_unknown_where_nothing_fills_it_and_none_was_met():
    assert not known_categories(trained())["title"].knows(None)
    assert known_categories(trained(towns=[*TOWNS, None]))["title"].knows(None)
    filled = Pipeline(
        [("fill", SimpleImputer(strategy="most_frequent")), ("code", OneHotEncoder())]
    )
    assert known_categories(trained(filled))["title"].knows(float("nan"))


def test_lightgbm_tells_its_categories_also_of_columns_with_blanks():
    frame = pd.DataFrame(
        {"n": np.arange(80.0), "the town": pd.Categorical(TOWNS * 20), "k": pd.Categorical(["x", "y"] * 40)}
    )  # fmt: skip
    model = lightgbm.LGBMRegressor(n_estimators=3, min_child_samples=2, verbose=-1).fit(frame, frame["n"])  # fmt: skip
    for one in (model, lightgbm.Booster(model_str=model.booster_.model_to_string())):
        known = known_categories(one)
        assert sorted(known) == ["k", "the_town"]
        assert known["the_town"].values == frozenset(TOWNS)
    seen = Unseen()
    rows = Rows(columns={"the town": np.array(["Oslo", SECRET], dtype=object)}, n_rows=2)
    seen.add([rows], known, disclosure=Disclosure())
    assert (seen.columns["the town"].rows, seen.columns["the town"].unseen) == (2, 1)


def test_of_a_dropped_column_nothing_is_counted_and_values_of_any_kind_are_taken():
    known, seen = known_categories(trained()), Unseen()
    odd = np.empty(4, dtype=object)
    odd[:] = ["Oslo", ["a", "list"], {"a": 1}, float("nan")]
    seen.add([Rows({"title": odd}, 4), None], known, disclosure=Disclosure(dropped=("title",)))
    assert seen.columns == {}
    seen.add([Rows({"title": odd}, 4), None], known, disclosure=Disclosure())
    assert (seen.columns["title"].rows, seen.columns["title"].unseen) == (4, 1)
    again = Unseen.from_state(json.loads(json.dumps(seen.state())))
    assert again.columns == seen.columns


def test_columns_are_bounded_and_a_stranger_is_no_error():
    wide = pd.DataFrame({f"c{n}": ["a", "b"] for n in range(MAX_COLUMNS + 50)})
    assert len(known_categories(OneHotEncoder().fit(wide))) == MAX_COLUMNS

    class Stranger:
        @property
        def feature_names_in_(self):
            raise RuntimeError

    assert known_categories(Stranger()) == known_categories(None) == {}


def test_a_state_of_an_earlier_release_begins_to_count_anew(tmp_path):
    known = known_of(
        tmp_path, native(trained(), number=4), champion=native(trained()), sent=sent(51)
    )
    state = known.learned.state()
    del state["unseen"]
    assert type(known.learned).from_state(state).unseen.columns == {}
