"""What a version's parts ask of the cores, said at the start (SS-023)."""

from __future__ import annotations

import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from shadowserve.scorer.loading.facts import threads as threads_of
from shadowserve.state import threads


def forest(n_jobs):
    return make_pipeline(StandardScaler(), RandomForestClassifier(100, n_jobs=n_jobs))


@pytest.mark.parametrize(("n_jobs", "effective"), [(-1, 1), (3, 3)])
def test_each_part_is_told_with_what_it_amounts_to_here(tmp_path, monkeypatch, n_jobs, effective):
    """Where every role is given one thread, `n_jobs=-1` is one; an explicit number stays."""
    monkeypatch.setenv("LOKY_MAX_CPU_COUNT", "1")
    threads.tell(tmp_path / "champion-v3", threads_of(forest(n_jobs)))
    said = threads.told(tmp_path / "champion-v3")
    offer = "; --one-job makes it 1" if effective > 1 else ""
    assert said == f"randomforestclassifier n_jobs={n_jobs} ({effective} here){offer}"


def test_a_model_that_asks_for_nothing_says_nothing(tmp_path):
    threads.tell(tmp_path / "champion-v3", threads_of(forest(None)))
    assert threads.told(tmp_path / "champion-v3") == ""


def test_where_nothing_was_left_nothing_is_said(tmp_path):
    assert threads.told(tmp_path / "challenger-v4") == ""


def test_what_cannot_be_left_stops_nobody(tmp_path):
    threads.tell(tmp_path / "missing" / "champion-v3", threads_of(forest(2)))
    assert not list(tmp_path.iterdir())
