"""Signatures and rows that fit them, drawn, and how they are asked."""

from __future__ import annotations

import json

from hypothesis import strategies as st

from shadowserve.schema.rows import Rows
from shadowserve.schema.schema import Column, Schema
from shadowserve.wire import parse

TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\r\n\x00"), min_size=1, max_size=8)
OF_TYPE = {
    "boolean": st.booleans(),
    "integer": st.integers(-(2**31), 2**31 - 1),
    "long": st.integers(-(2**63), 2**63 - 1),
    "float": st.floats(width=32, allow_nan=False, allow_infinity=False) | st.none(),
    "double": st.floats(allow_nan=False, allow_infinity=False) | st.none() | st.integers(-99, 99),
    "string": TEXTS,
    "datetime": st.none() | st.dates().filter(lambda d: 1700 < d.year < 2200).map(str),
    "binary": st.sampled_from(["aGk=", "AAEC"]),
}
NULLABLE = {kind: values | st.none() for kind, values in OF_TYPE.items()}
# Beside gaps whole numbers lie in float64, and one that it cannot hold is refused.
NULLABLE["long"] = st.integers(-(2**53), 2**53) | st.none()


@st.composite
def tables(draw, *, max_rows: int = 4):
    """A signature and rows that fit it."""
    names = draw(st.lists(TEXTS, min_size=1, max_size=4, unique=True))
    columns = tuple(
        Column(n, draw(st.sampled_from(sorted(OF_TYPE))), draw(st.booleans())) for n in names
    )
    row = st.fixed_dictionaries(
        {c.name: (OF_TYPE if c.required else NULLABLE)[c.type] for c in columns}
    )
    return Schema(columns=columns), draw(st.lists(row, min_size=1, max_size=max_rows))


def ask(schema: Schema, document: object) -> Rows:
    return parse(json.dumps(document).encode(), "application/json", schema)
