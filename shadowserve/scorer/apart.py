"""A version taken apart: what each step gives for recorded rows, and what comes out where a step is given something else.

The timed walk's own calls are made again, with values put into the place of what they would be. Nothing of the model is
altered.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from shadowserve import ambience
from shadowserve.errors import ModelError
from shadowserve.faults import fault_of
from shadowserve.schema.rows import Rows
from shadowserve.scorer import featurization
from shadowserve.scorer.featurization.plan import OVERHEAD, Plan
from shadowserve.scorer.forms import table
from shadowserve.scorer.parts import Outline, object_of, part_of, reach_of
from shadowserve.scorer.scorer import Scorer
from shadowserve.scorer.structure.fitted_state import digest
from shadowserve.scorer.structure.genuine import is_genuine

INPUT, FEATURES = "input", "features"
"""What the version is handed, and what its estimator is: places beside ``of:<step>`` and ``into:<step>``."""
MOST_ALONE = 16
"""Rows that are asked alone too."""


class Apart:
    """A loaded version and the rows that it is asked about.

    Parameters
    ----------
    scorer : Scorer
    rows : Rows
        Of all requests.
    """

    def __init__(self, scorer: Scorer, rows: Rows) -> None:
        self._scorer = scorer
        self._rows = rows
        self._frame = rows.model_input()
        self._whole = why_whole(scorer)
        self._plan: Plan | None = None
        if self._whole is None and scorer.plan is not None:
            # As scikit-learn itself does it: each call is the fitted part's own.
            model, method = scorer.plan.model, scorer.plan.method
            self._plan = featurization.compile(model, method=method, serial=True, exact=True)
            self._whole = self._why_not_by_row()

    def outline(self) -> Outline:
        """Return its parts."""
        classes = self._scorer.classes
        known = tuple(classes) if classes and not isinstance(classes[0], list) else None
        if self._plan is None or self._whole is not None:
            return Outline(self._whole, classes=known)
        plan = self._plan
        model, before = plan.model, []
        while hasattr(model, "best_estimator_"):
            model = model.best_estimator_
        inner = getattr(model, "regressor_", model)
        if hasattr(inner, "steps"):
            before = inner.steps[:-1]
        steps = tuple(
            part_of(object_of(op.call), step.name, step.made_of, tuple(map(str, step.columns)))
            for op, step in self._steps(plan)
        )
        last = plan.steps[plan.ops[_first_of_estimator(plan)].step]
        rest = model if inner is not model else getattr(plan, "final", None)
        own = part_of(rest, "", last.made_of, ())
        reach = reach_of(rest, self.answers({}))
        return Outline(None, steps, own, digest(before), known, reach)

    def value(self, place: str, given: Mapping[str, Any]) -> Any:
        """Return what lies at a place when others are given.

        Parameters
        ----------
        place : str
            ``input``, ``features``, ``of:<step>`` or ``into:<step>``.
        given : mapping of place to value
        """
        if place == INPUT:
            return given.get(INPUT, self._frame)
        plan = self._walkable()
        number = self._number(plan, place)
        return _called(self._walk, plan, given, number)[number]

    def answers(self, given: Mapping[str, Any], *, scores: bool = False) -> Any:
        """Return the version's answers when something is given; probabilities where asked for."""
        if self._plan is None and not given:
            return _called(self._scorer.score, self._rows).output
        if self._plan is None:
            frame = _copied(given[INPUT])
            return self._adapted(_called(self._scorer.loaded.predict, frame, {}))
        plan = self._walkable()
        if scores:
            features = self.value(FEATURES, given)
            return _called(plan.final.predict_proba, features)
        values = _called(self._walk, plan, given, len(plan.ops))
        return self._adapted(values[len(plan.ops)])

    @property
    def has_scores(self) -> bool:
        """Whether it serves labels, and has probabilities beside them."""
        return self._scorer.has_scores and self._whole is None

    def _why_not_by_row(self) -> str | None:
        """Return why its rows cannot be asked together, as crossing does; None where they can."""
        if self._scorer.sharing.unknown is None or not isinstance(self._frame, pd.DataFrame):
            return None
        some = self._frame.iloc[:MOST_ALONE]
        together = self.answers({INPUT: some})
        alone = [
            self.answers({INPUT: some.iloc[[at]].reset_index(drop=True)}) for at in range(len(some))
        ]
        own, theirs = table(together), [table(one) for one in alone]
        if own is None:
            return None
        if any(one is None or len(one) != 1 for one in theirs):
            return "its answers depend on how many rows share a call"
        laid = np.vstack([one for one in theirs if one is not None])
        alike = laid.shape == own.shape and np.allclose(
            laid, own, rtol=1e-9, atol=1e-12, equal_nan=True
        )
        return None if alike else "its answers depend on the rows that share a call"

    def _adapted(self, output: Any) -> Any:
        return output if self._scorer.adapter is None else self._scorer.adapter(output)

    def _walkable(self) -> Plan:
        if self._plan is None:
            raise LookupError("It is called as a whole.")
        return self._plan

    def _walk(self, plan: Plan, given: Mapping[str, Any], until: int) -> dict[int, Any]:
        """Make the calls up to a value; what is given stands in the place of what would be."""
        put = {self._number(plan, place): value for place, value in given.items()}
        values = {0: put.get(0, _copied(self._frame))}
        for number, op in enumerate(plan.ops[:until], start=1):
            if number in put:
                values[number] = put[number]
            else:
                values[number] = op.call(*[_copied(values[at]) for at in op.inputs])
        return values

    def _number(self, plan: Plan, place: str) -> int:
        """Return which value of the walk a place is."""
        if place == INPUT:
            return 0
        if place == FEATURES:
            return plan.ops[_first_of_estimator(plan)].inputs[0]
        kind, _, name = place.partition(":")
        number = next(
            at
            for at, op in enumerate(plan.ops, start=1)
            if op.step != OVERHEAD and plan.steps[op.step].name == name
        )
        return number if kind == "of" else plan.ops[number - 1].inputs[0]

    @staticmethod
    def _steps(plan: Plan) -> list[tuple[Any, Any]]:
        before = plan.ops[: _first_of_estimator(plan)]
        return [(op, plan.steps[op.step]) for op in before if op.step != OVERHEAD]


