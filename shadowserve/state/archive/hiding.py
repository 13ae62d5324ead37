"""Requests without the columns that may not be kept: their bodies are written anew before anything is archived."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import orjson

from shadowserve.errors import RequestError
from shadowserve.records import Request
from shadowserve.schema.disclosure import Disclosure, Rule
from shadowserve.schema.rows import Rows
from shadowserve.schema.scalars import INT_BITS
from shadowserve.schema.schema import Schema
from shadowserve.wire.protocols import protocols

JSON = "application/json"
_OPTIONS = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS


@dataclass(frozen=True, slots=True)
class Hiding:
    """Takes out what is to be dropped, and puts hashes in the place of what is to be hashed.

    Only columns of the champion's signature are kept: an unknown one may repeat a value under another name.

    Parameters
    ----------
    schema : Schema
        The champion's.
    disclosure : Disclosure
        The deployment's word on every column.
    """

    schema: Schema
    disclosure: Disclosure
    _types: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_types", {c.key: c.type for c in self.schema.columns})

    def __call__(self, request: Request) -> Request:
        """Return the request as it may be kept; without a body where its values cannot be told apart by column."""
        if request.body is None:
            return request
        try:
            protocol = protocols("", 0)[request.protocol]
            rows, _ = protocol.parse(request.body, request.content_type, self.schema)
        except (RequestError, LookupError):
            return request._replace(body=None)
        if rows.tensor is not None:
            return request._replace(body=None)
        return request._replace(body=self._body(rows), content_type=JSON, protocol="invocations")

    def _body(self, rows: Rows) -> bytes:
        kept = {name: self._column(str(name), values) for name, values in rows.columns.items()}
        shown = {name: values for name, values in kept.items() if values is not None}
        told: dict[str, Any] = {
            "dataframe_split": {
                "columns": list(shown),
                "data": [list(row) for row in zip(*shown.values(), strict=True)]
                or [[] for _ in range(rows.n_rows)],
            }
        }
        if rows.params:
            told["params"] = dict(rows.params)
        return orjson.dumps(told, option=_OPTIONS, default=_encoded)

    def _column(self, name: str, values: np.ndarray) -> list[Any] | None:
        rule = self.disclosure.rule(name)
        if rule is Rule.DROPPED:
            return None
        told = json_values(values, self._types[name])
        if rule is Rule.HASHED:
            return [None if one is None else self.disclosure.digest(text_of(one)) for one in told]
        return told


def json_values(values: np.ndarray, kind: str) -> list[Any]:
    """Return a typed column as JSON values that are typed to the same again; what is missing is None.

    Parameters
    ----------
    kind : str
        The column's type in the signature.
    """
    if values.dtype.kind == "M":
        texts = np.datetime_as_string(values.astype("datetime64[ns]")).tolist()
        return [None if text == "NaT" else text for text in texts]
    told = [_value(one) for one in values.tolist()]
    if kind in INT_BITS and values.dtype.kind == "f":  # where some are missing
        return [None if one is None else int(one) for one in told]
    return told


def _value(one: Any) -> Any:
    if isinstance(one, float) and one != one:
        return None
    return _encoded(one) if isinstance(one, bytes) else one


def text_of(value: Any) -> str:
    """Return a JSON value as text: a text as it is, anything else as JSON."""
    return value if isinstance(value, str) else orjson.dumps(value, option=_OPTIONS).decode()


def _encoded(value: object) -> str:
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    raise TypeError(type(value).__name__)
