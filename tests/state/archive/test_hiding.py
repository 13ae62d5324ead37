"""What a team drops or hashes is in no archived file, and the rest is typed to the same again."""

from __future__ import annotations

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rig.archived import archive, journal, of, served
from rig.deployment import OPTIONS
from rig.journal import request
from shadowserve.journal.segment_file import segments
from shadowserve.schema.disclosure import Disclosure
from shadowserve.schema.schema import Schema
from shadowserve.state.archive.hiding import Hiding
from shadowserve.state.archive.past import Past, requests
from shadowserve.wire.protocols import protocols

MARK = "m4rk3r"
COLUMNS = {
    "flag": ("boolean", st.booleans()),
    "small": ("integer", st.integers(-(2**31), 2**31 - 1)),
    "large": ("long", st.integers(-(2**53), 2**53)),  # optional: no more can be told exactly
    "single": ("float", st.floats(width=32, allow_nan=False, allow_infinity=False)),
    "double": ("double", st.floats(allow_nan=False, allow_infinity=False)),
    "text": ("string", st.text(st.characters(exclude_categories=["Cs"]))),
    "bytes": ("binary", st.binary().map(lambda raw: __import__("base64").b64encode(raw).decode())),
    "moment": (
        "datetime",
        st.datetimes(
            min_value=__import__("datetime").datetime(1700, 1, 1),
            max_value=__import__("datetime").datetime(2200, 1, 1),
        ).map(lambda at: at.isoformat()),
    ),
}
NESTED = {
    "words": ({"type": "array", "items": {"type": "string"}}, st.lists(st.text("abc"))),
}


def schema() -> Schema:
    inputs = [
        {"name": name, "type": kind, "required": False} for name, (kind, _) in COLUMNS.items()
    ]
    inputs += [{"name": name, "required": True, **spec} for name, (spec, _) in NESTED.items()]
    inputs += [{"name": "secret", "type": "string", "required": False}]
    return Schema.from_signature({"inputs": inputs})


ROWS = st.lists(
    st.fixed_dictionaries(
        {name: st.none() | drawn for name, (_, drawn) in COLUMNS.items()}
        | {name: drawn for name, (_, drawn) in NESTED.items()}
        | {"secret": st.just(MARK)}
    ),
    min_size=1,
    max_size=4,
)


@given(ROWS, st.sampled_from(["dropped", "hashed"]))
def test_the_other_columns_are_typed_to_the_same_again(rows, rule):
    known, kept = schema(), schema()
    sent = request(1, body=orjson.dumps({"dataframe_records": rows}))
    hidden = Hiding(known, Disclosure(b"salt", **{rule: ("secret",)}))(sent)
    assert MARK.encode() not in hidden.body
    one = protocols("", 0)["invocations"]
    before, _ = one.parse(sent.body, sent.content_type, known)
    after, _ = one.parse(hidden.body, hidden.content_type, kept)
    for name in (*COLUMNS, *NESTED):
        was, now = before.columns[name], after.columns[name]
        assert was.dtype == now.dtype
        for a, b in zip(was.tolist(), now.tolist(), strict=True):
            assert a == b or (a != a and b != b) or (a is None and b is None)


@pytest.mark.parametrize("rule", ["drop_inputs", "hash_inputs"])
def test_the_marker_is_in_no_archived_file(tmp_path, rule):
    places, _ = served(tmp_path, segments=0, **{**OPTIONS, rule: ("title",)})
    # As a value, under another name, and in another spelling of the column.
    records = [
        {"age": 1.0, "title": MARK},
        {"age": 2.0, "title": MARK, "Title": MARK, "more": MARK},
    ]
    journal(places, records)
    archive(places)
    held = [p for p in places.journal_archive.rglob("*") if p.is_file()]
    assert held
    assert not [p for p in held if MARK.encode() in _unpacked(p)]


def _unpacked(path) -> bytes:
    if path.suffix != ".parquet":
        return path.read_bytes()
    import pyarrow.parquet as pq

    return path.read_bytes() + repr(pq.read_table(path).to_pylist()).encode()


def test_what_was_hidden_is_named(tmp_path):
    places, _ = served(tmp_path, **{**OPTIONS, "drop_inputs": ("title",), "hash_inputs": ("age",)})
    archive(places)
    for segment in segments(places.journal):
        segment.path.unlink()
    (source, *_) = Past(places).sources()
    assert set(source.facts.hidden) == {"title", "age"}
    (one, *_) = next(iter(requests(source)))
    split = orjson.loads(one.body)["dataframe_split"]
    assert split["columns"] == ["age"]
    digest = of(places).options.disclosure(salt=of(places).salt).digest("0.0")
    assert split["data"] == [[digest]]


def test_a_body_that_cannot_be_told_apart_by_column_is_not_kept():
    known = Schema.from_signature(
        {"inputs": [{"type": "tensor", "tensor-spec": {"dtype": "float64", "shape": [-1, 2]}}]}
    )
    hiding = Hiding(known, Disclosure(b"salt", dropped=("x",)))
    assert hiding(request(1, body=b'{"inputs": [[1, 2]]}')).body is None
    assert hiding(request(1, body=b"not json")).body is None
    assert hiding(request(1, body=None)).body is None


def test_numbers_are_hashed_as_they_are_written():
    known = Schema.from_signature({"inputs": [{"name": "n", "type": "long"}]})
    disclosure = Disclosure(b"salt", hashed=("n",))
    kept = Hiding(known, disclosure)(request(1, body=b'{"inputs": {"n": [41]}}'))
    assert orjson.loads(kept.body)["dataframe_split"]["data"] == [[disclosure.digest("41")]]
    assert np.int64(41) == 41
