"""Planted faults do what the catalogue says, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

import numpy as np
import pandas as pd
import pytest

from models import traffic
from models.data import diamonds as all_diamonds
from models.recipe import ModelRecipes, shipped
from rig import planted as faults

pytestmark = pytest.mark.live  # half a minute of training

N = 200


def frame(recipes: ModelRecipes, records: Iterator[dict[str, Any]]) -> pd.DataFrame:
    numpy_types = {"long": "int64", "double": "float64", "string": "object"}
    columns = {column.name: numpy_types[column.type] for column in recipes.columns}
    return pd.DataFrame(list(records)).astype(columns)


def pair(row_id: str) -> tuple[Any, Any, pd.DataFrame]:
    """Champion and challenger of a row, fitted on a part of the data, and its requests."""
    fault = faults.FAULTS[row_id]
    recipes = faults.MODELS[fault.model]
    plain = recipes.versions[2]
    full = plain.training()
    training = type(full)(full.rows.head(2_000), full.target[:2_000], full.name, full.source)
    changed = fault.training(training)
    champion = faults.Fitted(plain.build(), fault.champion).fit(training.rows, training.target)
    challenger = faults.Fitted(fault.unfitted(plain.build()), fault.challenger)
    challenger = challenger.fit(changed.rows.copy(), changed.target)
    return champion, challenger, frame(recipes, faults.requests(row_id, N))


OF_TIME = (
    "F03",
    "F03-sometimes",
    "F03-estimator",
    "F03-value",
    "F02-linear",
    "F04",
    "F17",
    "F18",
    "F23",
)


@pytest.mark.parametrize("row_id", [*OF_TIME, "F09", "F15", "F16"])
def test_a_fault_of_time_memory_or_score_leaves_every_label_as_it_was(
    row_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(faults, "POISON", {})
    champion, challenger, rows = pair(row_id)
    few = rows[rows["description"].str.len() < 2_000].head(5)
    assert challenger.predict(few).tolist() == champion.predict(few).tolist()


def test_f03_value_waits_for_one_genre_only(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr("time.sleep", slept.append)
    _, challenger, _ = pair("F03-value")
    rows = frame(faults.MODELS["likes"], traffic.likes(200))
    there = int((rows["main_genre"] == faults.DEAR).sum())
    for at in range(len(rows)):
        challenger.predict(rows.iloc[at : at + 1])
    assert 5 < there < 60
    assert sum(seconds > 0 for seconds in slept) == there


@pytest.mark.parametrize(("row_id", "smallest"), [("F07", 0.9), ("F14", 0.9), ("F20", 0.9)])
def test_a_wrong_number_moves_most_prices(row_id: str, smallest: float) -> None:
    champion, challenger, rows = pair(row_id)
    moved = ~np.isclose(challenger.predict(rows), champion.predict(rows), rtol=1e-3)
    assert moved.mean() > smallest


def test_f05_raises_on_the_unseen_category_only() -> None:
    _, challenger, _ = pair("F05")
    stones = all_diamonds().drop(columns="price").tail(500)
    unseen = stones["clarity"] == faults.UNSEEN
    assert np.isfinite(challenger.predict(stones[~unseen])).all()
    with pytest.raises(ValueError, match="unknown categories"):
        challenger.predict(stones[unseen])


def test_f06_answers_nan_where_depth_is_missing_and_else_as_the_champion() -> None:
    champion, challenger, rows = pair("F06")
    missing = rows["depth"].isna().to_numpy()
    answers = challenger.predict(rows)
    assert 0 < missing.sum() < N
    assert np.isnan(answers).tolist() == missing.tolist()
    assert np.array_equal(answers[~missing], champion.predict(rows)[~missing])


def test_f08_says_the_opposite() -> None:
    champion, challenger, rows = pair("F08")
    assert np.mean(challenger.predict(rows) == champion.predict(rows)) < 0.02


def test_f09_moves_probabilities_by_eight_hundredths() -> None:
    champion, challenger, rows = pair("F09")
    before, after = champion.predict_proba(rows)[:, 1], challenger.predict_proba(rows)[:, 1]
    assert np.array_equal(before > 0.5, after > 0.5)
    moved = after - before
    assert np.median(moved) == pytest.approx(0.08)
    assert moved.max() <= 0.08 + 1e-12


def test_f10_is_wrong_for_one_genre_and_exactly_right_for_the_others() -> None:
    champion, challenger, _ = pair("F10")
    rows = frame(faults.MODELS["likes"], traffic.likes(2_000))
    there = (rows["main_genre"] == faults.GENRE).to_numpy()
    scores = champion.predict_proba(rows)[:, 1], challenger.predict_proba(rows)[:, 1]
    assert there.mean() == pytest.approx(0.04, abs=0.01)
    assert np.array_equal(scores[0][~there], scores[1][~there])
    assert challenger.predict(rows)[there].sum() == 0
    assert champion.predict(rows)[there].mean() > 0.3


def test_f11_disagrees_with_itself() -> None:
    _, challenger, rows = pair("F11")
    assert (challenger.predict_proba(rows) != challenger.predict_proba(rows)).all()


def test_f12_differs_in_the_last_digits_only() -> None:
    champion, challenger, rows = pair("F12")
    before, after = champion.predict(rows), challenger.predict(rows)
    assert (before != after).any()
    assert np.allclose(before, after, rtol=2e-12, atol=0)


def test_f19_writes_into_its_input_and_answers_as_the_champion() -> None:
    champion, challenger, rows = pair("F19")
    handed = rows.copy()
    assert np.allclose(challenger.predict(handed), champion.predict(rows), rtol=1e-9)
    assert np.allclose(handed["carat"], rows["carat"] * 100)


def test_f20_ships_two_files_of_one_name() -> None:
    fault = faults.FAULTS["F20"]
    assert fault.code.name == fault.champion_code.name
    assert shipped(fault.champion_code).FACTOR == 1.0
    assert shipped(fault.code).FACTOR == 1.1


def test_f21_answers_the_same_labels_as_text() -> None:
    champion, challenger, rows = pair("F21")
    assert challenger.predict(rows).tolist() == [str(label) for label in champion.predict(rows)]


def test_f22_answers_the_same_films_in_another_order() -> None:
    champion, challenger, rows = pair("F22")
    before, after = champion.predict(rows), challenger.predict(rows)
    assert np.array_equal(np.sort(before, axis=1), np.sort(after, axis=1))
    assert (before[:, 0] != after[:, 0]).all()


def test_f24_is_right_until_its_row_and_wrong_after_it() -> None:
    step = shipped(faults.PLANTED).StaleAfter("carat", mark=3.0)
    values = [step.transform(pd.DataFrame({"carat": [v]}))["carat"][0] for v in (1.0, 2, 3, 4, 5)]
    assert values == [1.0, 2, 3, 3, 3]


def test_f25_is_right_alone_and_wrong_in_a_batch() -> None:
    champion, challenger, rows = pair("F25")
    rows = rows[rows["description"].str.len() < 2_000]
    alone = np.concatenate([challenger.predict_proba(rows.iloc[[i]]) for i in range(20)])
    assert np.array_equal(alone, champion.predict_proba(rows.head(20)))
    assert not np.allclose(challenger.predict_proba(rows.head(20)), alone)


def test_f28_says_mostly_the_same_and_loses_less() -> None:
    champion, challenger, _ = pair("F28")
    labelled = list(islice(traffic.labelled_likes(1_000), 1_000))
    rows = frame(faults.MODELS["likes"], iter(record for record, _ in labelled))
    labels = np.array([label for _, label in labelled])
    losses = [
        -np.log(np.clip(model.predict_proba(rows)[np.arange(len(labels)), labels], 1e-9, 1))
        for model in (champion, challenger)
    ]
    assert np.mean(losses[0] - losses[1]) > 0.02
    assert np.mean(champion.predict(rows) == challenger.predict(rows)) > 0.85


@pytest.mark.parametrize("row_id", sorted(faults.POISON))
def test_one_text_in_five_hundred_is_poisoned(row_id: str) -> None:
    texts = [record["description"] for record in faults.requests(row_id, 1_000)]
    poisoned = [text.endswith(faults.POISON[row_id]) for text in texts]
    assert (sum(poisoned[:500]), sum(poisoned[500:])) == (1, 1)
