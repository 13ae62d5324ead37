"""A loaded version tried out before it serves: its example typed, its walk proven, its batches compared.

Nothing of it is proof for versions without an input example; what was tried is said in the notes.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from shadowserve import ambience, wire
from shadowserve.errors import AlignmentError, AnswerError, ModelError, ShadowserveError
from shadowserve.faults import fault_of
from shadowserve.schema.rows import Rows
from shadowserve.schema.schema import Schema
from shadowserve.scorer import adapting, featurization, parity, probing
from shadowserve.scorer.loading import Loaded
from shadowserve.scorer.scorer import Scorer, step_names_of
from shadowserve.settings.options import DEFAULTS, Options
from shadowserve.state.sharing import Sharing
from shadowserve.versions.version import Version

Walked = Callable[[Rows | None], tuple[featurization.Plan | None, tuple[str, ...], int]]

_UNNAMED = (
    "has neither a signature nor names of features: columns reach it under the names and in the "
    "order of each request, right or wrong. Log it with a signature"
)

_UNITS = (
    "answers by the unit in which dates are held: here and under MLflow's server nanoseconds, in a "
    "notebook perhaps another. Convert dates to one unit within the model"
)


def tried(
    version: Version,
    loaded: Loaded,
    *,
    options: Options = DEFAULTS,
    champion: Version | None = None,
    walked: Walked | None = None,
    made: Callable[..., Scorer] = Scorer,
) -> Scorer:
    """Make a scorer of what was loaded, and try it out as far as it was asked for.

    Parameters
    ----------
    walked : callable, optional
        Given the example or None, returns the timed walk that is proven on it, notes, and calls made.
    made : callable
        Makes the scorer.

    Raises
    ------
    ModelError
        If it fails on its own example.
    """
    schema, typing = _schema(version, loaded, champion)
    example = example_of(loaded, schema, version)
    trying = None if options.probe == "none" else example
    walked = walked or partial(_plan, loaded, options.method)
    plan, notes, calls = walked(trying)
    if typing is not None:
        notes = (*notes, typing)
    if schema.is_open:
        notes = (*notes, _UNNAMED)
    if example is None and loaded.input_example is not None:
        notes = (*notes, "has an input example that no request can carry; nothing was tried on it")
    sharing = Sharing(
        mode=options.batch,
        able=schema.batchable,
        unknown=loaded.unknown,
        probe=options.probe,
        tries=calls,
    )
    adapter = None if champion is None else adapting.of(options, version)
    if adapter is not None:
        notes = (*notes, f"its answers are compared as {adapter.name} makes them")
    scorer = made(
        version,
        loaded,
        plan,
        schema,
        notes=notes,
        adapter=adapter,
        step_names=(("predict", ()),) if plan is None else step_names_of(plan),
        sharing=sharing,
        multi_output=loaded.multi_output and adapter is None,
    )
    if trying is not None:
        scorer = _probed(scorer, trying)
    elif options.probe != "none":
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
        raise failure_of(scorer.version, error) from error
    deterministic, differs, calls = alone.deterministic, False, sharing.tries + alone.calls
    if company is not None:
        calls += company.calls
        deterministic = deterministic and company.deterministic
        differs = company.differs
    unknown = sharing.unknown
    # A known structure that differs from itself is not known after all.
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


def _schema(
    version: Version, loaded: Loaded, champion: Version | None
) -> tuple[Schema, str | None]:
    """Return the schema by which requests are typed, and a note on it or None."""
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


def example_of(loaded: Loaded, schema: Schema, version: Version) -> Rows | None:
    """Type the version's own input example as if it had come over the wire.

    None where there is none, or none that a request could carry though no signature forbids it.

    Raises
    ------
    ModelError
        If it does not fit the version's own signature.
    """
    if loaded.input_example is None:
        return None
    # Through the same door as a request, so that nothing is tried which no caller can send.
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
    # A version logged with another `pyfunc_predict_fn` answers with that, which is not what the
    # walk would call.
    if loaded.native is None or loaded.method != method:
        return None, loaded.warnings, 0
    plan, calls = featurization.compile(loaded.native, method=method), 0
    if example is not None:
        plan, calls = ambience.within(featurization.verified, plan, example)
    return plan, (*loaded.warnings, *plan.notes), calls


def failure_of(version: Version, error: BaseException) -> ModelError:
    """Return why a version cannot be served: its own words where they are ours, else type and frame."""
    if isinstance(error, ModelError):
        return error
    if isinstance(error, AlignmentError | AnswerError):
        return ModelError(f"{version.pin} loads, but cannot be served. {error}")
    fault = fault_of(error)
    if fault.step == adapting.STEP:
        return ModelError(
            f"{version.pin} answers its own input example, and its adapter fails on that: {fault.type} at "
            f"{fault.frame}. Mend it, or leave --adapt-output away."
        )
    return ModelError(
        f"{version.pin} loads, but fails on its own input example: {fault.type} at {fault.frame}. "
        "Was it trained with other library versions? 'shadowserve check' compares them."
    )
