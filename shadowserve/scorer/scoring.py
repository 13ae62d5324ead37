"""One loaded version, ready to score: typed rows in, outputs and step times out.

The champion's workers and the lanes use the same `Scorer`, so a version is typed, called and timed
alike whatever its role. Opening one loads the files, compiles the timed walk, proves that the walk
changes nothing, and tries whether the version answers a row alike alone and in a batch.
"""

from __future__ import annotations

import gc
import json
from collections.abc import Callable, MutableSequence, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from shadowserve import ambience, wire
from shadowserve.errors import AlignmentError, AnswerError, ModelError, ShadowserveError
from shadowserve.faults import fault_of
from shadowserve.schema.rows import Rows
from shadowserve.schema.schema import Schema
from shadowserve.scorer import featurization, parity, probing
from shadowserve.scorer.loading import Loaded, load
from shadowserve.scorer.shipped_code import forget
from shadowserve.state.sharing import Sharing
from shadowserve.steps import InnerStep, StepTimes, timed_call
from shadowserve.versions.version import Version, identity
from shadowserve.wire.likeness import alike as alike

_UNNAMED = (
    "has neither a signature nor names of features: columns reach it under the names and in the "
    "order of each request, right or wrong. Log it with a signature"
)

_UNITS = (
    "answers by the unit in which dates are held: here and under MLflow's server nanoseconds, in a "
    "notebook perhaps another. Convert dates to one unit within the model"
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
    notes : tuple of str
        What is not as one would expect: opaque parts, no batches, nondeterminism.
    sharing : Sharing
        Why requests share a call or not, and what may change that.
    multi_output : bool
        Whether several rows are answered with a list of arrays, one an output; known since loading.
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

    @property
    def batched(self) -> bool:
        """Whether rows of several requests share a call from the start."""
        return self.sharing.batched

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

    def on(self, loaded: Loaded) -> Scorer:
        """Return the same version on another instance of it, timed as the tried one was."""
        plan = None
        if self.plan is not None:
            plan = featurization.like(self.plan, loaded.native)
        names = self.step_names if plan is None else _step_names(plan)
        schema = replace(self.schema, fits=loaded.fits)
        return replace(self, loaded=loaded, plan=plan, schema=schema, step_names=names)

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
        return ambience.within(self._score, rows, scores, mark)

    def _score(
        self, rows: Rows, scores: bool, mark: MutableSequence[int] | memoryview | None
    ) -> Scored:
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
    version: Version,
    path: Path,
    *,
    method: str = "predict",
    one_job: bool = False,
    batch: str = "auto",
    probe: str = "example",
    champion: Version | None = None,
) -> Scorer:
    """Load a version, compile its timed walk and try both on its own input example.

    Where the version is unknown code, the instance that was tried is let go and a fresh one serves.

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
    batch : {"auto", "earned", "on", "off"}
        Whether callers' requests may share a call, as the team asked.
    probe : {"none", "example", "full"}
        How much is tried: nothing, the example, or the example in company too whatever `batch` says.
    champion : Version, optional
        For a challenger: beside which it is scored, where only one of the two has a signature.

    Raises
    ------
    ModelError
        If the files are another version's, cannot be loaded, or fail on their own example.
    """
    identity(version, path)

    def fresh() -> Loaded:
        return ambience.within(load, path, method=method, version=version, one_job=one_job)

    return opened(
        version,
        fresh,
        method=method,
        batch=batch,
        probe=probe,
        champion=champion,
        clear=lambda: forget(path),
    )


