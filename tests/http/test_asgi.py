"""A body is read whole, once, and never beyond the limit."""

from __future__ import annotations

import asyncio

import pytest

from shadowserve.errors import RequestError
from shadowserve.http.asgi import (
    SMALL_BODY,
    BodyBudget,
    ClientGone,
    Crowded,
    answer,
    bearing,
    read_body,
    request_id_of,
)

LIMIT = 10


def read(*pieces, headers=None, gone=False, limit=LIMIT, hold=lambda _: None):
    """Read what comes in pieces; return the body and how many pieces were taken."""
    left = [
        {"type": "http.request", "body": piece, "more_body": gone or n < len(pieces) - 1}
        for n, piece in enumerate(pieces)
    ]
    if gone:
        left.append({"type": "http.disconnect"})
    there = len(left)

    async def receive():
        return left.pop(0)

    body = asyncio.run(read_body(headers or {}, receive, limit=limit, hold=hold))
    return body, there - len(left)


@pytest.mark.parametrize("pieces", [(b"0123456789",), (b"01234", b"56789"), (b"0123456789", b"")])
def test_pieces_are_put_together_up_to_the_limit(pieces):
    assert read(*pieces) == (b"0123456789", len(pieces))


def test_an_empty_body_is_a_body():
    assert read(b"") == (b"", 1)


@pytest.mark.parametrize(
    "pieces", [(b"01234567890",), (b"0123456789", b"0"), (b"01234567", b"890", b"1")]
)
def test_beyond_the_limit_nothing_more_is_read(pieces):
    with pytest.raises(RequestError, match="Send fewer rows") as refused:
        read(*pieces)
    assert refused.value.status == 413


def test_a_declared_length_is_believed_before_anything_is_read():
    with pytest.raises(RequestError) as refused:
        read(headers={b"content-length": b"11"})
    assert refused.value.status == 413


@pytest.mark.parametrize(
    "headers", [{b"content-encoding": b"gzip"}, {b"inference-header-content-length": b"7"}]
)
def test_what_is_no_plain_body_is_told_so(headers):
    with pytest.raises(RequestError) as refused:
        read(b"{}", headers=headers)
    assert refused.value.status == 415


def test_plain_may_be_said_in_any_case():
    assert read(b"{}", headers={b"content-encoding": b"Identity"})[0] == b"{}"


@pytest.mark.parametrize("pieces", [(), (b"01",)])
def test_a_caller_who_leaves_has_sent_nothing(pieces):
    with pytest.raises(ClientGone):
        read(*pieces, gone=True)


def test_large_bodies_have_a_bound_together_and_one_alone_has_its_own():
    """Whoever sends slowly, or never to an end, does not fill the memory with others like him."""
    budget = BodyBudget(100)
    with budget.share() as first:
        first(150)  # alone
        with budget.share() as second, pytest.raises(Crowded):
            second(1)
        first(60)
        with budget.share() as second:
            second(40)
            with pytest.raises(Crowded):
                second(41)
            assert budget.held == 100
    assert budget.held == 0


def test_only_large_bodies_are_held():
    piece, told = b"x" * (SMALL_BODY // 2), []
    read(piece, piece, b"", hold=told.append, limit=10 * SMALL_BODY)
    assert told == []
    read(piece, piece, piece, b"y", hold=told.append, limit=10 * SMALL_BODY)
    assert told == [3 * len(piece)]


def test_an_answer_bears_what_it_lacks():
    told = []

    async def send(message):
        told.append(message)

    async def ask():
        await answer(bearing(send, [(b"x-a", b"1"), (b"content-type", b"mine")]), 200, b"{}", [])

    asyncio.run(ask())
    names = dict(told[0]["headers"])
    assert names[b"x-a"] == b"1"
    assert names[b"content-type"] == b"application/json"
    assert len(names) == len(told[0]["headers"])


@pytest.mark.parametrize(
    ("given", "kept"), [(b"a-1", True), (b"", False), (b"x" * 257, False), (b"\xe9", False)]
)
def test_a_sane_id_is_kept_and_any_other_replaced(given, kept):
    assert (request_id_of(given) == given.decode("latin-1")) is kept
    assert request_id_of(given)
