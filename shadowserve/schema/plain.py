"""A schema and typed rows as plain values and bytes, for another process of ours.

What a schema has chosen beforehand, functions, stays behind and is chosen again there. Rows go over as their
arrays' own memory; Python values are pickled, a few at a time, so that whoever reads them never holds the
interpreter for long. Only a process that runs no code of a model's may be read so.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from shadowserve.schema.columns import Column
from shadowserve.schema.params import Param
from shadowserve.schema.rows import Rows
from shadowserve.schema.schema import Schema
from shadowserve.schema.tensors import Tensor

PIECE_VALUES = 1_000
"""Python values that are read at once."""


@dataclass(frozen=True, slots=True)
class PlainSchema:
    """What a schema is made of, without its functions.

    Parameters
    ----------
    columns : tuple of (name, type, required, spec, kind)
    tensors : tuple of (name, dtype, shape)
    params : tuple of mapping
        The signature's own entries.
    named, features, respelled
        As in `Schema`.
    """

    columns: tuple[tuple[Any, ...], ...]
    tensors: tuple[tuple[Any, ...], ...]
    params: tuple[Mapping[str, Any], ...]
    named: bool
    features: tuple[str, ...]
    respelled: bool

    @classmethod
    def of(cls, schema: Schema) -> PlainSchema:
        """Take a schema apart; a type hint's code stays where the model is.

        Examples
        --------
        >>> schema = Schema.from_signature({"inputs": [{"name": "age", "type": "long"}]})
        >>> PlainSchema.of(schema).schema() == schema
        True
        """
        return cls(
            columns=tuple((c.name, c.type, c.required, c.spec, c.kind) for c in schema.columns),
            tensors=tuple((t.name, t.dtype, t.shape) for t in schema.tensors),
            params=tuple(p.spec for p in schema.params if p.spec is not None),
            named=schema.named,
            features=schema.features,
            respelled=schema.respelled,
        )

    def schema(self) -> Schema:
        """Put it together again."""
        return Schema(
            columns=tuple(Column(*each) for each in self.columns),
            tensors=tuple(Tensor(*each) for each in self.tensors),
            params=tuple(map(Param.from_spec, self.params)),
            named=self.named,
            features=self.features,
            respelled=self.respelled,
        )


@dataclass(frozen=True, slots=True)
class _Array:
    """An array's outside, and the lengths of the parts in which its inside follows."""

    dtype: str
    shape: tuple[int, ...]
    lengths: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class PlainRows:
    """Typed rows without their values.

    Parameters
    ----------
    columns : mapping of name to array
        In their order.
    tensor : array or mapping of name to array, optional
    rest : dict
        What else `Rows` has.
    """

    columns: Mapping[Any, _Array]
    tensor: Any
    rest: dict[str, Any]

    @classmethod
    def of(cls, rows: Rows) -> tuple[PlainRows, list[bytes]]:
        """Take rows apart: their outside, and the parts that follow it."""
        parts: list[bytes] = []

        def put(array: np.ndarray) -> _Array:
            mine = list(_parts(array))
            parts.extend(mine)
            lengths = tuple(map(len, mine))
            return _Array(array.dtype.str, array.shape, lengths)

        columns = {name: put(array) for name, array in rows.columns.items()}
        tensor: Any = rows.tensor
        if isinstance(tensor, np.ndarray):
            tensor = put(tensor)
        elif tensor is not None:
            tensor = {name: put(array) for name, array in tensor.items()}
        rest = {
            name: getattr(rows, name) for name in ("n_rows", "params", "extra", "text", "untyped")
        }
        return cls(columns, tensor, rest), parts

    def rows(self, read: Callable[[int], bytearray]) -> Rows:
        """Put rows together again.

        Parameters
        ----------
        read : callable
            Returns the next so many bytes.
        """
        columns = {name: _read(array, read) for name, array in self.columns.items()}
        tensor = self.tensor
        if isinstance(tensor, _Array):
            tensor = _read(tensor, read)
        elif tensor is not None:
            tensor = {name: _read(array, read) for name, array in tensor.items()}
        return Rows(columns=columns, tensor=tensor, **self.rest)


def _parts(array: np.ndarray) -> Iterator[bytes]:
    """Yield an array's inside: its memory, or its Python values a piece at a time."""
    if array.dtype.kind == "O":
        values = array.ravel()
        for start in range(0, values.size, PIECE_VALUES):
            yield pickle.dumps(values[start : start + PIECE_VALUES].tolist(), protocol=5)
    elif array.size:
        yield array.tobytes()


def _read(array: _Array, read: Callable[[int], bytearray]) -> np.ndarray:
    dtype = np.dtype(array.dtype)
    if dtype.kind != "O":
        held = read(array.lengths[0]) if array.lengths else bytearray()
        return np.frombuffer(held, dtype).reshape(array.shape)
    values = np.empty(int(np.prod(array.shape)), dtype)
    at = 0
    for length in array.lengths:
        piece = pickle.loads(read(length))
        for value in piece:  # one by one: a list among them would be taken for a row
            values[at] = value
            at += 1
    return values.reshape(array.shape)
