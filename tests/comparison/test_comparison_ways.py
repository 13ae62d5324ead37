"""Parameters that only change how a version runs are told without their values."""

from __future__ import annotations

from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from shadowserve.comparison.ways import ways_of


def test_ways_tell_no_values_that_may_be_secret():
    model = Pipeline([("scale", StandardScaler())], memory="some/cache", verbose=True)
    assert ways_of(model) == {"memory": "set", "verbose": "True"}
    assert ways_of(object()) == {}
