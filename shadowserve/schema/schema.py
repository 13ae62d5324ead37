"""The schema of a model: its signature as columns, tensors and parameters, to which requests are typed.

A `Schema` is built once, when a version is loaded; every choice that a request must not pay for is
made here. Champion and challengers each have their own. The typing rule itself is `casting`'s.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np

from shadowserve import ambience
from shadowserve.errors import RequestError
from shadowserve.legible import counted
from shadowserve.schema.casting import infer
from shadowserve.schema.columns import UNTYPED, Cast, Column, columns_of, lacks
from shadowserve.schema.keys import Keys, ordered
from shadowserve.schema.params import Param, type_params
from shadowserve.schema.ragged import other_keys, ragged
from shadowserve.schema.rows import ColumnName, Rows
from shadowserve.schema.scalars import SCALARS
from shadowserve.schema.tensors import Tensor


@dataclass(frozen=True)
class Schema:
    """What a model takes. Immutable.

    Parameters
    ----------
    columns : tuple of Column
        In the order of training. Empty for tensor models and where nothing is known.
    tensors : tuple of Tensor
        For tensor signatures.
    params : tuple of Param
        Inference parameters with their defaults.
    named : bool
        False where the signature numbers its columns only, so that a row's values are laid out in
        the order they were sent.
    fits : callable, optional
        Of a model with a type hint: a value of its only column to what it breaks, without the
        value; None: it fits.
    features : tuple of str
        Names that the model was fitted with, for a signature that has none of its own.
    respelled : bool
        Whether a blank of a request's key may be an underscore of the model's name.
    """

    columns: tuple[Column, ...] = ()
    tensors: tuple[Tensor, ...] = ()
    params: tuple[Param, ...] = ()
    named: bool = True
    fits: Callable[[Any], str | None] | None = field(default=None, repr=False, compare=False)
    features: tuple[str, ...] = ()
    respelled: bool = False
    _casts: tuple[tuple[str, ColumnName, Cast], ...] = field(init=False, repr=False, compare=False)
    _keys: Keys = field(init=False, repr=False, compare=False)
    _text: frozenset[ColumnName] = field(init=False, repr=False, compare=False)
    _untyped: frozenset[ColumnName] = field(init=False, repr=False, compare=False)
    _follows: bool = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_keys", Keys.of(self.columns))
        # How each column is typed is chosen here, once, and only called for a request.
        casts = tuple((c.key, c.name, c.caster()) for c in self.columns)
        object.__setattr__(self, "_casts", casts)
        text = frozenset(
            c.name
            for c in self.columns
            if (c.type == "string" and not c.required) or c.kind == "text"
        )
        object.__setattr__(self, "_text", text)
        untyped = frozenset(c.name for c in self.columns if c.type == "any")
        object.__setattr__(self, "_untyped", untyped)
        follows = any(c.type == UNTYPED for c in self.columns)
        object.__setattr__(self, "_follows", follows)

    @classmethod
    def from_signature(cls, signature: Mapping[str, Any] | None) -> Schema:
        """Read the signature as an MLmodel file holds it.

        Parameters
        ----------
        signature : mapping or None
            ``inputs`` and ``params``, each JSON text or a list; None or no inputs: nothing is
            known.

        Raises
        ------
        ModelError
            For a signature with a type that is not known here.

        Examples
        --------
        >>> Schema.from_signature({"inputs": '[{"name": "age", "type": "long"}]'}).columns
        (Column(name='age', type='long', required=True),)
        """
        signature = signature or {}
        inputs = _listed(signature.get("inputs"))
        params = tuple(Param.from_spec(spec) for spec in _listed(signature.get("params")))
        if inputs and inputs[0]["type"] == "tensor":
            return cls(tensors=tuple(map(Tensor.from_spec, inputs)), params=params)
        columns, named = columns_of(inputs)
        return cls(columns=columns, params=params, named=named)

    @classmethod
    def from_names(
        cls, names: Sequence[ColumnName], *, kinds: Mapping[str, str] | None = None
    ) -> Schema:
        """Know the names only, from ``feature_names_in_``, and the kinds of some of their values.

        Where not even the kind is known, types follow each request's values.
        """
        known = kinds or {}
        return cls(
            columns=tuple(
                Column(name=name, type=UNTYPED, kind=known.get(str(name))) for name in names
            )
        )

    @classmethod
    def open(cls) -> Schema:
        """Know nothing: names and types are taken from each request, in its order."""
        return cls()

    @property
    def is_open(self) -> bool:
        """Whether not even the names are known."""
        return not (self.columns or self.tensors)

    @property
    def is_typed(self) -> bool:
        """Whether a signature gives the types."""
        return bool(self.tensors) or any(c.type != UNTYPED for c in self.columns)

    @property
    def batchable(self) -> bool:
        """Whether the rows of any two requests have equal names, dtypes and inner shapes.

        A tensor that fixes its number of rows takes no more of them.
        """
        shapes = [tensor.shape for tensor in self.tensors]
        # A type that follows a request's values would follow those of its neighbours in a batch.
        typed = self.is_typed and all(c.type != UNTYPED for c in self.columns)
        return typed and all(shape[0] < 0 and -1 not in shape[1:] for shape in shapes)

    @property
    def is_nested(self) -> bool:
        """Whether a column holds arrays or objects, so that a lone object is one row."""
        return any(c.type in ("array", "object", "map") for c in self.columns)

    @property
    def is_lone_nested(self) -> bool:
        """Whether the model takes a bare list of arrays, objects or anything: each one a row."""
        return not self.named and len(self.columns) == 1 and self.columns[0].type not in SCALARS

    @property
    def takes_lists(self) -> bool:
        """Whether a row may come as a bare list: numbered columns, or named 0, 1, 2 ..."""
        numbers = [str(place) for place in range(len(self.columns))]
        return not self.named or [c.key for c in self.columns] == numbers

    def ordered(self, keys: Iterable[str]) -> list[str]:
        """Return a table's keys in the order of a model's features; see `keys.ordered`."""
        return ordered(keys, self.features)

    def type_params(self, params: Any) -> tuple[dict[str, Any], tuple[str, ...]]:
        """Type inference parameters and fill in the defaults; see `params.type_params`."""
        return type_params(self.params, params)

    def type_records(self, records: Sequence[Any]) -> Rows:
        """Type rows that came as JSON objects, keys in any order.

        Parameters
        ----------
        records : sequence of dict
            At least one.

        Returns
        -------
        Rows

        Raises
        ------
        RequestError
            ``missing_column``, ``wrong_type``, ``not_a_record``.
        """
        casts = self._casts
        if not (casts and self.named):
            return self._type_ordered(records)
        try:
            # The usual request has every key: looking first whether it has would cost as much again.
            values = [[record[key] for record in records] for key, _, _ in casts]
        except (KeyError, TypeError):
            # Slower, and able to name the row and what it lacks.
            return self._type_sparse(records)
        columns = {
            name: caster(each) for (_, name, caster), each in zip(casts, values, strict=True)
        }
        whole = {len(casts)}.issuperset(map(len, records))
        extra = () if whole else self._keys.unknown(records)
        return self._rows(columns, n_rows=len(records), extra=extra)

    @property
    def types_together(self) -> bool:
        """Whether rows of several requests can be typed at once, each as it would be by itself.

        Not where a column's type follows the values that it comes with, nor where the model's own code looks
        at each value.
        """
        return self.named and bool(self._casts) and self.fits is None and not self._follows

    def type_singly(self, records: Sequence[dict[str, Any]]) -> list[Rows] | None:
        """Type requests of one row each, all at once, each as `type_records` would by itself.

        Parameters
        ----------
        records : sequence of dict
            One a request, of a schema that types them together.

        Returns
        -------
        list of Rows or None
            One a request; their values lie in shared arrays. None where any of them is refused or lacks a
            key: then each has to be looked at by itself.
        """
        known, columns = self._keys.known, {}
        try:
            for column, (key, name, caster) in zip(self.columns, self._casts, strict=True):
                # Where names may be spelt otherwise, one that is lacking has to be looked for.
                if column.required or self.respelled:
                    columns[name] = caster([record[key] for record in records])
                else:
                    columns[name] = caster([record.get(key) for record in records])
        except Exception:  # whose fault it is, and which, is told of it by itself
            return None
        # Going through a column of rows takes half of what cutting it does.
        cut = [list(each.reshape(len(each), 1, *each.shape[1:])) for each in columns.values()]
        names = tuple(columns)
        return [
            self._rows(
                dict(zip(names, own, strict=True)),
                n_rows=1,
                extra=() if record.keys() <= known else self._keys.unknown((record,)),
            )
            for record, own in zip(records, zip(*cut, strict=True), strict=True)
        ]

    def type_columns(self, table: Mapping[str, Sequence[Any]], *, n_rows: int) -> Rows:
        """Type rows that came column by column, in any order of columns.

        Parameters
        ----------
        table : mapping of key to sequence of n_rows JSON values
        n_rows : int
            At least 1.
        """
        if not self.named:
            in_order = [table[key] for key in self.ordered(table)]
            return self.type_lists(list(zip(*in_order, strict=True)))
        if self.respelled:
            table = self._keys.respelled(table)
        casts = self._casts or tuple((key, key, partial(infer, column=key)) for key in table)
        if missing := [c for c in self.columns if c.key not in table and c.required]:
            raise self._keys.lacks(missing, given=table)
        # An absent column is a column of nulls: its own rule then fills in.
        absent = [None] * n_rows
        columns = {name: caster(table.get(key, absent)) for key, name, caster in casts}
        known = {key for key, _, _ in casts}
        extra = tuple(key for key in table if key not in known)
        return self._rows(columns, n_rows=n_rows, extra=extra)

    def type_lists(self, lists: Sequence[Sequence[Any]]) -> Rows:
        """Type rows that came as lists of values in the order of the signature.

        Raises
        ------
        RequestError
            ``wrong_width``; ``unnamed_values`` where the model knows its columns by name.
        """
        if self.columns and not self.takes_lists:
            raise RequestError(
                f"The model knows its {len(self.columns)} columns by name, lists without names "
                "came. Send dataframe_split with columns, or dataframe_records.",
                code="unnamed_values",
            )
        casts = self._casts or tuple(
            (str(place), place, partial(infer, column=place)) for place in range(len(lists[0]))
        )
        for row, values in enumerate(lists):
            if len(values) != len(casts):
                raise RequestError(
                    f"Row {row} has {counted(len(values), 'value')}, "
                    f"{counted(len(casts), 'is', 'are')} expected.",
                    code="wrong_width",
                    row=row,
                )
        turned = zip(casts, zip(*lists, strict=True), strict=True)
        columns = {name: caster(values) for (_, name, caster), values in turned}
        rows = self._rows(columns, n_rows=len(lists))
        self.try_hint(rows)
        return rows

    def type_tensors(self, values: Mapping[Any, Any]) -> Rows:
        """Type the arrays of a tensor signature.

        Parameters
        ----------
        values : mapping of tensor name (None for the unnamed one) to nested lists

        Raises
        ------
        RequestError
            ``missing_column``, ``wrong_shape``, ``wrong_type``.
        """
        if missing := [t.name for t in self.tensors if t.name not in values]:
            names = [str(name) for name in missing]
            raise lacks(names, n_known=len(self.tensors), given=[str(name) for name in values])
        typed = {str(t.name): t.type(values[t.name]) for t in self.tensors}
        lengths = {len(array) for array in typed.values()}
        if len(lengths) != 1:
            raise ragged("inputs", typed)
        known = {t.name for t in self.tensors}
        extra = tuple(str(name) for name in values if name not in known)
        # A model of one unnamed array is called with the array, and not with a dict of one.
        lone = self.tensors[0].name is None
        tensor = typed["None"] if lone else typed
        return Rows(columns={}, n_rows=lengths.pop(), tensor=tensor, extra=extra)

    def _rows(
        self,
        columns: Mapping[ColumnName, np.ndarray],
        *,
        n_rows: int,
        extra: tuple[str, ...] = (),
    ) -> Rows:
        return Rows(
            columns=columns, n_rows=n_rows, extra=extra, text=self._text, untyped=self._untyped
        )

    def without_hint(self) -> Schema:
        """Return the same, but for the model's type hint: typing then runs no code of the model's."""
        return replace(self, fits=None)

    def try_hint(self, rows: Rows) -> None:
        """Try typed rows by the model's type hint, if it has one, whose code may do anything.

        Raises
        ------
        RequestError
            ``wrong_type``, naming the row.
        """
        if self.fits is None or self.named or not rows.columns:
            return
        fits, values = self.fits, next(iter(rows.columns.values()))
        # In nanoseconds moments would become numbers, which no hint of a date takes.
        moments = values.dtype.kind == "M"
        for row, value in enumerate((values.astype("M8[us]") if moments else values).tolist()):
            if (broken := ambience.within(fits, value)) is not None:
                raise RequestError(
                    f"Row {row} does not fit the model's type hint: {broken}.",
                    code="wrong_type",
                    row=row,
                )

    def _type_ordered(self, records: Sequence[Any]) -> Rows:
        """Type records where only their own order is known: the first one's keys set it."""
        for row, record in enumerate(records):
            if type(record) is not dict:
                raise _not_a_record(row)
            if record.keys() != records[0].keys():
                raise other_keys(record, records[0], row=row)
        table = {key: [record[key] for record in records] for key in records[0]}
        return self.type_columns(table, n_rows=len(records))

    def _type_sparse(self, records: Sequence[Any]) -> Rows:
        """Type records of which some lack a key, or refuse them by row."""
        for row, record in enumerate(records):
            if type(record) is not dict:
                raise _not_a_record(row)
        if self.respelled:
            records = [self._keys.respelled(record) for record in records]
        for row, record in enumerate(records):
            if missing := [c for c in self.columns if c.required and c.key not in record]:
                raise self._keys.lacks(missing, given=record, row=row if len(records) > 1 else None)
        columns = {
            name: caster([record.get(key) for record in records])
            for key, name, caster in self._casts
        }
        extra = self._keys.unknown(records)
        return self._rows(columns, n_rows=len(records), extra=extra)


def _not_a_record(row: int) -> RequestError:
    return RequestError(
        f"Row {row} is not an object of column names and values.", code="not_a_record", row=row
    )


def _listed(part: Any) -> list[dict[str, Any]]:
    if part is None:
        return []
    entries: list[dict[str, Any]] = json.loads(part) if isinstance(part, str) else list(part)
    return entries
