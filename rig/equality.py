"""The same journal scored by one, two and four processes: what of the record is equal, and to which digit."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pandas as pd
from sklearn.linear_model import Ridge
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from models.films import COLUMNS
from models.films.versions import BEGINNING, champion, pages, training
from rig.deployment import CHALLENGER, CONTROL, made
from rig.lane import answer, parts, told, work
from rig.scoring import native
from shadowserve.lane.batch_size import BatchSize
from shadowserve.scorer.scorer import Scorer
from shadowserve.statistics.measuring import Measuring, Plan

FIXED = Plan(bursts=1.0, large=1.0, others=0.05)
"""Which requests are timed, fixed: else the machine's speed decides, and with it what shares a call."""

CALL_ROWS = 48
TIMES = ("lane_ms", "lag_ms", "starved_ms", "lane_steps_ms", "warmup", "window")
"""Columns of a part that tell when and how long; the rest is what was found."""

NUMBERS = ("disagreement", "divergence", "lane_prediction")
RELATIVE, ABSOLUTE = 1e-9, 1e-12
N_DENSE = 30


@dataclass(frozen=True, slots=True)
class Case:
    """A model with its requests."""

    champion: Scorer
    challenger: Scorer
    sent: Sequence[Mapping[str, Any]]


def ridge(n: int) -> Case:
    """Thirty dense numbers to one: BLAS sums in another order in calls of another size."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(n, N_DENSE)), columns=[f"x{i}" for i in range(N_DENSE)])
    target = frame.to_numpy() @ rng.normal(size=N_DENSE) + rng.normal(size=n)
    fitted = [
        Pipeline([("scale", StandardScaler()), ("ridge", Ridge(alpha))]).fit(frame, target)
        for alpha in (1.0, 30.0)
    ]
    inputs = [{"name": name, "type": "double", "required": True} for name in frame.columns]
    return _case(fitted, inputs, frame.to_dict("records"))


def films(n: int) -> Case:
    """Lists of films for a page, by the recipe of the demo's champion, on two stretches of time."""
    return _case(_fitted_films(), _film_inputs(), _film_records(n))


def _case(
    fitted: Sequence[Any], inputs: Sequence[Mapping[str, Any]], sent: Sequence[Mapping[str, Any]]
) -> Case:
    signature = {"inputs": list(inputs), "params": None}
    three, four = (
        native(model, number=number, signature=signature)
        for number, model in zip((3, 4), fitted, strict=True)
    )
    return Case(three, four, sent)


@cache
def _fitted_films() -> tuple[Any, Any]:
    found = []
    for until in (date(2006, 1, 1), date(2013, 1, 1)):
        learnt = training(BEGINNING, until, at_most=4_000)
        found.append(champion().fit(learnt.rows, learnt.target))
    return found[0], found[1]


def _film_inputs() -> list[dict[str, Any]]:
    return [{"name": one.name, "type": one.type, "required": not one.optional} for one in COLUMNS]


def _film_records(n: int) -> list[dict[str, Any]]:
    rows = pages()[[one.name for one in COLUMNS]].iloc[-n:]
    found: list[dict[str, Any]] = orjson.loads(rows.to_json(orient="records"))
    return found


CASES: Mapping[str, Callable[[int], Case]] = {"dense ridge": ridge, "films": films}


@contextmanager
def scheduled(*, calls: bool) -> Iterator[None]:
    """Fix what is timed for the length of a block, and with `calls` also how many rows share a call."""
    plan, rows = Measuring.plan, BatchSize.rows
    Measuring.plan = lambda *_: FIXED  # type: ignore[method-assign]
    if calls:
        BatchSize.rows = lambda *_, **__: CALL_ROWS  # type: ignore[method-assign]
    try:
        yield
    finally:
        Measuring.plan, BatchSize.rows = plan, rows  # type: ignore[method-assign]


def record(case: Case, root: Path, *, processes: int) -> pd.DataFrame:
    """Return what a lane of so many processes records of the case's requests, by position."""
    places = made(root, CHALLENGER, CONTROL)
    answer(places, case.sent, champion=case.champion, arrived_wall_ns=10**18)
    work(places, case.challenger, scorers=processes - 1)
    outcomes = told(places)
    rows = parts(places).drop(columns=list(TIMES)).sort_values("position", ignore_index=True)
    if sum(outcomes.values()) != len(case.sent) or len(rows) != len(case.sent):
        raise AssertionError(f"{outcomes} of {len(case.sent)} requests, {len(rows)} rows")
    return rows


@dataclass(frozen=True, slots=True)
class Likeness:
    """How like two records are.

    Parameters
    ----------
    unlike : tuple of str
        Columns that differ beyond law 4: structure, labels and outcomes at all, numbers in more than sums.
    bits : int
        Rows whose numbers are equal to the bit.
    rows : int
    furthest : float
        The largest relative distance of two numbers.
    """

    unlike: tuple[str, ...]
    bits: int
    rows: int
    furthest: float


def likeness(one: pd.DataFrame, other: pd.DataFrame) -> Likeness:
    """Lay two records side by side."""
    unlike = [
        name
        for name in one
        if name not in NUMBERS and list(map(repr, one[name])) != list(map(repr, other[name]))
    ]
    bits, furthest = np.ones(len(one), dtype=bool), 0.0
    for name in NUMBERS:
        for at, (left, right) in enumerate(zip(one[name], other[name], strict=True)):
            a, b = _numbers(left), _numbers(right)
            if a.shape != b.shape:
                unlike.append(name)
                break
            bits[at] &= np.array_equal(a, b, equal_nan=True)
            if not np.allclose(a, b, rtol=RELATIVE, atol=ABSOLUTE, equal_nan=True):
                unlike.append(name)
                break
            apart = np.abs(a - b) / np.maximum(np.abs(b), 1e-300)
            furthest = max(furthest, float(np.nanmax(apart, initial=0.0)))
    return Likeness(tuple(dict.fromkeys(unlike)), int(bits.sum()), len(one), furthest)


def _numbers(value: Any) -> np.ndarray:
    """Return the numbers of a cell: of JSON text, and of pairs of name and number."""
    return np.asarray(list(_flat(orjson.loads(value) if isinstance(value, str) else value)))


def _flat(value: Any) -> Iterator[float]:
    if isinstance(value, list | tuple | np.ndarray):
        for one in value:
            yield from _flat(one)
    elif isinstance(value, str):
        yield float(zlib.crc32(value.encode()))  # a name stands for itself
    else:
        yield np.nan if value is None else float(value)
