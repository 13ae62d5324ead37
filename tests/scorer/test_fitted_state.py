"""Two fitted parts have one digest where they compute the same, and else they do not."""

from __future__ import annotations

import pickle
import subprocess
import sys
import types

import numpy as np
import pytest
from sklearn.ensemble import GradientBoostingRegressor, RandomForestClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import Ridge
from sklearn.neighbors import KNeighborsRegressor
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

from shadowserve.scorer.structure.fitted_state import digest

DRAW = np.random.default_rng(1)
X, Y = DRAW.normal(size=(80, 3)), DRAW.normal(size=80)
TEXTS = ["red blue", "blue green", "gold"]
FITTED = [
    Ridge().fit(X, Y),
    RandomForestClassifier(3, random_state=1).fit(X, Y > 0),
    GradientBoostingRegressor(n_estimators=3, random_state=1).fit(X, Y),
    TfidfVectorizer().fit(TEXTS),
    OneHotEncoder().fit(np.array([["a"], ["b"]], dtype=object)),
    StandardScaler().fit(X),
]


@pytest.mark.parametrize("part", FITTED, ids=lambda part: type(part).__name__)
def test_a_copy_has_the_same_digest_before_and_after_it_is_used(part):
    copy = pickle.loads(pickle.dumps(part))
    if hasattr(copy, "transform") and not isinstance(copy, TfidfVectorizer | OneHotEncoder):
        copy.transform(X)
    if isinstance(copy, TfidfVectorizer):
        copy.transform(TEXTS)
    assert digest(part) is not None
    assert digest(part) == digest(copy)


def test_another_fit_has_another_digest():
    assert digest(Ridge().fit(X, Y)) != digest(Ridge().fit(X, Y + 1e-9 * X[:, 0]))
    assert digest(StandardScaler().fit(X)) != digest(StandardScaler().fit(X[:-1]))


def test_how_many_threads_it_takes_does_not_count():
    one, other = (RandomForestClassifier(3, random_state=1, n_jobs=n).fit(X, Y > 0) for n in (1, 2))
    assert digest(one) == digest(other)


def test_code_counts_and_not_its_name_alone():
    def made(line: str):
        module = types.ModuleType("own_code")
        exec(f"def change(x):\n    return {line}", module.__dict__)
        return FunctionTransformer(module.change)

    assert digest(made("x + 1")) == digest(made("x + 1"))
    assert digest(made("x + 1")) != digest(made("x + 2"))


def test_what_cannot_be_read_whole_has_none():
    loop: list = []
    loop.append(loop)
    assert digest(loop) is None
    assert digest({"of": np}) is None
    assert digest(n for n in range(3)) is None


def test_two_processes_agree():
    code = (
        "from sklearn.neighbors import KNeighborsRegressor; import numpy as np;"
        "from shadowserve.scorer.structure.fitted_state import digest;"
        "print(digest([KNeighborsRegressor(2).fit(np.arange(6.).reshape(3, 2), [1, 2, 3]), {'a', 'b', 'c'}, len, np.exp]))"
    )
    told = {
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        ).stdout
        for _ in "ab"
    }
    own = digest(
        [
            KNeighborsRegressor(2).fit(np.arange(6.0).reshape(3, 2), [1, 2, 3]),
            {"a", "b", "c"},
            len,
            np.exp,
        ]
    )
    assert told == {f"{own}\n"}
