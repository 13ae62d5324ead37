"""What each step of a version makes of a request: the timed walk once more, with every step's output told.

Outputs are told bounded, as numbers by the names of features where the step knows them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

from shadowserve import ambience
from shadowserve.legible import legible
from shadowserve.schema.rows import Rows
from shadowserve.scorer.featurization.plan import OVERHEAD, Op, Plan
from shadowserve.scorer.scorer import Scorer

MOST_VALUES = 20_000
"""Of one step's output; what lies beyond is counted."""
LONGEST_TEXT = 200

Told = dict[str, Any]


def intermediate(scorer: Scorer, rows: Rows) -> dict[str, Told]:
    """Return what each step of a version gives for some rows, in the order in which they run.

    Returns
    -------
    dict of step to dict
        ``shape``, and ``values``: row, feature (name, or number where it has none) and value of each that is not 0,
        `MOST_VALUES` at most; ``left_out`` counts the others. Empty where the version is called as a whole.
    """
    plan = scorer.plan
    if plan is None or rows.params:
        return {}
    told: dict[int, Told] = {}

    def noting(op: Op) -> Op:
        if op.step == OVERHEAD:
            return op

        def call(*inputs: Any) -> Any:
            output = op.call(*inputs)
            # At once: a later step may write into what it is handed.
            told[op.step] = described(output, _names(plan, plan.steps[op.step].name))
            return output

        return op._replace(call=call)

    columnar = plan.columnar_ops
    watched = replace(
        plan,
        ops=tuple(map(noting, plan.ops)),
        columnar_ops=None if columnar is None else tuple(map(noting, columnar)),
    )
    ambience.within(watched.run, rows)
    return {plan.steps[at].name: told[at] for at in sorted(told)}


def described(output: Any, names: Sequence[str] | None = None) -> Told:
    """Return a step's output as JSON-able values, row by row and feature by feature.

    Examples
    --------
    >>> described(np.array([[0.0, 2.5]]), ["red", "blue"])
    {'shape': [1, 2], 'values': [[0, 'blue', 2.5]], 'left_out': 0}
    """
    if isinstance(output, pd.DataFrame | pd.Series):
        names = names or (list(map(str, output.columns)) if output.ndim == 2 else None)
        output = output.to_numpy()
    if not sparse.issparse(output):
        output = np.asarray(output)
    shape = list(map(int, output.shape))
    table = _table(output)
    known = names if names is not None and len(names) == table.shape[1] else None
    found = (
        [int(row), known[at] if known else int(at), _plain(value)]
        for row, at, value in _occurring(table)
    )
    values = list(islice(found, MOST_VALUES))
    return {"shape": shape, "values": values, "left_out": sum(1 for _ in found)}


def _table(output: Any) -> Any:
    """Return an output with two axes: rows, and whatever each has."""
    if output.ndim == 2:
        return output
    return output.reshape(output.shape[0] if output.ndim else 1, -1)


def _occurring(table: Any) -> Iterator[tuple[int, int, Any]]:
    if sparse.issparse(table):
        entries = table.tocoo()
        order = np.lexsort((entries.col, entries.row))
        yield from zip(entries.row[order], entries.col[order], entries.data[order], strict=True)
        return
    # A text or an object may equal nothing; a number that is 0 says nothing.
    occurs = table != 0 if table.dtype.kind in "biufc" else np.ones(table.shape, dtype=bool)
    for row, at in np.argwhere(occurs):
        yield row, at, table[row, at]


def _plain(value: Any) -> Any:
    value = value.item() if isinstance(value, np.generic) else value
    if isinstance(value, bool | int | float):
        return float(value)
    return legible(str(value), most=LONGEST_TEXT)


def _names(plan: Plan, path: str) -> Sequence[str] | None:
    """Return the names of a step's features; None where it has none to tell."""
    found = _at(plan.model, path.split("/"))
    try:
        return list(map(str, found.get_feature_names_out()))
    except Exception:  # many have none, and a model's own code may raise anything
        return None


def _at(model: Any, path: Sequence[str]) -> Any:
    """Return the part of a model that a step's path names; None where it leads nowhere."""
    for name in path:
        parts = [
            getattr(model, kind, None)
            for kind in ("named_steps", "named_transformers_", "named_transformers")
        ]
        model = next((one[name] for one in parts if one is not None and name in one), None)
    return model
