"""Which kind of output a model has: from its signature, a few outputs, and the user's word.

Nothing here is certain; `--output-kind` overrules it. What was decided is printed at start.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from shadowserve.divergence.align import Outputs, plain_rows
from shadowserve.divergence.compared import Kind
from shadowserve.errors import SettingsError

MIN_VECTOR_LENGTH = 8
_TEXT_LENGTH = 40
_LABEL_TYPES = {"string", "boolean"}
_INTEGER_TYPES = {"integer", "long"}
_FLOAT_TYPES = {"float", "double"}


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
        if _is_by_output(predictions, n_rows):
            return [list(row) for row in zip(*predictions, strict=True)]
        return predictions
    if isinstance(predictions, dict) and _all_of_length(predictions.values(), n_rows):
        columns = list(predictions.values())
        return [dict(zip(predictions, row, strict=True)) for row in zip(*columns, strict=True)]
    if isinstance(predictions, list):
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


def kind_named(name: str) -> Kind:
    """Return the kind the user named.

    Raises
    ------
    SettingsError
        There is no such kind.
    """
    try:
        return Kind(name)
    except ValueError:
        known = ", ".join(Kind)
        raise SettingsError(f"Output kind {name!r} is not known. Known: {known}.") from None


def detect(
    outputs_signature: Sequence[Mapping[str, Any]] | None,
    sample: Outputs,
    *,
    classifier: bool | None = None,
    n_classes: int | None = None,
) -> Kind:
    """Say which kind of output a model has.

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
    Kind

    Notes
    -----
    Numbers: whole numbers of a classifier, and integers where nothing is known, are labels; others
    numbers. An id, a class and a count look alike; what compares later tells (`whole`). Texts: strings of more than 40 characters with spaces. Lists of floats:
    rows summing to 1 are probabilities, from 8 elements on vectors, below that several outputs.
    Lists of distinct ids are rankings.
    """
    known = [v for v in plain_rows(sample) if v is not None and v == v]
    classifier = True if classifier is None and n_classes else classifier
    if not known:
        return _from_signature(outputs_signature or [], classifier=classifier)
    if all(isinstance(v, dict) for v in known):
        return Kind.PROBABILITY if all(map(_is_distribution_dict, known)) else Kind.RECORD
    if all(isinstance(v, list | tuple) for v in known):
        return _of_lists([list(v) for v in known], n_classes=n_classes)
    return _of_scalars(known, classifier=classifier)


def _is_distribution_dict(row: dict[str, Any]) -> bool:
    return _is_distribution(list(row.values()))


def _is_distribution(row: list[Any]) -> bool:
    numeric = all(type(v) in (int, float) and 0 <= v <= 1 for v in row)
    return numeric and len(row) > 1 and abs(sum(row) - 1) <= 1e-3


def _of_scalars(known: list[Any], *, classifier: bool | None) -> Kind:
    types = set(map(type, known))
    if types == {str}:
        long = np.mean([len(v) for v in known]) > _TEXT_LENGTH
        return Kind.TEXT if long and any(" " in v for v in known) else Kind.LABEL
    if types <= {int, float}:
        whole = types == {int} or (classifier and all(float(v).is_integer() for v in known))
        return Kind.LABEL if whole and classifier is not False else Kind.NUMBER
    return Kind.LABEL


def _of_lists(rows: list[list[Any]], *, n_classes: int | None) -> Kind:
    items = [item for row in rows for item in row if item is not None]
    if not items:
        return Kind.RANKING  # nothing to show; twenty rows later there mostly is
    types = set(map(type, items))
    widths = set(map(len, rows))
    if types <= {int, float} and float in types:
        if all(_is_distribution([v for v in row if v is not None]) for row in rows):
            return Kind.PROBABILITY
        if n_classes and widths == {n_classes}:
            return Kind.PROBABILITY
        return Kind.VECTOR if min(widths) >= MIN_VECTOR_LENGTH else Kind.MULTI
    distinct = all(len(set(row)) == len(row) for row in rows) if _hashable(types) else False
    if distinct and types in ({int}, {str}) and not set(items) <= {0, 1}:
        return Kind.RANKING
    return Kind.MULTI


def _hashable(types: set[type]) -> bool:
    return not types & {list, tuple, dict}


def _from_signature(outputs: Sequence[Mapping[str, Any]], *, classifier: bool | None) -> Kind:
    if len(outputs) > 1:
        return Kind.RECORD
    if not outputs:
        return Kind.LABEL if classifier else Kind.NUMBER
    rules: dict[str, Callable[[Mapping[str, Any]], Kind]] = {
        "tensor": lambda spec: _from_tensor(spec, classifier=classifier),
        "array": _from_array,
        "object": lambda _: Kind.RECORD,
        "map": lambda _: Kind.RECORD,
    }
    named = str(outputs[0].get("type"))
    if named in rules:
        return rules[named](outputs[0])
    whole = named in _INTEGER_TYPES and classifier is not False
    return Kind.LABEL if named in _LABEL_TYPES or classifier or whole else Kind.NUMBER


def _from_tensor(spec: Mapping[str, Any], *, classifier: bool | None) -> Kind:
    tensor = spec.get("tensor-spec", {})
    shape, dtype = tensor.get("shape", [-1]), str(tensor.get("dtype", "float64"))
    if len(shape) > 1:
        if classifier and dtype.startswith("float"):
            return Kind.PROBABILITY
        long = dtype.startswith("float") and shape[1] >= MIN_VECTOR_LENGTH
        return Kind.VECTOR if long else Kind.MULTI
    whole = dtype.startswith(("int", "uint")) and classifier is not False
    number = dtype.startswith(("float", "int", "uint"))
    return Kind.LABEL if classifier or whole or not number else Kind.NUMBER


def _from_array(spec: Mapping[str, Any]) -> Kind:
    items = spec.get("items", {})
    named = items.get("type") if isinstance(items, Mapping) else items
    if named in _FLOAT_TYPES:
        return Kind.VECTOR
    return Kind.RANKING if named in _INTEGER_TYPES | {"string"} else Kind.MULTI
