"""Which kind of output a model has: from its signature, a few outputs, and the user's word.

Nothing here is certain; `--output-kind` overrules it. What was decided is printed at start.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from shadowserve.divergence.align import Outputs
from shadowserve.divergence.kind import output_kind, registered
from shadowserve.divergence.signs import declared, sampled
from shadowserve.errors import SettingsError
from shadowserve.settings.vocabulary import Kind


def by_row(predictions: Any, n_rows: int) -> list[Any]:
    """Lay a model's answer out as one output a row.

    Parameters
    ----------
    predictions : JSON value
        What stands under ``"predictions"``. A list of n_rows outputs stays as it is; a dict of
        lists of n_rows becomes n_rows dicts; several lists of n_rows (one for each output of a
        multi-output classifier) become n_rows lists, also where there are as many outputs as rows if
        their widths tell. Anything else is the answer to one row.
    n_rows : int
        Number of rows the request had.

    Returns
    -------
    list
        Of n_rows outputs, unless the answer has another number.
    """
    if isinstance(predictions, list) and len(predictions) == n_rows:
        # As many outputs as rows look like rows; only widths that differ by output tell.
        if _is_by_output(predictions, n_rows):
            return [list(row) for row in zip(*predictions, strict=True)]
        return predictions
    if isinstance(predictions, dict) and _all_of_length(predictions.values(), n_rows):
        columns = list(predictions.values())
        return [dict(zip(predictions, row, strict=True)) for row in zip(*columns, strict=True)]
    if isinstance(predictions, list):
        # For one row, a list of lists of one may be outputs; plain values are the one answer.
        nested = all(isinstance(v, list) and v and isinstance(v[0], list) for v in predictions)
        if (n_rows > 1 or nested) and _all_of_length(predictions, n_rows):
            return [list(row) for row in zip(*predictions, strict=True)]
        return predictions
    return [predictions]


def _is_by_output(predictions: list[Any], n_rows: int) -> bool:
    """Whether as many outputs as rows came, each with a width of its own for all rows."""
    if n_rows < 2 or not _all_of_length(predictions, n_rows):
        return False
    widths = [{len(v) if isinstance(v, list) else -1 for v in part} for part in predictions]
    return all(len(each) == 1 and -1 not in each for each in widths) and len(set.union(*widths)) > 1


def _all_of_length(lists: Iterable[Any], n_rows: int) -> bool:
    found = list(lists)
    return bool(found) and all(isinstance(v, list) and len(v) == n_rows for v in found)


def kind_named(name: str) -> str:
    """Return the kind the user named.

    Raises
    ------
    SettingsError
        There is no such kind.
    """
    try:
        return output_kind(name).name
    except LookupError:
        known = ", ".join(Kind)
        raise SettingsError(f"Output kind {name!r} is not known. Known: {known}.") from None


def detect(
    outputs_signature: Sequence[Mapping[str, Any]] | None,
    sample: Outputs,
    *,
    classifier: bool | None = None,
    n_classes: int | None = None,
) -> str:
    """Say which kind of output a model has: the first that knows it for its own.

    Parameters
    ----------
    outputs_signature : list of dict, optional
        Outputs of the MLflow signature: ``signature.outputs.to_dict()``.
    sample : sequence of JSON values, or ndarray
        Some outputs, one a row. They decide; the signature only where they are silent.
    classifier : bool, optional
        Whether the estimator is a classifier, where that is known.
    n_classes : int, optional
        Number of classes, where that is known; rows of that many numbers are then probabilities.

    Returns
    -------
    str
        Name of a registered kind.

    Notes
    -----
    Numbers: whole numbers of a classifier, and integers where nothing is known, are labels; others
    numbers. An id, a class and a count look alike; what compares later tells (`whole`). Texts: strings
    of more than 40 characters with spaces. Lists of floats: rows summing to 1 are probabilities, from 8
    elements on vectors, below that several outputs. Lists of distinct ids are rankings.
    """
    shown = sampled(sample, classifier=classifier, n_classes=n_classes)
    if shown is not None:
        return next(kind.name for kind in registered() if kind.is_shown_by(shown))
    classifier = True if classifier is None and n_classes else classifier
    says = declared(outputs_signature or [], classifier=classifier)
    return next(kind.name for kind in registered() if kind.is_declared_by(says))
