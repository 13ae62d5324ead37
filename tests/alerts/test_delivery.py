"""One delivery is bounded in time and in what is read, whatever the receiver does, and tells no secret."""

from __future__ import annotations

import json
import socket
import time
from email.utils import formatdate

import pytest

from rig import receiver as receivers
from rig.receiver import Receiver, status
from shadowserve.alerts.delivery import LONGEST_WAIT_S, Outcome, deliver

WHOLE_S = 1.5
"""Long enough for this machine to answer, short enough to wait for."""


def post(answer=None, **changes) -> tuple[Outcome, Receiver]:
    with Receiver(answer) as receiver:
        outcome = deliver(
            receiver.url, b'{"text": "so"}', message_id="m1", whole_s=WHOLE_S, **changes
        )
        return outcome, receiver


def test_a_message_is_posted_as_json_with_a_name_of_its_own():
    outcome, receiver = post()
    assert (outcome.taken, outcome.status) == (True, 200)
    ((head, body),) = receiver.received
    assert body == {"text": "so"}
    assert head["content-type"] == "application/json"
    assert head["idempotency-key"] == "m1"
    assert head["host"] == f"127.0.0.1:{receiver.port}"
    assert receiver.paths == ["/hooks/s3cret?key=s3cret"]


@pytest.mark.parametrize("code", [200, 201, 202, 204])
def test_every_2xx_is_taken(code):
    assert post(status(code))[0].taken


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (receivers.hang, "no answer in time"),
        (receivers.drip, "no answer in time"),
        (receivers.endless_continue, "no answer in time"),
        (receivers.reset, "ended without an answer"),
        (lambda caller: None, "ended without an answer"),
        (receivers.endless_head, "no HTTP"),
        (receivers.no_http, "no HTTP"),
        (status(500), "answered 500"),
        (status(503), "answered 503"),
        (status(400), "another shape"),
        (status(403), "secret is wrong"),
        (status(404), "no such webhook"),
    ],
)
def test_what_is_not_taken_is_told_in_bounded_time_without_a_secret(answer, says):
    outcome, receiver = post(answer)
    assert not outcome.taken
    assert says in outcome.says
    assert "s3cret" not in outcome.says
    assert len(receiver.received) == 1


def test_an_answer_without_end_is_not_read():
    began = time.process_time()
    outcome, _ = post(receivers.endless_body)
    assert outcome.taken
    assert time.process_time() - began < 30


def test_it_goes_nowhere_else_than_where_it_was_sent():
    with Receiver() as elsewhere:
        for code in (301, 302, 303, 307, 308):
            outcome, _ = post(status(code, f"Location: {elsewhere.url}"))
            assert not outcome.taken
            assert "leads elsewhere" in outcome.says
            assert "s3cret" not in outcome.says
        assert elsewhere.received == []


@pytest.mark.parametrize(
    ("given", "waits"),
    [
        ("120", 120.0),
        ("99999999999999999999", LONGEST_WAIT_S),
        ("-5", 0.0),
        ("1e9", 0.0),
        ("nan", 0.0),
        ("soon", 0.0),
        ("", 0.0),
        ("Mon, 99 Foo 2026 25:61:61 GMT", 0.0),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0),
        (formatdate(4e9, usegmt=True), LONGEST_WAIT_S),
    ],
)
@pytest.mark.parametrize("code", [429, 503])
def test_a_receiver_may_ask_to_be_left_alone_for_an_hour_at_most(code, given, waits):
    outcome, _ = post(status(code, f"Retry-After: {given}"))
    assert outcome.wait_s == waits


def test_nobody_there_is_told():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    outcome = deliver(f"http://127.0.0.1:{port}/s3cret", b"{}", message_id="m1")
    assert outcome == Outcome(taken=False, says="nobody listens there")
    unknown = deliver("http://no-such-host.invalid/s3cret", b"{}", message_id="m1")
    assert not unknown.taken
    assert "s3cret" not in unknown.says


def test_what_speaks_no_tls_is_told_and_what_hangs_before_it_is_cut():
    with Receiver() as plain:
        outcome = deliver(
            f"https://127.0.0.1:{plain.port}/", b"{}", message_id="m1", whole_s=WHOLE_S
        )
    assert not outcome.taken
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        outcome = deliver(f"https://127.0.0.1:{port}/", b"{}", message_id="m1", whole_s=WHOLE_S)
    assert outcome.says == "no answer in time"


def test_a_large_message_goes_through_whole():
    with Receiver() as receiver:
        text = "x" * 200_000
        assert deliver(receiver.url, json.dumps({"text": text}).encode(), message_id="m").taken
        assert receiver.bodies() == [{"text": text}]
