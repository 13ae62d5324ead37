"""The smallest change of inputs that makes two versions part is found, and none is made up."""

from __future__ import annotations

import numpy as np
import pytest

from rig.caused import pair
from shadowserve.judgement.cause.nearest import nearest
from shadowserve.scorer.apart import Apart


@pytest.fixture(scope="module")
def sides():
    planted = pair("imputation", 1)
    return Apart(planted.champion, planted.rows), Apart(planted.challenger, planted.rows)


def apart(sides):
    return np.abs(sides[0].answers({}) - sides[1].answers({}))


def test_a_missing_age_is_all_that_makes_them_part(sides):
    row = int(apart(sides).argmax())
    found = nearest(*sides, row, classes=(None, None), among=range(300))
    assert found is not None
    assert found.columns == ("age",)
    assert found.smallest
    assert apart(sides)[found.like] == 0


def test_nothing_is_said_of_a_row_on_which_they_agree(sides):
    row = int(apart(sides).argmin())
    assert nearest(*sides, row, classes=(None, None), among=range(300)) is None


def test_nothing_is_said_where_they_agree_nowhere(sides):
    differing = np.flatnonzero(apart(sides) > 0).tolist()
    assert nearest(*sides, differing[0], classes=(None, None), among=differing) is None
