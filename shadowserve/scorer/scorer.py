"""The scorer: one loaded version, from typed rows to outputs and step times.

The champion's workers and the lanes use the same `Scorer`, so a version is typed, called and timed
alike whatever its role.
"""

from __future__ import annotations

from collections.abc import Callable, MutableSequence, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from shadowserve import ambience, wire
from shadowserve.errors import AlignmentError
from shadowserve.schema.rows import Rows
from shadowserve.schema.schema import Schema
from shadowserve.scorer import featurization
from shadowserve.scorer.adapting import Adapter
from shadowserve.scorer.loading import Loaded
from shadowserve.state.isolation import Environment
from shadowserve.state.sharing import Sharing
from shadowserve.steps import InnerStep, StepTimes, timed_call
from shadowserve.versions.version import Version

StepNames = tuple[tuple[str, tuple[str, ...]], ...]


@dataclass(frozen=True, slots=True)
class Scored:
    """What one call gave and what it took.

    Parameters
    ----------
    output : object
        The raw prediction for all rows.
    wall_ns, cpu_ns : tuple of int
        One entry a step, in the order of `Scorer.step_names`.
    featurization_ns, inference_ns : int
        Wall time before the final estimator (with the walk's own overhead), and of it.
    inner : tuple of InnerStep
        Parts that the model's author named.
    scores : ndarray of shape (n_rows, n_classes), optional
        Probabilities, where they were asked for and the version has them.
    total_cpu_ns : int
        CPU time of the whole call, what lies between steps included.
    starved_ns : int or None
        What the scoring thread of another process waited for a CPU; None where it was this thread.
    """

    output: Any
    wall_ns: tuple[int, ...]
    cpu_ns: tuple[int, ...]
    featurization_ns: int
    inference_ns: int
    inner: tuple[InnerStep, ...] = ()
    scores: np.ndarray | None = None
    total_cpu_ns: int = 0
    starved_ns: int | None = None

    def starved_elsewhere(self, starved_ns: int) -> Scored:
        """Return the same, made by a thread of another process that waited so long for a CPU."""
        return replace(self, starved_ns=starved_ns)


