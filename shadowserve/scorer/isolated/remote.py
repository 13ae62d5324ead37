"""A scorer whose version runs in a process and an environment of its own; to everybody else a scorer like any.

Requests are typed here and travel as typed values; what comes back is written as JSON here. So a version that
is scored with other libraries is typed, read and compared by the same ones as its neighbours.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, MutableSequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from shadowserve.schema.rows import Rows
from shadowserve.scorer.featurization import Plan, Step
from shadowserve.scorer.featurization.categories import Categories
from shadowserve.scorer.isolated import neutral
from shadowserve.scorer.isolated.line import Line
from shadowserve.scorer.loading import Loaded, Threads
from shadowserve.scorer.loading.calling import completed
from shadowserve.scorer.loading.examples import input_example
from shadowserve.scorer.loading.kinds import kinds_of_example
from shadowserve.scorer.scorer import Scored, Scorer
from shadowserve.state.isolation import Environment
from shadowserve.steps import InnerStep, StepTimes


@dataclass(frozen=True, slots=True)
class IsolatedScorer(Scorer):
    """A scorer whose calls are made elsewhere.

    Parameters
    ----------
    line : Line
        To the version's process.
    runs_in : Environment
    """

    line: Line = field(kw_only=True)
    runs_in: Environment = field(kw_only=True)

    @property
    def has_scores(self) -> bool:
        """Whether labels are served while probabilities exist."""
        plan = self.plan
        return plan is not None and plan.method == "predict" and "predict_proba" in plan.final

    @property
    def pid(self) -> int | None:
        """The version's process."""
        return self.line.pid

    @property
    def environment(self) -> Environment | None:
        """What the version runs in."""
        return self.runs_in

    def settle(self, *, starved: Callable[[int], None], memory_bytes: int | None) -> None:
        """Let the version's process step back as this one does, and hear what is to be watched of it."""
        self.line.ask("settle")
        self.line.starved, self.line.memory_bytes = starved, memory_bytes

    def score(
        self,
        rows: Rows,
        *,
        scores: bool = False,
        mark: MutableSequence[int] | memoryview | None = None,
    ) -> Scored:
        """Score rows in the version's process; as `Scorer.score`."""
        if rows.params:
            rows = _completed(self.loaded, rows)
        told, parts = told_of(rows)
        told["scores"] = scores and self.has_scores
        done, given = self.line.ask("score", told, parts, mark=mark)
        times = StepTimes(
            tuple(done["wall_ns"]),
            tuple(done["cpu_ns"]),
            done["total_ns"],
            done["total_cpu_ns"],
            tuple(InnerStep(name, tuple(columns), *ns) for name, columns, *ns in done["inner"]),
        )
        found = neutral.read(done["scores"], given)
        scored = self._scored(neutral.read(done["output"], given), times, found)
        return scored.starved_elsewhere(done["starved_ns"])

    def proven(self, rows: Rows) -> Scorer | None:
        """Compare the walk with the model's own path, there; as `Scorer.proven`."""
        if self.plan is None:
            return None
        told, parts = told_of(rows)
        found = neutral.read(*self.line.ask("prove", told, parts))
        return None if found is None else self.with_plan(plan_of(found, method=self.plan.method))


def told_of(rows: Rows) -> tuple[dict[str, Any], list[bytes]]:
    """Return typed rows as JSON, and the bytes of their arrays."""
    parts: list[bytes] = []
    told = {
        "columns": rows.columns,
        "tensor": rows.tensor,
        "params": dict(rows.params),
        "text": list(rows.text),
        "untyped": list(rows.untyped),
    }
    written = {name: neutral.written(value, parts) for name, value in told.items()}
    return {"rows": {**written, "n_rows": rows.n_rows}}, parts


def plan_of(found: Mapping[str, Any], *, method: str) -> Plan:
    """Return a plan that names its steps; it is run in the version's process."""
    steps = tuple(
        Step(name, tuple(columns), kind, n_jobs, made_of)
        for name, columns, kind, n_jobs, made_of in found["steps"]
    )
    notes, methods = tuple(found["plan_notes"]), tuple(found["methods"])
    return Plan(None, method, steps, notes, parts=(), ops=(), final=methods)


class _Parameters:
    """Stands for a model where only its parameters are asked for."""

    def __init__(self, given: Mapping[str, Any]) -> None:
        self._given = given

    def get_params(self, *, deep: bool) -> Mapping[str, Any]:
        """Return them, those of parts too."""
        return self._given if deep else {}


def loaded_of(facts: Mapping[str, Any], path: Path, line: Line) -> Loaded:
    """Return what is known of a version that was loaded in its own process."""

    def fits(value: Any) -> str | None:
        parts: list[bytes] = []
        told = {"value": neutral.written(value, parts)}
        found: str | None = neutral.read(*line.ask("fits", told, parts))
        return found

    example = input_example(path)
    known = {
        name: Categories(frozenset(values), missing=missing, refuses=refuses)
        for name, values, missing, refuses in facts["categories"]
    }
    return Loaded(
        native=_Parameters(dict(facts["ways"])),
        predict=completed(path, lambda _, params: params),
        method=facts["method"],
        classes=facts["classes"],
        feature_names=facts["feature_names"],
        kinds={**kinds_of_example(example), **facts["kinds"]},
        respelled=facts["respelled"],
        input_example=example,
        fits=fits if facts["hinted"] else None,
        threads=tuple(Threads(*one) for one in facts["threads"]),
        warnings=tuple(facts["warnings"]),
        unknown=facts["unknown"],
        multi_output=facts["multi_output"],
        categories=lambda: known,
    )


def _completed(loaded: Loaded, rows: Rows) -> Rows:
    return rows._replace(params=loaded.predict(None, rows.params))
