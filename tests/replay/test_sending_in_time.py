"""Sending in time to servers that hang, break off, refuse, redirect or answer oddly."""

from __future__ import annotations

import socket
import threading

import pytest

from rig.misbehaving import OK, always, misbehaving, request_of, reset
from rig.ports import free_port
from shadowserve.replay.connection import Sendable
from shadowserve.replay.sending import Bounds, Ended, Sender
from shadowserve.replay.target import Target


class Listed:
    """A feed that is all there from the beginning."""

    def __init__(self, requests):
        self._left = list(reversed(requests))

    @property
    def finished(self):
        return not self._left

    def peek(self):
        return self._left[-1] if self._left else None

    def pop(self):
        self._left.pop()


def post(body: bytes = b"{}", path: str = "/invocations") -> bytes:
    return TARGET.head(path, "application/json", len(body), mark="r1") + body


TARGET = Target("127.0.0.1:1", ("127.0.0.1", 1))


def sent(
    port: int, n: int = 1, *, every_s: float = 0.0, body: bytes = b"{}", stopping=None, **bounds
) -> list[Ended]:
    ends: list[Ended] = []
    target = Target(f"127.0.0.1:{port}", ("127.0.0.1", port))
    sender = Sender(
        target,
        Bounds(**{"timeout_s": 20.0, **bounds}),
        tell=ends.append,
        stopping=(lambda: stopping(ends)) if stopping else lambda: False,
    )
    sender.run(Listed([Sendable(every_s * i, post(body), i) for i in range(n)]))
    sent.left, sent.was_full = sender.left, sender.was_full
    sender.close()
    return sorted(ends, key=lambda one: one.tag)


def test_each_request_comes_whole_once_and_bears_the_mark():
    came = []

    def handle(made):
        while True:
            came.append(request_of(made))
            made.sendall(OK)

    with misbehaving(handle) as port:
        ends = sent(port, 50)
    assert [one.status for one in ends] == [200] * 50
    assert [body for _, body in came] == [b"{}"] * 50
    assert all(b"\r\nx-shadowserve-replay: r1\r\n" in head for head, _ in came)


ODD = {
    "chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n0\r\n\r\n\r\n3;x=y\r\nabc\r\n0\r\n\r\n",
    "no body": b"HTTP/1.1 204 No Content\r\n\r\n",
    "told ahead": b"HTTP/1.1 100 Continue\r\n\r\n" + OK,
    "small letters": b"HTTP/1.1 200 OK\r\ncontent-length:2\r\n\r\n{}",
}


@pytest.mark.parametrize("name", ODD)
@pytest.mark.parametrize("size", [1, 7, 1_000])
def test_answers_may_come_in_any_form_and_in_any_pieces(name, size):
    def handle(made):
        while True:
            request_of(made)
            for at in range(0, len(ODD[name]), size):
                made.sendall(ODD[name][at : at + size])

    with misbehaving(handle) as port:
        ends = sent(port, 5, every_s=0.002)
    assert [one.status for one in ends] == [204 if name == "no body" else 200] * 5


def test_an_answer_that_ends_with_its_connection_is_one():
    def handle(made):
        request_of(made)
        made.sendall(b"HTTP/1.1 200 OK\r\n\r\n{}")
        made.close()

    with misbehaving(handle) as port:
        assert [(one.status, one.why) for one in sent(port, 4)] == [(200, "")] * 4