def _called(call: Any, *given: Any) -> Any:
    """Make a call of the version's own; what it raises is told without its text."""
    try:
        return ambience.within(call, *given)
    except Exception as error:
        fault = fault_of(error)
        raise ModelError(
            f"It cannot take what it was given: {fault.type} at {fault.frame}."
        ) from error


def why_whole(scorer: Scorer) -> str | None:
    """Return why a version cannot be taken apart; None where it can."""
    plan = scorer.plan
    if scorer.environment is not None:
        return "it runs isolated, with libraries of its own"
    if plan is None:
        return "it is called as a whole, by code of its own"
    last = plan.ops[_first_of_estimator(plan)]
    step = plan.steps[last.step]
    estimator = plan.final if plan.final is not None else plan.model
    within = _steps_within(estimator)
    if within is not None:
        return f"its {type(estimator).__name__} holds steps of its own ({within})"
    if step.kind == "opaque" and last.inputs[0] == 0:
        return "it is timed as one step"
    if last.inputs[0] == 0 and not is_genuine(type(estimator)):
        return f"nobody knows what its {type(estimator).__name__} does before it answers"
    return None


def _first_of_estimator(plan: Plan) -> int:
    """Return where the calls begin that are no featurization any more."""
    at = next(
        (
            n
            for n, op in enumerate(plan.ops)
            if op.step != OVERHEAD and plan.steps[op.step].kind == "estimator"
        ),
        None,
    )
    return at if at is not None else max(n for n, op in enumerate(plan.ops) if op.step != OVERHEAD)


def _steps_within(estimator: Any) -> str | None:
    """Return the name of a step inside an estimator, which no walk sees."""
    params = getattr(estimator, "get_params", dict)
    try:
        found = params(deep=True)
    except Exception:  # a stranger's own
        return None
    inner = [
        one for value in found.values() for one in (value if isinstance(value, list) else [value])
    ]
    flat = [one[1] if isinstance(one, tuple) and len(one) > 1 else one for one in inner]
    return next(
        (type(one).__name__ for one in flat if hasattr(one, "fit") and hasattr(one, "transform")),
        None,
    )


def _copied(value: Any) -> Any:
    """Return a copy, since a model may write into what it is handed."""
    if isinstance(value, dict):
        return {name: own.copy() for name, own in value.items()}
    return value.copy() if hasattr(value, "copy") else value