def opened(
    version: Version,
    fresh: Callable[[], Loaded],
    *,
    method: str = "predict",
    batch: str = "auto",
    probe: str = "example",
    champion: Version | None = None,
    clear: Callable[[], None] = lambda: None,
) -> Scorer:
    """Try one instance of a version, and let another serve where the tries may have left a trace.

    Parameters
    ----------
    fresh : callable
        Loads an instance.
    champion : Version, optional
        As in `open_version`.
    clear : callable
        Forgets, before the second is loaded, what the first left behind in this process.

    Raises
    ------
    ModelError
        If either cannot be loaded, or fails on its own example.
    """
    try:
        scorer = tried(version, fresh(), method=method, batch=batch, probe=probe, champion=champion)
        if scorer.sharing.unknown is None or not scorer.sharing.tries:
            return scorer
        scorer = renewed(scorer)
        clear()
        gc.collect()  # the tried instance goes before its successor comes: never two in memory
        return scorer.on(fresh())
    except (ShadowserveError, OSError):
        raise
    except BaseException as error:  # whatever a model left behind: a signal, a thread, an import
        fault = fault_of(error)
        raise ModelError(
            f"{version.pin} cannot be loaded and tried: {fault.type} at {fault.frame}. "
            "Load it where it was trained to see why."
        ) from error


def tried(
    version: Version,
    loaded: Loaded,
    *,
    method: str,
    batch: str,
    probe: str,
    champion: Version | None = None,
) -> Scorer:
    """Make a scorer of what was loaded, and try it out as far as it was asked for.

    Raises
    ------
    ModelError
        If it fails on its own example.
    """
    schema, typing = _schema(version, loaded, champion)
    example = _example(loaded, schema, version)
    trying = None if probe == "none" else example
    plan, notes, calls = _plan(loaded, method, trying)
    if typing is not None:
        notes = (*notes, typing)
    if schema.is_open:
        notes = (*notes, _UNNAMED)
    if example is None and loaded.input_example is not None:
        notes = (*notes, "has an input example that no request can carry; nothing was tried on it")
    sharing = Sharing(
        mode=batch, able=schema.batchable, unknown=loaded.unknown, probe=probe, tries=calls
    )
    scorer = Scorer(
        version,
        loaded,
        plan,
        schema,
        notes=notes,
        step_names=(("predict", ()),) if plan is None else _step_names(plan),
        sharing=sharing,
        multi_output=loaded.multi_output,
    )
    if trying is not None:
        scorer = _probed(scorer, trying)
    elif probe != "none":
        scorer = _tried_on_made_up_row(scorer)
    return replace(scorer, notes=tuple(dict.fromkeys((*scorer.notes, scorer.sharing.note))))


def _probed(scorer: Scorer, example: Rows) -> Scorer:
    """Try whether a row is answered twice alike and, where that matters, alike in company."""
    sharing = scorer.sharing
    try:
        alone = probing.try_alone(scorer, example)
        scorer = replace(scorer, multi_output=scorer.multi_output or alone.multi_output)
        company = None
        if sharing.able and (sharing.batched or sharing.earnable or sharing.probe == "full"):
            company = probing.try_in_company(scorer, example)
    except BaseException as error:
        raise _failed(scorer.version, error) from error
    deterministic, differs, calls = alone.deterministic, False, sharing.tries + alone.calls
    if company is not None:
        calls += company.calls
        deterministic = deterministic and company.deterministic
        differs = company.differs
    unknown = sharing.unknown
    if unknown is None and not deterministic:
        unknown = "what makes it answer differently from call to call"
    by_unit, more = probing.depends_on_units(scorer, example)
    sharing = replace(
        sharing, differs=differs, unknown=unknown, tries=calls + more, tried="its input example"
    )
    notes = (*scorer.notes, _UNITS) if by_unit else scorer.notes
    if not deterministic:
        notes = (*notes, "answers one row differently on a second call (nondeterministic)")
    return replace(scorer, sharing=sharing, deterministic=deterministic, notes=notes)