def test_a_connection_that_is_closed_after_each_answer_costs_no_request():
    def handle(made):
        request_of(made)
        made.sendall(OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        made.close()

    with misbehaving(handle) as port:
        assert [one.status for one in sent(port, 30, every_s=0.002)] == [200] * 30


def test_a_target_that_hangs_holds_up_no_other_request():
    """The first is never answered; those after it are sent when they are due, on connections of their own."""
    first = threading.Event()

    def handle(made):
        while True:
            request_of(made)
            if not first.is_set():
                first.set()
                threading.Event().wait(60)
            made.sendall(OK)

    with misbehaving(handle) as port:
        ends = sent(port, 20, every_s=0.005, timeout_s=0.6)
    assert (ends[0].status, ends[0].why) == (0, "timeout")
    assert [one.status for one in ends[1:]] == [200] * 19
    assert max(one.ended_s for one in ends[1:]) < ends[0].ended_s


def test_a_time_counts_from_when_a_request_was_due_not_from_when_there_was_room():
    """Two at once, and a server that takes 50 ms: the last of ten waited for the other nine."""

    def handle(made):
        while True:
            request_of(made)
            threading.Event().wait(0.05)
            made.sendall(OK)

    with misbehaving(handle) as port:
        ends = sent(port, 10, in_flight=1)
    assert sent.was_full
    took = [one.ended_s - one.due_s for one in ends]
    assert took == sorted(took)
    assert took[-1] >= 0.5
    assert max(one.ended_s - one.sent_s for one in ends) < took[-1] / 2


@pytest.mark.parametrize("when", ["at once", "before the answer", "in the answer"])
def test_what_breaks_off_is_told_and_not_sent_again(when):
    came = []

    def handle(made):
        if when != "at once":
            came.append(request_of(made))
        if when == "in the answer":
            made.sendall(OK[:-1])
        reset(made)

    with misbehaving(handle) as port:
        ends = sent(port, 5, every_s=0.02)
    assert {one.status for one in ends} == {0}
    assert {one.why for one in ends} <= {"reset", "closed"}
    assert len(came) == (0 if when == "at once" else 5)


def test_what_hangs_up_politely_without_an_answer_is_told():
    def handle(made):
        request_of(made)
        made.close()

    with misbehaving(handle) as port:
        assert [one.why for one in sent(port, 3)] == ["closed"] * 3


def test_where_nobody_listens_every_request_is_told():
    assert [one.why for one in sent(free_port(), 3)] == ["refused"] * 3


@pytest.mark.parametrize("status", [429, 503, 400, 500])
def test_other_statuses_come_with_their_bodies(status):
    answer = b"HTTP/1.1 %d Odd\r\nContent-Length: 4\r\n\r\nwhy!" % status
    with misbehaving(always(answer)) as port:
        ends = sent(port, 3)
    assert [(one.status, one.body) for one in ends] == [(status, b"why!")] * 3


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_no_redirect_is_followed(status):
    elsewhere = []

    def other(made):
        elsewhere.append(request_of(made))

    with misbehaving(other) as away:
        answer = f"HTTP/1.1 {status} Elsewhere\r\nLocation: http://127.0.0.1:{away}/invocations\r\nContent-Length: 0\r\n\r\n"
        with misbehaving(always(answer.encode())) as port:
            assert [one.status for one in sent(port, 3)] == [status] * 3
    assert elsewhere == []


@pytest.mark.parametrize(
    "answer", [b"SSH-2.0-OpenSSH\r\n\r\n", b"HTTP/2 200\r\n\r\n", b"HTTP/1.1 ok\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", b"x" * 70_000]
)  # fmt: skip
def test_what_speaks_no_http_is_told(answer):
    with misbehaving(always(answer)) as port:
        assert [one.why for one in sent(port, 2)] == ["unreadable"] * 2


def test_large_bodies_go_out_in_pieces_while_others_pass():
    came = []

    def handle(made):
        while True:
            came.append(request_of(made)[1])
            made.sendall(OK)

    body = bytes(range(256)) * (8 * 2**12)
    with misbehaving(handle) as port:
        assert [one.status for one in sent(port, 3, body=body)] == [200] * 3
    assert came == [body] * 3


def test_a_refusal_before_the_whole_body_was_read_is_an_answer():
    def handle(made):
        made.recv(1_000)
        made.sendall(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        made.shutdown(socket.SHUT_WR)
        while made.recv(1 << 20):
            pass

    with misbehaving(handle) as port:
        assert [one.status for one in sent(port, 2, body=b"x" * 2**25)] == [413] * 2


def test_a_stop_sends_no_more_and_says_what_was_in_flight():
    def handle(made):
        for _ in range(2):
            request_of(made)
            made.sendall(OK)
        threading.Event().wait(60)

    with misbehaving(handle) as port:
        ends = sent(port, 10_000, every_s=0.001, in_flight=3, stopping=lambda ends: len(ends) >= 4)
    assert [one.status for one in ends] == [200] * len(ends)
    assert 4 <= len(ends) <= 6
    assert sent.left == 3


def test_no_more_are_in_flight_than_may_be():
    here, most = [], []
    lock = threading.Lock()

    def handle(made):
        while True:
            request_of(made)
            with lock:
                here.append(1)
                most.append(len(here))
            threading.Event().wait(0.02)
            with lock:
                here.pop()
            made.sendall(OK)

    with misbehaving(handle) as port:
        assert len(sent(port, 60, in_flight=5)) == 60
    assert max(most) <= 5
