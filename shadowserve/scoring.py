"""One loaded version, ready to score: typed rows in, outputs and step times out.

The champion's workers and the lanes use the same `Scorer`, so a version is typed, called and timed
alike whatever its role. Opening one loads the files, compiles the timed walk, proves that the walk
changes nothing, and tries whether the version answers a row alike alone and in a batch.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import MutableSequence, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from shadowserve import featurization, wire
from shadowserve.errors import AlignmentError, ModelError, ShadowserveError
from shadowserve.faults import fault_of
from shadowserve.loading import Loaded, is_stock, load
from shadowserve.rows import Rows, concat
from shadowserve.schema import Schema
from shadowserve.steps import InnerStep, StepTimes, timed_call
from shadowserve.version import Version, identity

RELATIVE, ABSOLUTE = 1e-9, 1e-12
PROBE_ROWS = 8
COMPANY = 3

_UNNAMED = (
    "has neither a signature nor names of features: columns reach it under the names and in the "
    "order of each request, right or wrong. Log it with a signature"
)

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
    """

    output: Any
    wall_ns: tuple[int, ...]
    cpu_ns: tuple[int, ...]
    featurization_ns: int
    inference_ns: int
    inner: tuple[InnerStep, ...] = ()
    scores: np.ndarray | None = None
    total_cpu_ns: int = 0


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
    batched : bool
        Whether rows of several requests may share a call.
    notes : tuple of str
        What is not as one would expect: opaque parts, no batches, nondeterminism.
    """

    version: Version
    loaded: Loaded
    plan: featurization.Plan | None
    schema: Schema
    batched: bool = True
    notes: tuple[str, ...] = ()
    deterministic: bool = True
    step_names: StepNames = field(default=(("predict", ()),))

    @property
    def final_step(self) -> int:
        """Index of the step that is inference; those before are featurization."""
        return len(self.step_names) - 1

    def with_plan(self, plan: featurization.Plan) -> Scorer:
        """Return the same version timed by another plan of it."""
        return replace(
            self,
            plan=plan,
            step_names=_step_names(plan),
            notes=tuple(dict.fromkeys((*self.notes, *plan.notes))),
        )

    @property
    def has_scores(self) -> bool:
        """Whether labels are served while probabilities exist."""
        plan = self.plan
        return plan is not None and plan.method == "predict" and "predict_proba" in plan.methods

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
        return wire.split(output, lengths)

    def _scored(self, output: Any, times: StepTimes, scores: Any) -> Scored:
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


def _step_names(plan: featurization.Plan) -> StepNames:
    return tuple((step.name, tuple(map(str, step.columns))) for step in plan.steps)


def open_version(
    version: Version, path: Path, *, method: str = "predict", one_job: bool = False
) -> Scorer:
    """Load a version, compile its timed walk and probe both on its own input example.

    Parameters
    ----------
    version : Version
        As resolved; the files are proven to be it.
    path : Path
        Its files.
    method : str
        ``predict`` or ``predict_proba``.
    one_job : bool
        As in `loading.load`.

    Raises
    ------
    ModelError
        If the files are another version's, cannot be loaded, or fail on their own example.
    """
    identity(version, path)
    loaded = load(path, method=method, version=version, one_job=one_job)
    schema = _schema(version, loaded)
    example = _example(loaded, schema, version)
    plan, notes = _plan(loaded, method, example)
    names: StepNames = (("predict", ()),)
    if plan is not None:
        names = _step_names(plan)
    if schema.is_open:
        notes = (*notes, _UNNAMED)
    if example is None and loaded.input_example is not None:
        notes = (*notes, "has an input example that no request can carry; nothing was tried on it")
    if not schema.batchable:
        notes = (*notes, "its signature does not fix every type and shape; it is served unbatched")
    elif example is None and not is_stock(loaded.native):
        notes = (*notes, "has no input example to try batches on; it is served unbatched")
    batched = schema.batchable and (example is not None or is_stock(loaded.native))
    scorer = Scorer(version, loaded, plan, schema, batched=batched, step_names=names, notes=notes)
    return scorer if example is None else _probed(scorer, example)


def _check_length(output: Any, n_rows: int) -> None:
    """Refuse an answer to several rows that has another number of rows, or none at all."""
    if not isinstance(output, (list, np.ndarray, pd.DataFrame, pd.Series)):
        return
    given = len(output) if not isinstance(output, np.ndarray) or output.ndim else n_rows
    if given == n_rows or (n_rows == 1 and given):
        return
    arrays = [part for part in output if isinstance(part, np.ndarray)]
    if len(arrays) == given and {part.shape[:1] for part in arrays} == {(n_rows,)}:
        return  # one array for each of several outputs
    raise AlignmentError(
        f"The model answered {n_rows} rows with {given} entries; one entry a row is expected."
    )


def warm(scorer: Scorer) -> None:
    """Send the input example through the whole path: typing, scoring, encoding.

    Raises
    ------
    ModelError
        If the version fails on it: it would fail in production too.
    """
    example = _example(scorer.loaded, scorer.schema, scorer.version)
    if example is None:
        return
    try:
        for _ in range(3):
            wire.answer(scorer.score(example).output)
    except BaseException as error:  # a model's sys.exit() is its failure, not this process's end
        raise _failed(scorer.version, error) from error


def _schema(version: Version, loaded: Loaded) -> Schema:
    known = replace(Schema.from_signature(version.signature), fits=loaded.fits)
    names = tuple(loaded.feature_names or ())
    if known.is_open and names:
        return replace(known, columns=Schema.from_names(names).columns)
    return replace(known, features=names)


def _example(loaded: Loaded, schema: Schema, version: Version) -> Rows | None:
    """Type the version's own input example as if it had come over the wire.

    None where there is none, or none that a request could carry though no signature forbids it.
    """
    if loaded.input_example is None:
        return None
    body = json.dumps(loaded.input_example, default=str).encode()
    try:
        return wire.parse(body, "application/json", schema)
    except ShadowserveError as error:
        if not schema.is_typed:
            return None
        raise ModelError(
            f"The input example of {version.pin} does not fit its own signature: {error}"
        ) from error


def _plan(
    loaded: Loaded, method: str, example: Rows | None
) -> tuple[featurization.Plan | None, tuple[str, ...]]:
    if loaded.native is None or loaded.method != method:
        return None, loaded.warnings
    plan = featurization.compile(loaded.native, method=method)
    if example is not None:
        plan = featurization.verify(plan, example)
    return plan, (*loaded.warnings, *plan.notes)


def _probed(scorer: Scorer, example: Rows) -> Scorer:
    """Find out whether a row is answered alike alone and in a batch, and twice alike."""
    try:
        alone, again = (_alone(scorer, example) for _ in range(2))
        together = _together(scorer, example) if scorer.batched else []
        compared = [(alone, each) for each in together]
        if scorer.batched:
            compared += _in_company(scorer, example)
    except BaseException as error:
        raise _failed(scorer.version, error) from error
    deterministic = alone == again
    batched = scorer.batched and (not deterministic or all(alike(a, b) for a, b in compared))
    notes = list(scorer.notes)
    if not deterministic:
        notes.append("answers one row differently on a second call (nondeterministic)")
    if scorer.batched and not batched:
        notes.append("answers a row differently alone and in a batch; it is served unbatched")
    return Scorer(
        scorer.version,
        scorer.loaded,
        scorer.plan,
        scorer.schema,
        batched=batched,
        deterministic=deterministic,
        notes=tuple(notes),
        step_names=scorer.step_names,
    )


def _alone(scorer: Scorer, example: Rows) -> Any:
    (part,) = scorer.split(scorer.score(example).output, [example.n_rows])
    return _numbers(part)


def _together(scorer: Scorer, example: Rows) -> list[Any]:
    lengths = [example.n_rows] * max(2, PROBE_ROWS // example.n_rows)
    scored = scorer.score(concat([example] * len(lengths)))
    return [_numbers(part) for part in scorer.split(scored.output, lengths)]


def _in_company(scorer: Scorer, example: Rows) -> list[tuple[Any, Any]]:
    """Answer a few rows alone and among rows that are not like them, the mean of which is another."""
    rows = [example.part(at, at + 1) for at in range(min(example.n_rows, COMPANY))]
    alone = [_alone(scorer, row) for row in rows]
    with contextlib.suppress(BaseException):  # it may refuse what was made up
        stranger = rows[0].varied()
        alone.append(_alone(scorer, stranger))
        rows.append(stranger)
    try:
        together = scorer.split(scorer.score(concat(rows)).output, [1] * len(rows))
    except BaseException:
        return [("an answer", "none")]
    return [(a, _numbers(part)) for a, part in zip(alone, together, strict=True)]


def _numbers(output: Any) -> Any:
    """Return an output as the JSON values in which it would leave."""
    return wire.read_answer(wire.answer(output))


def alike(left: Any, right: Any) -> bool:
    """Compare JSON values, floats within rtol 1e-9 and atol 1e-12, as BLAS sums in another order."""
    if isinstance(left, float) and isinstance(right, float):
        return abs(left - right) <= ABSOLUTE + RELATIVE * abs(right)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(alike, left, right))
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(alike(left[k], right[k]) for k in left)
    return bool(left == right)


def _failed(version: Version, error: BaseException) -> ModelError:
    if isinstance(error, ModelError):
        return error
    if isinstance(error, AlignmentError):
        return ModelError(f"{version.pin} loads, but cannot be served. {error}")
    fault = fault_of(error)
    return ModelError(
        f"{version.pin} loads, but fails on its own input example: {fault.type} at {fault.frame}. "
        "Was it trained with other library versions? 'shadowserve check' compares them."
    )
