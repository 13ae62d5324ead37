"""JSON that two readers could read differently is refused, cheaply."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shadowserve.errors import RequestError
from shadowserve.wire.jsontext import _TEXT_OR_NAN, loads, refuse_nan

JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4)
    ),
    max_leaves=20,
)


def code_of(body: bytes, *, max_depth: int = 64) -> str:
    with pytest.raises(RequestError) as caught:
        loads(body, max_depth=max_depth)
    assert caught.value.status == 400
    return caught.value.code


@pytest.mark.parametrize(
    "body",
    [
        b'{"a":Infinity}',
        b'{"a":NaN,"b":Infinity}',
        b"{NaN:1}",
        b'{"a":-NaN}',
        b'{"a":NaNa}',
        b'{"a":nan}',
        b'[NaN,"',
        b'["NaN',
        b'{"a":-Infinity}',
        b'{"a":1e400}',
        b'{"a":"\xff"}',
        b'{"a":1}x',
        b"{'a':1}",
        b'{"a":1,}',
        b"\xff\xfe{}",
        b"[1",
    ],
)
def test_text_that_is_not_json_is_refused(body):
    assert code_of(body) == "bad_json"


@pytest.mark.parametrize(
    "body",
    [
        b'{"a":1,"a":1}',
        b'{"a":1,"\\u0061":2}',
        b'{"r":[{"a":1,"b":2,"a":3}]}',
        b'{"r":[{"o":{"a":1,"a":2}}]}',
        b'{"a" :1, "b":"10:30", "b":2}',
        b'{"a\\\\":1,"b":1,"b":2}',
        b'{"x":"\\":","b":1,"b":2}',
        b'{"r":[{"a":"u:v"},{"b":1,"b":2}]}',
    ],
)
def test_the_same_key_twice_is_refused_wherever_it_stands(body):
    assert code_of(body) == "duplicate_key"


@pytest.mark.parametrize(
    "document",
    [
        {"a": "10:30", "b": '":', "c": {"d": [{"e": ":"}]}},
        {"r": [{"when": "10:30:00"}] * 100},
        {'k":': 1, "k\\": 2, "k :": 3},
        {"r": [[{"deep": {"er": 1}}]]},
    ],
)
def test_colons_in_text_are_no_duplicates(document):
    for body in (
        json.dumps(document),
        json.dumps(document, indent=1),
        json.dumps(document, separators=(" , ", " : ")),
    ):
        assert loads(body.encode(), max_depth=64) == document


@given(JSON_VALUES)
def test_whatever_json_writes_is_read_back(value):
    assert (
        loads(json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass"), max_depth=64)
        == value
    )


@given(st.dictionaries(st.text(max_size=4), st.text(max_size=6), min_size=1, max_size=5), st.data())
def test_a_repeated_key_is_always_found(record, data):
    key = data.draw(st.sampled_from(list(record)))
    inner = ",".join(
        f"{json.dumps(k)}{data.draw(st.sampled_from(['', ' ']))}:{json.dumps(v)}"
        for k, v in [*record.items(), (key, "x")]
    )
    assert code_of(f'{{"r":[{{{inner}}}]}}'.encode()) == "duplicate_key"


@pytest.mark.parametrize("opening", [b"[", b'{"a":'])
@pytest.mark.parametrize("depth", [65, 900, 2_000, 100_000])
def test_depth_is_refused_and_never_recursed_into(opening, depth):
    closing = {b"[": b"]", b'{"a":': b"}"}[opening]
    assert (
        code_of(
            opening * depth + b"1" + closing * depth
            if opening != b"["
            else opening * depth + closing * depth
        )
        == "too_deep"
    )


def test_depth_at_the_limit_is_read_whatever_the_number_of_brackets():
    body = b"[" + b",".join([b"[" * 63 + b"]" * 63] * 200) + b"]"
    assert len(loads(body, max_depth=64)) == 200


def test_a_byte_order_mark_is_tolerated():
    assert loads(b'\xef\xbb\xbf{"a":1}', max_depth=64) == {"a": 1}


def test_an_error_says_where_and_not_what():
    with pytest.raises(RequestError) as caught:
        loads(b'{"a": "secret", "b": sacret}', max_depth=64)
    assert "column 22" in str(caught.value)
    assert "cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("body", "read"),
    [
        (b'{"a":NaN}', {"a": None}),
        (b"[NaN,NaN , NaN]", [None, None, None]),
        (b'{"NaN": "NaN, NaN", "b": [1.5, NaN]}', {"NaN": "NaN, NaN", "b": [1.5, None]}),
        (b'{"a": "\\"NaN\\\\", "b": NaN}', {"a": '"NaN\\', "b": None}),
        (b'\xef\xbb\xbf{"a":NaN}', {"a": None}),
        (b"NaN", None),
    ],
)
def test_a_bare_nan_is_null_and_one_in_a_text_stays(body, read):
    assert loads(body, max_depth=8) == read
    with pytest.raises(RequestError, match="strict-json"):
        refuse_nan(body)


def test_a_key_twice_is_found_beside_a_nan():
    assert code_of(b'{"a":NaN,"a":1}') == "duplicate_key"


@pytest.mark.parametrize("body", [b'{"a": "NaN"}', b'{"NaN": 1}', b'["', b'["NaN'])
def test_strictness_refuses_no_text(body):
    refuse_nan(body)


def test_no_byte_is_looked_at_twice_for_a_nan():
    """Text without an end, full of quotes: found in one pass, however long."""
    body = b'[NaN,"' + b'\\"' * 500_000
    assert len(list(_TEXT_OR_NAN.finditer(body))) == 2
    assert code_of(body) == "bad_json"
