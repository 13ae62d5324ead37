"""The timed walk: a fitted model as a flat list of calls, each step between two clock readings.

A plan is what `compile` makes of a model. Running it calls the same fitted transformers in the same
order on the same inputs as the model's own `predict`. It notes what each of them took. Nothing of
the model is wrapped or altered; two plans of one model know nothing of each other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, MutableSequence, Sequence
from dataclasses import dataclass, field, replace
from time import perf_counter_ns, thread_time_ns
from typing import Any, Literal, NamedTuple

import pandas as pd

from shadowserve.schema.rows import Rows
from shadowserve.steps import StepTimes, listen

from .inputs import Columns

Kind = Literal["featurization", "estimator", "opaque"]

OVERHEAD = -1


@dataclass(frozen=True, slots=True)
class Step:
    """One named, timed part of a model.

    Parameters
    ----------
    name : str
        scikit-learn's names joined by ``/``, such as ``features/text/tfidf``.
    columns : tuple of str or int
        The columns of the request from which the step's input was made; empty when not known.
    kind : {"featurization", "estimator", "opaque"}
        Opaque: several parts timed as one, for a reason that the plan's notes give.
    n_jobs : int or None
        What the fitted object itself asks for; -1 means all cores.
    made_of : str
        Qualified name of its class; empty where it has none of its own.
    """

    name: str
    columns: tuple[str | int, ...]
    kind: Kind
    n_jobs: int | None = None
    made_of: str = ""


class Op(NamedTuple):
    """One call of a plan. Its output is value number k + 1 for the k-th op; number 0 is the input.

    Parameters
    ----------
    call : callable
        What is called.
    inputs : tuple of int
        Numbers of the values it is handed.
    step : int
        Index of the step that is timed, or `OVERHEAD`.
    """

    call: Callable[..., Any]
    inputs: tuple[int, ...]
    step: int = OVERHEAD


class Timed(NamedTuple):
    """What a run gave and what it took.

    Parameters
    ----------
    output : Any
        As the model's own method returns it.
    times : StepTimes
        One entry a step of the plan. Empty where the walk stood aside (see `Plan.run`).
    others : mapping of method name to output
        Outputs asked for besides, computed after the clock stopped.
    """

    output: Any
    times: StepTimes
    others: Mapping[str, Any] = {}


@dataclass(frozen=True, slots=True)
class Plan:
    """A fitted model, ready to be run with every step timed.

    Parameters
    ----------
    model : estimator
        The fitted model; `stock` calls it directly.
    method : str
        Such as ``"predict"``.
    steps : tuple of Step
        In the order in which they run.
    notes : tuple of str
        What is opaque or measured only in part, and why. No values.
    parts : tuple of str
        Paths of the composites that are walked; each of them could be made opaque.
    ops : tuple of Op
        The calls, for an input that is a frame or an array.
    columnar_ops : tuple of Op or None
        The same for an input in columns; None where the model wants the whole frame anyway.
    needs : frozenset of str
        Columns without which the model's own checks have to speak.
    serial, exact : bool
        As in `compile`.
    final : estimator or None
        What the further outputs of `run` are asked of.
    """

    model: Any
    method: str
    steps: tuple[Step, ...]
    notes: tuple[str, ...]
    parts: tuple[str, ...]
    ops: tuple[Op, ...]
    columnar_ops: tuple[Op, ...] | None = None
    needs: frozenset[str] = frozenset()
    serial: bool = False
    exact: bool = False
    final: Any = field(default=None, repr=False)

    @property
    def methods(self) -> tuple[str, ...]:
        """What can be asked for in `run` besides the plan's own method."""
        known = ("predict", "predict_proba", "decision_function")
        return tuple(name for name in known if hasattr(self.final, name))

    def emptied(self) -> Plan:
        """Return the plan without the model: what its steps are, and nothing that can be run."""
        return replace(self, model=None, ops=(), columnar_ops=None, final=None)

    def stock(self, rows: Rows) -> Any:
        """Return what the model's own method gives for the rows."""
        return getattr(self.model, self.method)(rows.model_input())

    def run(
        self,
        rows: Rows,
        *,
        outputs: Sequence[str] = (),
        mark: MutableSequence[int] | memoryview | None = None,
    ) -> Timed:
        """Score rows, every step timed.

        Parameters
        ----------
        rows : Rows
            Not written to.
        outputs : sequence of str
            Further methods of the final estimator, such as ``"predict_proba"``: computed from the
            same features, after the clock stopped.
        mark : sequence of int of length 1, optional
            Holds the index of the step that is running, `OVERHEAD` between steps and after them.
            Shared memory tells another process which step never returned; after an exception it
            still names the step that raised.

        Returns
        -------
        Timed
            The output is bit-identical to `stock` where `check_identity` found it so.
        """
        # Laying the rows out is part of what the call costs.
        began = (thread_time_ns(), perf_counter_ns())
        ops, given = self._lay_out(rows)
        values, times = self._walk(ops, given, began, mark)
        if not outputs:
            return Timed(values[-1], times)
        number = ops[-1].inputs[0]
        # A model may write into what it is handed: where that is the input itself, lay it out anew.
        features = values[number] if number else self._lay_out(rows)[1]
        return Timed(values[-1], times, self._others(outputs, values[-1], features))

    def run_frame(
        self,
        frame: Any,
        *,
        outputs: Sequence[str] = (),
        mark: MutableSequence[int] | memoryview | None = None,
    ) -> Timed:
        """Score a frame or an array, every step timed; parameters as in `run`.

        A model that writes into what `predict` is handed writes into it here too.
        """
        began = (thread_time_ns(), perf_counter_ns())
        ops, given = self.ops, frame
        cpu_last: int | None = began[0]
        if self.columnar_ops is not None and self._knows(frame):
            ops, given = self.columnar_ops, Columns.of_frame(frame)
            cpu_last = None
        values, times = self._walk(ops, given, began, mark, cpu_last)
        if not outputs:
            return Timed(values[-1], times)
        features = values[ops[-1].inputs[0]]
        return Timed(values[-1], times, self._others(outputs, values[-1], features))

    def _lay_out(self, rows: Rows) -> tuple[tuple[Op, ...], Any]:
        if rows.tensor is not None or self.exact:
            return self.ops, rows.model_input()
        columns = Columns.of_rows(rows)
        names = rows.columns.keys()
        # Without a needed column the model's own check has to raise its own error, on a frame.
        if self.columnar_ops is not None and self.needs <= names and _are_names(names):
            return self.columnar_ops, columns
        return self.ops, columns.whole()

    def _knows(self, frame: Any) -> bool:
        """Whether a frame is no more than its columns and index, and has what the model needs."""
        if type(frame) is not pd.DataFrame or frame.attrs or not frame.columns.is_unique:
            return False
        return self.needs <= frozenset(frame.columns) and _are_names(frame.columns)

    def _walk(
        self,
        ops: tuple[Op, ...],
        given: Any,
        began: tuple[int, int],
        mark: MutableSequence[int] | memoryview | None,
        cpu_last: int | None = None,
    ) -> tuple[list[Any], StepTimes]:
        if len(ops) == 1 and ops[0].step != OVERHEAD:
            return self._walk_one(ops[0], given, began, mark, cpu_last)
        steps = self.steps
        values = [given]
        wall_ns, cpu_ns = [0] * len(steps), [0] * len(steps)
        with listen() as heard:
            for call, inputs, step in ops:
                if step == OVERHEAD:
                    # Layout, checks and stacking are the walk's own: the next step's CPU time starts afresh.
                    values.append(call(*[values[number] for number in inputs]))
                    cpu_last = None
                    continue
                heard.path = steps[step].name
                # Set before the call: a step that never returns must be named from outside.
                if mark is not None:
                    mark[0] = step
                # Where nothing lies between two steps, one's end is the next one's start.
                cpu_start = thread_time_ns() if cpu_last is None else cpu_last
                # Read last before the call and first after it, so that the other clock's cost stays outside.
                wall_start = perf_counter_ns()
                values.append(call(values[inputs[0]]))
                wall_ns[step] = perf_counter_ns() - wall_start
                cpu_last = thread_time_ns()
                cpu_ns[step] = cpu_last - cpu_start
                if mark is not None:
                    mark[0] = OVERHEAD
        total_cpu_ns = (cpu_last or thread_time_ns()) - began[0]
        total_ns = perf_counter_ns() - began[1]
        return values, StepTimes(
            tuple(wall_ns), tuple(cpu_ns), total_ns, total_cpu_ns, heard.steps()
        )

    def _walk_one(
        self,
        op: Op,
        given: Any,
        began: tuple[int, int],
        mark: MutableSequence[int] | memoryview | None,
        cpu_last: int | None,
    ) -> tuple[list[Any], StepTimes]:
        """Walk a plan of one step: a model of half a millisecond would feel the loop and its lists."""
        with listen(self.steps[op.step].name) as heard:
            if mark is not None:
                mark[0] = op.step
            cpu_start = thread_time_ns() if cpu_last is None else cpu_last
            wall_start = perf_counter_ns()
            output = op.call(given)
            wall_ns = perf_counter_ns() - wall_start
            cpu_end = thread_time_ns()
            if mark is not None:
                mark[0] = OVERHEAD
        times = StepTimes(
            (wall_ns,),
            (cpu_end - cpu_start,),
            perf_counter_ns() - began[1],
            cpu_end - began[0],
            heard.steps(),
        )
        return [given, output], times

    def _others(self, outputs: Sequence[str], own: Any, features: Any) -> dict[str, Any]:
        return {
            name: own if name == self.method else getattr(self.final, name)(features)
            for name in outputs
        }


def _are_names(names: Any) -> bool:
    return all(type(name) is str for name in names)
