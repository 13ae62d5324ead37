"""The short way answers, counts and refuses as the application does, on a real server."""

from __future__ import annotations

import socket
import threading
import time

import pytest

from rig.plane import served
from rig.scoring import body, opaque, record
from shadowserve.http.header_limit import BoundedHead

GOOD = body(record(1))
TYPE = b"content-type: application/json\r\n"


def asking(sent: bytes, head: bytes = TYPE, path: bytes = b"/invocations") -> bytes:
    length = str(len(sent)).encode()
    first = b"POST " + path + b" HTTP/1.1\r\nhost: 127.0.0.1\r\nx-request-id: mine\r\n"
    return first + head + b"content-length: " + length + b"\r\n\r\n" + sent


def answers(port: int, *pieces: bytes, n: int = 1) -> list[tuple[bytes, frozenset[bytes], bytes]]:
    """Send pieces one after the other, and return status line, headers but the date, and body of each answer."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as caller:
        for piece in pieces:
            caller.sendall(piece)
            time.sleep(0.02 if len(pieces) > 1 else 0)
        return [_answer(caller.makefile("rb") if n == 1 else caller) for _ in range(n)]


def _answer(source) -> tuple[bytes, frozenset[bytes], bytes]:
    read = source if hasattr(source, "readline") else source.makefile("rb", buffering=0)
    status = read.readline().strip()
    head = []
    while line := read.readline().strip():
        head.append(line)
    (length,) = (int(one[15:]) for one in head if one.startswith(b"content-length:"))
    told = frozenset(one for one in head if not one.startswith(b"date:"))
    return status, told, read.read(length)


ASKED = {
    "good": asking(GOOD),
    "two rows": asking(body(record(1), record(2))),
    "no JSON": asking(b"{"),
    "wrong type": asking(body({**record(1), "age": "x"})),
    "missing column": asking(b'{"dataframe_records": [{"age": 1}]}'),
    "unknown column": asking(body({**record(1), "more": 1})),
    "other content type": asking(GOOD, b"content-type: text/plain\r\n"),
    "a page's": asking(GOOD, b"user-agent: Mozilla/5.0\r\n"),
    "compressed": asking(GOOD, TYPE + b"content-encoding: gzip\r\n"),
    "too large": asking(b"x" * 5_000),
    "another host": asking(GOOD, TYPE + b"origin: http://elsewhere\r\n"),
    "predict": asking(b'{"rows": [{"age": 1.0, "title": "x"}]}', path=b"/predict"),
    "infer, refused": asking(b"{}", path=b"/v2/models/films/infer"),
    "closes": asking(GOOD, TYPE + b"connection: close\r\n"),
    "a head's end in the body": asking(b'{"dataframe_records": [\r\n\r\n]}'),
    "no body": asking(b""),
    "lines that end without a return": asking(GOOD).replace(b"\r\n", b"\n"),
    "a length twice": asking(GOOD, TYPE + b"content-length: 3\r\n"),
    "chunks": asking(GOOD, TYPE + b"transfer-encoding: chunked\r\n"),
    "an empty line before": b"\r\n" + asking(GOOD),
    "HTTP/1.0": asking(GOOD).replace(b"HTTP/1.1", b"HTTP/1.0"),
    "sent again": asking(GOOD, TYPE + b"x-shadowserve-replay: r1\r\n"),
    "sent again, refused": asking(b"{", TYPE + b"x-shadowserve-replay: r1\r\n"),
    "sent again, an unknown column": asking(
        body({**record(1), "more": 1}), TYPE + b"X-Shadowserve-Replay: r1\r\n"
    ),
    "an upgrade": asking(GOOD, TYPE + b"connection: upgrade\r\nupgrade: h2c\r\n"),
}


AGAIN = [
    (f"{name}, {again}", sent) for again in ("again", "once more") for name, sent in ASKED.items()
]
"""By then the short way knows the heads."""


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """What each is answered, and counted, by either way."""
    found = []
    for short in (True, False):
        told = {}
        with served(tmp_path_factory.mktemp("plane"), short=short) as (plane, port):
            for name, sent in (*ASKED.items(), *AGAIN):
                before = plane.counts
                answer = answers(port, sent)
                until(lambda: plane.counts.in_hand == 0)
                after = plane.counts
                counted = {
                    one: getattr(after, one) - getattr(before, one)
                    for one in ("answered", "rejected", "turned_away", "extra_columns")
                }
                told[name] = (answer, counted)
        found.append(told)
    return found


@pytest.mark.parametrize("name", [*ASKED, *(name for name, _ in AGAIN)])
def test_the_short_way_answers_and_counts_as_the_application_does(both, name):
    assert both[0][name] == both[1][name]


def test_the_battery_has_answers_and_refusals(both):
    statuses = {name: told[0][0][0].split()[1] for name, told in both[0].items()}
    assert statuses["good"] == b"200"
    assert {b"200", b"400", b"413", b"415", b"403"} <= set(statuses.values())


def test_the_short_way_is_taken(tmp_path, monkeypatch):
    with served(tmp_path) as (plane, port):
        monkeypatch.setattr(plane.plane.scoring, "score", None)  # the application's way
        assert answers(port, asking(GOOD))[0][0] == b"HTTP/1.1 200 OK"


def test_a_head_that_came_before_is_not_parsed_again(tmp_path, monkeypatch):
    with served(tmp_path) as (_, port), socket.create_connection(("127.0.0.1", port)) as caller:
        caller.sendall(asking(GOOD))
        first = _answer(caller)
        monkeypatch.setattr(BoundedHead, "on_headers_complete", None)  # the parser's way
        caller.sendall(asking(GOOD))
        assert _answer(caller) == first


SPLIT = (1, 3, 40, len(asking(GOOD)) - len(GOOD) - 2, len(asking(GOOD)) - len(GOOD), -5, -1)


@pytest.mark.parametrize("at", SPLIT)
def test_a_known_head_may_come_in_pieces(tmp_path, at):
    sent = asking(GOOD)
    with served(tmp_path) as (plane, port):
        whole = answers(port, sent)
        with socket.create_connection(("127.0.0.1", port), timeout=30) as caller:
            for _ in range(3):
                caller.sendall(sent[:at])
                time.sleep(0.02)
                caller.sendall(sent[at:])
                assert [_answer(caller)] == whole
                caller.sendall(sent)
                assert [_answer(caller)] == whole
        until(lambda: plane.counts.in_hand == 0)
        assert plane.counts.answered == 7


def test_what_follows_a_known_head_too_early_is_read_as_ever(tmp_path):
    """A second request in one piece, before the first answer, with a byte too few or too many."""
    sent, other = asking(GOOD), asking(body(record(2), record(3)))
    with served(tmp_path) as (plane, port):
        whole, second = answers(port, sent), answers(port, other)
        assert answers(port, sent + other, n=2) == whole + second
        assert answers(port, other + sent + other, n=3) == second + whole + second
        assert answers(port, sent + other[:50], other[50:] + sent, n=3) == whole + second + whole
        with socket.create_connection(("127.0.0.1", port), timeout=30) as caller:
            caller.sendall(sent)
            caller.sendall(other)  # perhaps before the first is answered
            assert [_answer(caller), _answer(caller)] == whole + second
        assert answers(port, sent + b"X")[0][0] == b"HTTP/1.1 400 Bad Request"
        until(lambda: plane.counts.in_hand == 0)


def test_after_a_head_that_closes_nothing_more_is_read_however_often_it_came(tmp_path):
    """What comes behind it, before its answer, is no HTTP; the parser leaves it, and so must we."""
    held = threading.Event()

    def slow(frame, params):
        held.wait(10)
        return frame["age"].to_numpy()

    closing = asking(GOOD, TYPE + b"connection: close\r\n")
    with served(tmp_path, opaque(slow)) as (plane, port):
        held.set()
        whole = [answers(port, closing) for _ in range(2)]
        held.clear()
        with socket.create_connection(("127.0.0.1", port), timeout=30) as caller:
            caller.sendall(closing)
            until(lambda: plane.counts.in_hand == 1)
            caller.sendall(b"\x00 no HTTP\r\n\r\n")
            time.sleep(0.05)  # it has been read by then, or the answer is right all the sooner
            held.set()
            assert [_answer(caller)] == whole[1]
        until(lambda: plane.counts.in_hand == 0)


def test_what_cannot_be_kept_of_a_refusal_costs_its_neighbours_nothing(tmp_path, monkeypatch):
    """In one turn of the loop a body that is refused, and one that is fine."""
    with served(tmp_path) as (plane, port):
        (good,) = answers(port, asking(GOOD))

        def no_thread(*_):
            raise RuntimeError("can't start new thread")

        monkeypatch.setattr(plane.plane.scoring, "keep", no_thread)
        callers = [socket.create_connection(("127.0.0.1", port), timeout=30) for _ in range(2)]
        for caller in callers:
            caller.sendall(asking(GOOD)[:-1])
        until(lambda: plane.counts.in_hand == 2)
        gate = threading.Event()
        next(iter(BoundedHead.open)).loop.call_soon_threadsafe(gate.wait, 10)
        callers[0].sendall(b"?")  # the last byte of a document that is none
        callers[1].sendall(GOOD[-1:])
        time.sleep(0.1)
        gate.set()
        assert _answer(callers[0])[0] == b"HTTP/1.1 400 Bad Request"
        assert _answer(callers[1]) == good
        for caller in callers:
            caller.close()
        until(lambda: plane.counts.in_hand == 0)


def test_known_heads_are_bounded_and_forgotten(tmp_path):
    with served(tmp_path) as (plane, port):
        way = plane.plane.short_way
        for n in range(3):
            answers(port, asking(GOOD, TYPE + b"x-n: %d\r\n" % n))
        answers(port, asking(GOOD, TYPE + b"x-long: " + b"n" * 5_000 + b"\r\n"))
        assert len(way.heads._heads) == 3
        way.heads._most = 2
        answers(port, asking(GOOD, TYPE + b"x-n: more\r\n"))
        assert len(way.heads._heads) == 1


def test_at_a_stop_a_known_head_is_told_that_its_connection_ends(tmp_path):
    sent = asking(GOOD)
    with served(tmp_path) as (plane, port), socket.create_connection(("127.0.0.1", port)) as caller:
        for _ in range(2):
            caller.sendall(sent)
            assert b"connection: close" not in _answer(caller)[1]
        caller.sendall(sent[:-3])  # its body comes after the stop has begun
        until(lambda: plane.counts.in_hand == 1)
        plane.plane.leave()
        caller.sendall(sent[-3:])
        assert b"connection: close" in _answer(caller)[1]
        assert b"connection: close" in answers(port, sent)[0][1]
        assert b"connection: close" in answers(port, sent)[0][1]


def test_an_idle_connection_is_closed_after_its_time(tmp_path):
    with served(tmp_path) as (_, port), socket.create_connection(("127.0.0.1", port)) as caller:
        for _ in range(2):
            caller.sendall(asking(GOOD))
            _answer(caller)
        (one,) = BoundedHead.open
        one.loop.call_soon_threadsafe(BoundedHead.hasten, 60.0)
        caller.sendall(asking(GOOD))
        assert _answer(caller)[0] == b"HTTP/1.1 200 OK"  # it was not idle for long
        one.timeout_keep_alive = 0
        time.sleep(0.01)
        one.loop.call_soon_threadsafe(BoundedHead.hasten, 60.0)
        caller.settimeout(30)
        assert caller.recv(1) == b""


def test_a_body_may_come_in_pieces_behind_its_head(tmp_path):
    sent = asking(GOOD)
    with served(tmp_path) as (plane, port):
        whole = answers(port, sent)
        assert answers(port, sent[:-20], sent[-20:-5], sent[-5:]) == whole
        until(lambda: plane.counts.in_hand == 0)


def test_requests_sent_ahead_are_answered_in_their_order(tmp_path):
    sent = [asking(body(record(n))) for n in range(5)]
    with served(tmp_path) as (plane, port):
        alone = [answers(port, one)[0][2] for one in sent]
        assert [one[2] for one in answers(port, b"".join(sent), n=5)] == alone
        until(lambda: plane.counts.in_hand == 0)


def test_a_caller_that_leaves_before_its_body_is_whole_is_counted(tmp_path):
    with served(tmp_path) as (plane, port):
        with socket.create_connection(("127.0.0.1", port)) as caller:
            caller.sendall(asking(GOOD)[:-3])
            until(lambda: plane.counts.in_hand == 1)
        until(lambda: plane.counts.client_gone == 1)
        until(lambda: plane.counts.in_hand == 0)
        assert plane.counts.answered == 0


def test_a_body_that_does_not_come_is_refused(tmp_path):
    with served(tmp_path) as (plane, port), socket.create_connection(("127.0.0.1", port)) as caller:
        caller.sendall(asking(GOOD)[:-3])
        until(lambda: plane.counts.in_hand == 1)
        (loop,) = {one.loop for one in BoundedHead.open}
        loop.call_soon_threadsafe(BoundedHead.hasten, 0.0)
        status, head, _ = _answer(caller)
        assert status == b"HTTP/1.1 408 Request Timeout"
        assert b"connection: close" in head
        until(lambda: plane.counts.in_hand == 0)
        assert plane.counts.rejected == 1


def test_a_model_that_fails_or_no_room_in_line_is_answered(tmp_path):
    def fail(frame, params):
        raise ValueError("no")

    with served(tmp_path, opaque(fail)) as (plane, port):
        assert answers(port, asking(GOOD))[0][0].startswith(b"HTTP/1.1 500")
        plane.serving.champion.withdraw()
        status, head, _ = answers(port, asking(GOOD))[0]
        assert status.startswith(b"HTTP/1.1 503")
        assert b"retry-after: 1" in head
        until(lambda: plane.counts.in_hand == 0)
        assert plane.counts.overloaded == 1


def until(true, *, seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)