def _tried_on_made_up_row(scorer: Scorer) -> Scorer:
    """Call a version without an input example once; what it says to a made-up row is no proof."""
    row = probing.made_up(scorer.schema)
    if row is None:
        told, calls = "nothing: it has no input example, and no signature to make a row from", 0
    else:
        told, calls = "a row made from its signature, as it has no input example", 1
        try:
            wire.answer(scorer.score(row).output)
        except BaseException as error:
            fault = fault_of(error)
            told = (
                f"a row made from its signature, on which it fails: {fault.type} at {fault.frame}. "
                "Log it with an input example, and it is tried on that"
            )
    sharing = replace(scorer.sharing, tries=scorer.sharing.tries + calls, tried=told)
    return replace(scorer, sharing=sharing, notes=(*scorer.notes, f"was tried on {told}"))


def renewed(scorer: Scorer) -> Scorer:
    """Return a scorer that holds what was learnt of the tried instance, and not the instance."""
    plan = scorer.plan
    shell = replace(
        scorer.loaded,
        native=None,
        predict=_gone,
        probabilities=None,
        fits=None,
        categories=dict,
    )
    return replace(
        scorer,
        loaded=shell,
        plan=None if plan is None else plan.emptied(),
        schema=replace(scorer.schema, fits=None),
    )


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


def warm(scorer: Scorer, *, most_rows: int = 0) -> Scorer:
    """Send the input example through the whole path, where that leaves no trace in what serves.

    Known structure has no state that a call could change. An instance of unknown code is left as it
    was loaded, unless its rows are batched: then each number of rows that serving makes is called
    once. With ``--probe none`` nothing is called.

    Parameters
    ----------
    most_rows : int
        Rows that may share a call; 0 or 1 where none do.

    Returns
    -------
    Scorer
        The same, which knows what was called.

    Raises
    ------
    ModelError
        If the version fails on it: it would fail in production too.
    """
    sharing = scorer.sharing
    example = _example(scorer.loaded, scorer.schema, scorer.version)
    if example is None or sharing.probe == "none":
        return scorer
    try:
        if sharing.unknown is None:
            wire.answer(scorer.score(example).output)
            warmed: tuple[int, ...] = (example.n_rows,)
        elif most_rows > 1:
            warmed = probing.warm_batches(scorer, example, most=most_rows)
        else:
            return scorer
    except BaseException as error:  # a model's sys.exit() is its failure, not this process's end
        raise _failed(scorer.version, error) from error
    return replace(scorer, sharing=replace(sharing, warmed=warmed))


def _schema(
    version: Version, loaded: Loaded, champion: Version | None
) -> tuple[Schema, str | None]:
    """Return how requests are typed, and what is to be said of it."""
    known = replace(Schema.from_signature(version.signature), fits=loaded.fits)
    names = tuple(loaded.feature_names or ())
    if known.is_open and names:
        known = replace(
            known,
            columns=Schema.from_names(names, kinds=loaded.kinds).columns,
            respelled=loaded.respelled,
        )
    else:
        known = replace(known, features=names)
    if champion is None:
        return known, None
    schema = parity.beside(known, Schema.from_signature(champion.signature))
    return schema, parity.said(champion, version)


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
) -> tuple[featurization.Plan | None, tuple[str, ...], int]:
    """Compile the timed walk and verify it; also return the notes, and how often the model was called."""
    if loaded.native is None or loaded.method != method:
        return None, loaded.warnings, 0
    plan, calls = featurization.compile(loaded.native, method=method), 0
    if example is not None:
        plan, calls = ambience.within(featurization.verified, plan, example)
    return plan, (*loaded.warnings, *plan.notes), calls


def _gone(_rows: Any, _params: Any) -> Any:
    raise RuntimeError("This instance was tried and let go; a fresh one serves.")


def _failed(version: Version, error: BaseException) -> ModelError:
    if isinstance(error, ModelError):
        return error
    if isinstance(error, AlignmentError | AnswerError):
        return ModelError(f"{version.pin} loads, but cannot be served. {error}")
    fault = fault_of(error)
    return ModelError(
        f"{version.pin} loads, but fails on its own input example: {fault.type} at {fault.frame}. "
        "Was it trained with other library versions? 'shadowserve check' compares them."
    )