@dataclass(frozen=True, slots=True)
class Scorer:
    """A version that scores typed rows, one call at a time.

    Parameters
    ----------
    version : Version
        Whose files were loaded.
    loaded : Loaded
        The object that predicts.
    plan : Plan or None
        The timed walk of a native model; None where the version is called as a whole.
    schema : Schema
        How its requests are typed.
    notes : tuple of str
        What is not as one would expect: opaque parts, no batches, nondeterminism.
    sharing : Sharing
        Why requests share a call or not, and what may change that.
    multi_output : bool
        Whether several rows are answered with a list of arrays, one an output; known since loading.
    adapter : Adapter or None
        What puts the output into the champion's form; a challenger's alone.
    """

    version: Version
    loaded: Loaded
    plan: featurization.Plan | None
    schema: Schema
    notes: tuple[str, ...] = ()
    deterministic: bool = True
    step_names: StepNames = field(default=(("predict", ()),))
    sharing: Sharing = field(default_factory=Sharing)
    multi_output: bool = False
    adapter: Adapter | None = None

    @property
    def batched(self) -> bool:
        """Whether rows of several requests share a call from the start."""
        return self.sharing.batched

    @property
    def classes(self) -> list[Any] | None:
        """Class labels of what is compared; None where an adapter makes something else of them."""
        return self.loaded.classes if self.adapter is None else None

    def with_plan(self, plan: featurization.Plan) -> Scorer:
        """Return the same version timed by another plan of it."""
        return replace(
            self,
            plan=plan,
            step_names=step_names_of(plan),
            notes=tuple(dict.fromkeys((*self.notes, *plan.notes))),
        )

    def on(self, loaded: Loaded) -> Scorer:
        """Return the same version on another instance of it, timed as the tried one was."""
        plan = None
        if self.plan is not None:
            plan = featurization.like(self.plan, loaded.native)
        names = self.step_names if plan is None else step_names_of(plan)
        schema = replace(self.schema, fits=loaded.fits)
        return replace(self, loaded=loaded, plan=plan, schema=schema, step_names=names)

    @property
    def has_scores(self) -> bool:
        """Whether labels are served while probabilities exist."""
        plan = self.plan
        return plan is not None and plan.method == "predict" and "predict_proba" in plan.methods

    @property
    def pid(self) -> int | None:
        """The process that the version runs in, where it is not this one."""
        return None

    @property
    def environment(self) -> Environment | None:
        """What the version runs in, where that is an environment of its own."""
        return None

    def settle(self, *, starved: Callable[[int], None], memory_bytes: int | None) -> None:
        """Say that all is loaded; an isolated version's process steps back, and is watched from here on.

        Parameters
        ----------
        starved : callable
            Is told for how many nanoseconds the running call has waited for a CPU.
        memory_bytes : int or None
            What the process may hold.
        """

    def proven(self, rows: Rows) -> Scorer | None:
        """Compare the timed walk with the model's own path, bit for bit.

        Returns
        -------
        Scorer or None
            Timed by a coarser walk where they differ although the model agrees with itself; else None.
        """
        if (
            self.plan is None
            or ambience.within(featurization.check_identity, self.plan, rows).holds
        ):
            return None
        return self.with_plan(ambience.within(featurization.verify, self.plan, rows))

    def score(
        self,
        rows: Rows,
        *,
        scores: bool = False,
        mark: MutableSequence[int] | memoryview | None = None,
    ) -> Scored:
        """Score rows.

        Parameters
        ----------
        rows : Rows
            Not written to, whatever the model does.
        scores : bool
            Whether probabilities are computed besides, after the clock has stopped.
        mark : sequence of int of length 1, optional
            Holds the index of the running step, for whoever watches from outside.
        """
        return ambience.within(self._score, rows, scores, mark)

    def _score(
        self, rows: Rows, scores: bool, mark: MutableSequence[int] | memoryview | None
    ) -> Scored:
        # Parameters are completed and checked in the version's own call, which is not walked.
        if self.plan is None or rows.params:
            output, times = timed_call(self.loaded.predict, rows.model_input(), rows.params)
            return self._scored(output, times, None)
        wanted = ("predict_proba",) if scores and self.has_scores else ()
        timed = self.plan.run(rows, outputs=wanted, mark=mark)
        found = timed.others.get("predict_proba")
        return self._scored(timed.output, timed.times, found)

    def split(self, output: Any, lengths: Sequence[int]) -> list[Any]:
        """Cut a batch's prediction into the requests' own.

        Raises
        ------
        AlignmentError
            If the answer has another number of rows than the requests. One row may be answered with
            a list of any length but 0, since that can be its one answer.
        """
        if len(lengths) == 1:
            _check_length(output, lengths[0])
        return wire.split(output, lengths, multi_output=self.multi_output)

    def _scored(self, output: Any, times: StepTimes, scores: Any) -> Scored:
        if self.adapter is not None:
            output = self.adapter(output)
        # A walk that stood aside has no times by step.
        wall_ns = times.wall_ns if len(times.wall_ns) == len(self.step_names) else ()
        inference_ns = wall_ns[-1] if wall_ns else times.total_ns
        return Scored(
            output=output,
            wall_ns=wall_ns,
            cpu_ns=times.cpu_ns if wall_ns else (),
            featurization_ns=times.total_ns - inference_ns,
            inference_ns=inference_ns,
            inner=times.inner,
            scores=np.asarray(scores) if isinstance(scores, np.ndarray) else None,
            total_cpu_ns=times.total_cpu_ns,
        )


def step_names_of(plan: featurization.Plan) -> StepNames:
    """Return a plan's steps, each with its columns."""
    return tuple((step.name, tuple(map(str, step.columns))) for step in plan.steps)


def _check_length(output: Any, n_rows: int) -> None:
    """Refuse an answer to several rows that has another number of rows, or none at all."""
    if not isinstance(output, (list, np.ndarray, pd.DataFrame, pd.Series)):
        return
    given = len(output) if not isinstance(output, np.ndarray) or output.ndim else n_rows
    # A list of any length may be the one answer to one row.
    if given == n_rows or (n_rows == 1 and given):
        return
    arrays = [part for part in output if isinstance(part, np.ndarray)]
    if len(arrays) == given and {part.shape[:1] for part in arrays} == {(n_rows,)}:
        return  # one array for each of several outputs
    raise AlignmentError(
        f"The model answered {n_rows} rows with {given} entries; one entry a row is expected."
    )
