"""A refusal is the same one whoever makes it: status, headers, and its protocol's form."""

from __future__ import annotations

import asyncio

import orjson
import pytest

from shadowserve.errors import RequestError
from shadowserve.http.refusals import raw_answer, refusal, steering_refusal
from shadowserve.wire.refusals import OBJECT, TEXT

WRONG = RequestError("what is wrong", code="wrong_type", column="age", row=1)
BUSY = RequestError("Too much is in hand.", code="overloaded", status=503)
LATE = RequestError("It did not come.", code="body_timeout", status=408)
CLOSE = (b"connection", b"close")


def sent(refused):
    messages = []

    async def send(message):
        messages.append(message)

    asyncio.run(refused.sent(send))
    return messages


def read(raw):
    """Status line, headers and body of bytes on a connection."""
    head, _, body = raw.partition(b"\r\n\r\n")
    first, *lines = head.split(b"\r\n")
    return first, [tuple(line.split(b": ", 1)) for line in lines], body


@pytest.mark.parametrize("form", [OBJECT, TEXT], ids=lambda form: form.name)
def test_through_asgi_and_on_a_bare_connection_it_says_the_same(form):
    refused = refusal(WRONG, form, request_id="r1", head=[(b"x-request-id", b"r1")])
    start, end = sent(refused)
    line, head, body = read(refused.raw())
    assert (start["status"], line) == (400, b"HTTP/1.1 400 Bad Request")
    assert end["body"] == body
    assert {*start["headers"], CLOSE} == set(head)
    assert (b"content-length", str(len(body)).encode()) in head


def test_who_may_come_back_is_told_when():
    assert (b"retry-after", b"1") in refusal(BUSY).head
    assert refusal(WRONG).head == []
    timeout = RequestError("It takes too long.", code="timeout", status=504)
    assert refusal(timeout).head == []


def test_where_the_rest_of_a_request_would_follow_the_connection_is_closed_once():
    assert refusal(LATE).head == [CLOSE]
    assert refusal(LATE, head=[CLOSE]).head == [CLOSE]
    assert read(refusal(LATE).raw())[1].count(CLOSE) == 1


def test_the_console_tells_code_message_and_what_else_is_known():
    told = orjson.loads(steering_refusal(WRONG, faults=[3]).body)
    assert told == {"error": {"code": "wrong_type", "message": "what is wrong", "faults": [3]}}


def test_a_bare_answer_ends_its_connection():
    line, head, body = read(raw_answer(200, b"{}", [(b"x-a", b"1")]))
    assert (line, body) == (b"HTTP/1.1 200 OK", b"{}")
    assert head[0] == (b"x-a", b"1")
    assert CLOSE in head
