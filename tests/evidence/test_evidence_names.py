from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mlflow.exceptions import MlflowException
from mlflow.utils.validation import _validate_metric_name

from shadowserve.evidence.names import MAX_NAME, safe_name

REPORTED = [
    "age (years)", "income[EUR]", "a,b", "50%", "../x", "prix_€", "x" * 300, "a b", "a_b", "union(a,b)__n",
    "huber[delta]", "timing(s)/gen", "a@b=c", "", ".", "..", "/", "//", "a//b", "/a", "a/", "./a", "a/./b",
    "a/../b", "..a/b", "a:b", " a", "a ", "a\n", "a\tb", "größe", "映画", "x/" * 200, "a/" + "y" * 300,
]  # fmt: skip


@pytest.mark.parametrize("name", REPORTED)
def test_mlflow_takes_every_name(name: str) -> None:
    stored = safe_name(name)
    _validate_metric_name(stored)
    assert 0 < len(stored) <= MAX_NAME
    assert stored == stored.strip()


def test_different_names_stay_different() -> None:
    assert len({safe_name(name) for name in REPORTED}) == len(REPORTED)


@pytest.mark.parametrize("name", ["a b", "a_b", "größe", "feature_ms/challenger/text/p99", "x-1.5"])
def test_a_good_name_is_left_alone(name: str) -> None:
    assert safe_name(name) == name


def test_the_parts_of_a_name_stay_grouped_and_alike() -> None:
    quantiles = [safe_name(f"feature_ms/challenger/income[EUR]/{q}") for q in ("p50", "p99")]
    assert [name.split("/")[:2] for name in quantiles] == [["feature_ms", "challenger"]] * 2
    assert quantiles[0].removesuffix("/p50") == quantiles[1].removesuffix("/p99")


@given(st.text(), st.text())
def test_any_text_becomes_a_name_of_its_own(one: str, other: str) -> None:
    for text in (one, other):
        try:
            _validate_metric_name(safe_name(text))
        except MlflowException as error:
            pytest.fail(str(error))
    assert (safe_name(one) == safe_name(other)) == (one == other)
