"""A version taken apart answers as it does whole, and what is put into it is what comes out changed."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from rig.caused import pair
from shadowserve.errors import ModelError
from shadowserve.scorer.apart import FEATURES, INPUT, Apart
from shadowserve.scorer.forms import in_form, replaced


@pytest.fixture(scope="module")
def planted():
    return pair("imputation", 2)


def test_it_answers_as_the_version_does(planted):
    own = Apart(planted.champion, planted.rows).answers({})
    assert np.array_equal(own, planted.champion.score(planted.rows).output)


def test_what_is_given_takes_the_place_of_what_would_be(planted):
    own, other = (Apart(one, planted.rows) for one in (planted.champion, planted.challenger))
    theirs = other.value(FEATURES, {})
    assert np.array_equal(own.answers({FEATURES: theirs}), other.answers({}))
    step = "of:features/age/impute"
    assert np.array_equal(own.answers({step: other.value(step, {})}), other.answers({}))


def test_a_step_can_be_handed_another_input(planted):
    own = Apart(planted.champion, planted.rows)
    filled = own.value(
        "of:features/age/impute", {"into:features/age/impute": pd.DataFrame({"age": [1.0, 2.0]})}
    )
    assert filled.tolist() == [[1.0], [2.0]]


def test_nothing_of_what_it_is_handed_is_written_to(planted):
    own = Apart(planted.champion, planted.rows)
    before = own.value(INPUT, {}).copy()
    own.answers({})
    pd.testing.assert_frame_equal(own.value(INPUT, {}), before)


def test_what_it_cannot_take_is_told_without_values(planted):
    own = Apart(planted.champion, planted.rows)
    with pytest.raises(ModelError, match="It cannot take what it was given: ValueError at"):
        own.answers({FEATURES: np.zeros((300, 2))})


@pytest.mark.parametrize(
    "form", [np.asarray, sparse.csr_matrix, lambda own: pd.DataFrame(own, columns=["a", "b", "c"])]
)
def test_columns_are_replaced_in_the_values_own_form(form):
    own, other = np.arange(6.0).reshape(2, 3), np.full((2, 3), 9.0)
    made = replaced(form(own), [1], form(other), [2])
    assert type(made) is type(form(own))
    plain = made.toarray() if sparse.issparse(made) else np.asarray(made)
    assert plain.tolist() == [[0, 9, 2], [3, 9, 5]]
    assert type(in_form(form(own), other)) is type(made)
