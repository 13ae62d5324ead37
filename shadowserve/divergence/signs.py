"""What the first answers, or a signature, show of the kind of output: what each kind recognises itself by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from shadowserve.divergence.align import Outputs, plain_rows

_WHOLE = frozenset({"integer", "long"})
"""Types of an MLflow signature that may stand for a class or an id as well as for a count."""

_FLOATS = frozenset({"float", "double"})
"""Types that no id and no class has."""

_NAMES = frozenset({"string", "boolean"})
"""Types that no arithmetic makes sense of."""


class Form(StrEnum):
    """How one output is built."""

    RECORD = "record"
    """A JSON object: each field has a kind of its own."""

    LIST = "list"
    """An array, be it a vector, a ranking, probabilities or several outputs: its items tell which."""

    SCALAR = "scalar"
    """One number, text or boolean."""


class Values(StrEnum):
    """What a signature says of the values in an output."""

    NUMBER = "number"
    """A quantity: two of them may lie near each other."""

    WHOLE = "whole"
    """A whole number, which is a class, an id or a quantity. What else is known decides."""

    NAME = "name"
    """The same or not, and nothing between.

    So a class, an id or a boolean; the length of a text is not known from a signature.
    """

    OTHER = "other"
    """A date, bytes, or nested values.

    No kind claims it by the signature alone; the first answers then show what it is.
    """


@dataclass(frozen=True, slots=True)
class Sample:
    """Some outputs, one a row, without those that are null.

    Parameters
    ----------
    rows : list of JSON values
        Not empty.
    types : frozenset of type
        Of the scalars, or of the items of the lists; of records empty.
    classifier : bool or None
        Whether the estimator is a classifier, where that is known.
    n_classes : int or None
        Number of classes, where that is known.
    """

    form: Form
    rows: list[Any]
    types: frozenset[type]
    classifier: bool | None
    n_classes: int | None

    @property
    def items(self) -> list[Any]:
        """All items of all lists, without nulls."""
        return [item for row in self.rows for item in row if item is not None]

    @property
    def widths(self) -> set[int]:
        """How long the lists are."""
        return set(map(len, self.rows))

    @property
    def has_lists_of_floats(self) -> bool:
        """Whether all are lists of numbers, some of them with a fraction."""
        return self.form is Form.LIST and self.types <= {int, float} and float in self.types

    @property
    def has_whole_numbers(self) -> bool:
        """Whether all are whole numbers; of a classifier 1.0 is one too."""
        whole = self.types == {int}
        return whole or bool(self.classifier and all(float(v).is_integer() for v in self.rows))


@dataclass(frozen=True, slots=True)
class Declared:
    """What a signature says of the output.

    Parameters
    ----------
    width : int or None
        Length of each list, below 0 where it is not fixed; None where lists may differ in length.
    classifier : bool or None
        Whether the estimator is a classifier, where that is known.
    """

    form: Form
    values: Values
    width: int | None
    classifier: bool | None


def sampled(outputs: Outputs, *, classifier: bool | None, n_classes: int | None) -> Sample | None:
    """Return what some outputs show; None where all are null."""
    known = [v for v in plain_rows(outputs) if v is not None and v == v]
    if not known:
        return None
    classifier = True if classifier is None and n_classes else classifier
    if all(isinstance(v, dict) for v in known):
        return Sample(Form.RECORD, known, frozenset(), classifier, n_classes)
    if all(isinstance(v, list | tuple) for v in known):
        rows = [list(v) for v in known]
        types = frozenset(type(item) for row in rows for item in row if item is not None)
        return Sample(Form.LIST, rows, types, classifier, n_classes)
    return Sample(Form.SCALAR, known, frozenset(map(type, known)), classifier, n_classes)


def declared(
    outputs_signature: Sequence[Mapping[str, Any]], *, classifier: bool | None
) -> Declared:
    """Return what a signature's outputs say; of none, that they are numbers."""
    if len(outputs_signature) > 1:
        return Declared(Form.RECORD, Values.OTHER, None, classifier)
    spec: Mapping[str, Any] = outputs_signature[0] if outputs_signature else {"type": "double"}
    named = str(spec.get("type"))
    if named in ("object", "map"):
        return Declared(Form.RECORD, Values.OTHER, None, classifier)
    if named == "tensor":
        return _of_tensor(spec.get("tensor-spec", {}), classifier=classifier)
    if named == "array":
        items = spec.get("items", {})
        of_items = str(items.get("type") if isinstance(items, Mapping) else items)
        return Declared(Form.LIST, _of_items(of_items), None, classifier)
    values = Values.NAME if named in _NAMES else Values.NUMBER
    return Declared(Form.SCALAR, Values.WHOLE if named in _WHOLE else values, None, classifier)


def _of_items(named: str) -> Values:
    if named in _FLOATS:
        return Values.NUMBER
    return Values.WHOLE if named in _WHOLE else Values.NAME if named == "string" else Values.OTHER


def _of_tensor(tensor: Mapping[str, Any], *, classifier: bool | None) -> Declared:
    shape, dtype = tensor.get("shape", [-1]), str(tensor.get("dtype", "float64"))
    whole = Values.WHOLE if dtype.startswith(("int", "uint")) else Values.NAME
    values = Values.NUMBER if dtype.startswith("float") else whole
    if len(shape) > 1:
        return Declared(Form.LIST, values, shape[1], classifier)
    return Declared(Form.SCALAR, values, None, classifier)
