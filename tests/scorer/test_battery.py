"""Every model shape passes through the timed walk unchanged: outputs, pickles, clones, inputs."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
import sklearn
from sklearn.base import clone

from rig.model_shapes import ARRAY_SHAPES, SHAPES, fitted, sample_rows
from shadowserve.schema.rows import Rows
from shadowserve.scorer import featurization
from shadowserve.scorer.featurization import Agreement, check_identity, difference

EVERY_SHAPE = [*SHAPES, *ARRAY_SHAPES]
OPAQUE = {"own pipeline", "branches in two processes"}

# The stock path of branches in two processes starts such processes.
every_shape = pytest.mark.parametrize(
    "shape",
    [
        pytest.param(shape, marks=pytest.mark.live if "two processes" in shape else ())
        for shape in EVERY_SHAPE
    ],
)


def bytes_of(rows: Rows) -> list[bytes]:
    tensor = [] if rows.tensor is None else [np.asarray(rows.tensor)]
    return [pickle.dumps(values) for values in [*rows.columns.values(), *tensor]]


def frozen(rows: Rows) -> Rows:
    """The same rows in arrays that refuse to be written to."""
    for values in rows.columns.values():
        values.flags.writeable = False
    return rows


def test_the_battery_is_at_least_as_large_as_promised() -> None:
    assert len(EVERY_SHAPE) >= 30


@every_shape
@pytest.mark.parametrize("n_rows", [1, 64])
def test_the_walk_gives_the_same_bits(shape: str, n_rows: int) -> None:
    rows = frozen(sample_rows(shape, n_rows))
    plan = featurization.compile(fitted(shape))
    assert check_identity(plan, rows).agreement is Agreement.IDENTICAL
    on_frame = plan.run_frame(rows.model_input()).output
    assert difference(plan.stock(rows), on_frame) == ""


@every_shape
def test_slicing_as_scikit_learn_does_gives_the_same_bits(shape: str) -> None:
    rows = sample_rows(shape, 5)
    plan = featurization.compile(fitted(shape), exact=True, serial=True)
    assert difference(plan.stock(rows), plan.run(rows).output) == ""


@every_shape
def test_only_the_shapes_with_a_reason_are_left_whole(shape: str) -> None:
    plan = featurization.compile(fitted(shape))
    is_opaque = any(part.kind == "opaque" for part in plan.steps)
    assert is_opaque == (shape in OPAQUE)
    assert not is_opaque or any("is timed as one step" in note for note in plan.notes)


@every_shape
def test_steps_take_less_than_the_whole(shape: str) -> None:
    plan = featurization.compile(fitted(shape))
    times = plan.run(sample_rows(shape, 3)).times
    assert len(times.wall_ns) == len(times.cpu_ns) == len(plan.steps)
    assert sum(times.wall_ns) < times.total_ns
    assert all(wall > 0 for wall in times.wall_ns)


@every_shape
def test_the_model_and_its_input_stay_as_they_were(shape: str) -> None:
    model, rows = fitted(shape), sample_rows(shape, 4)
    before = (pickle.dumps(model), attributes(model), bytes_of(rows), sklearn.get_config())
    plan = featurization.compile(model)
    plan.run(rows)
    plan.run_frame(rows.model_input())
    assert (pickle.dumps(model), attributes(model), bytes_of(rows), sklearn.get_config()) == before


@every_shape
def test_the_model_can_still_be_cloned_and_pickled(shape: str) -> None:
    model, rows = fitted(shape), sample_rows(shape, 2)
    plan = featurization.compile(model)
    output = plan.run(rows).output
    assert type(clone(model)) is type(model)
    assert sorted(clone(model).get_params()) == sorted(model.get_params())
    again = pickle.loads(pickle.dumps(model))
    assert difference(featurization.compile(again).run(rows).output, output) == ""


@every_shape
def test_nothing_is_printed(shape: str, capfd: pytest.CaptureFixture[str]) -> None:
    featurization.compile(fitted(shape)).run(sample_rows(shape, 1))
    assert capfd.readouterr() == ("", "")


@every_shape
def test_probabilities_come_from_the_same_features(shape: str) -> None:
    model, rows = fitted(shape), sample_rows(shape, 6)
    plan = featurization.compile(model)
    timed = plan.run(rows, outputs=plan.methods)
    assert len(timed.times.wall_ns) == len(plan.steps)
    for method in plan.methods:
        stock = getattr(model, method)(rows.model_input())
        assert difference(stock, timed.others[method]) == ""


@pytest.mark.parametrize("method", ["predict_proba", "decision_function"])
@every_shape
def test_another_method_is_walked_as_well(shape: str, method: str) -> None:
    model, rows = fitted(shape), sample_rows(shape, 6)
    if not hasattr(model, method):
        pytest.skip("the model has no such method")
    plan = featurization.compile(model, method=method)
    assert check_identity(plan, rows).agreement is Agreement.IDENTICAL


def attributes(model: Any) -> dict[str, list[str]]:
    parts = {"": model, **model.get_params()}
    return {name: sorted(vars(part)) for name, part in parts.items() if hasattr(part, "__dict__")}
