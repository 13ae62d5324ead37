"""The desk: whoever asks slowly, badly, endlessly or all at once holds nobody up."""

from __future__ import annotations

import json
import socket
import stat
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest

from shadowserve.errors import UnreachableError
from shadowserve.host import unix_socket
from shadowserve.state.places import Places
from shadowserve.supervisor import desk as desks
from shadowserve.supervisor.desk import Desk
from shadowserve.supervisor.visiting import RefusedError, ask


def answered(visitor, question):
    if question.get("ask") == "wait":
        visitor.tell("not yet")
        return
    if question.get("ask") == "refuse":
        visitor.refuse("No.", exit_code=3)
        return
    visitor.end(echo=question)


@pytest.fixture
def places(tmp_path):
    places = Places(tmp_path / "state")
    places.make()
    return places


@pytest.fixture
def desk(places):
    made = Desk(places, answered)
    yield made
    made.close("over")


@pytest.fixture
def attended(desk):
    """Turned by another thread, as the supervisor's loop would."""
    over = threading.Event()

    def turn() -> None:
        while not over.is_set():
            desk.turn()
            time.sleep(0.001)

    thread = threading.Thread(target=turn)
    thread.start()
    yield desk
    over.set()
    thread.join()


def turned(desk: Desk, line: socket.socket, seconds: float = 5.0) -> list[dict]:
    """Turn the desk until a visitor is let go; return what it was told."""
    line.settimeout(0.01)
    held, until = b"", time.monotonic() + seconds
    while time.monotonic() < until:
        desk.turn()
        try:
            came = line.recv(2**16)
        except TimeoutError:
            continue
        if not came:
            return [json.loads(one) for one in held.splitlines()]
        held += came
    raise AssertionError(held)


def test_a_question_is_answered(places, attended):
    assert ask(places, {"ask": "x", "pin": "v4"}, tell=print) == {"echo": {"ask": "x", "pin": "v4"}}


def test_a_refusal_is_raised_with_its_exit_code(places, attended):
    with pytest.raises(RefusedError, match=r"No\.") as raised:
        ask(places, {"ask": "refuse"}, tell=print)
    assert raised.value.exit_code == 3


def test_many_ask_at_once(places, attended):
    found: list[object] = []

    def visit(n: int) -> None:
        found.append(ask(places, {"ask": n}, tell=print)["echo"]["ask"])

    visitors = [threading.Thread(target=visit, args=(n,)) for n in range(desks.MOST_VISITORS - 2)]
    for one in visitors:
        one.start()
    for one in visitors:
        one.join(10.0)
    assert sorted(found) == list(range(len(visitors)))


def test_its_owner_alone_may_ask(places, desk):
    found = places.desk.stat()
    assert stat.S_ISSOCK(found.st_mode)
    assert stat.S_IMODE(found.st_mode) == 0o600


@pytest.mark.parametrize("length", [20, 90, 108, 200])
def test_a_state_directory_may_lie_as_deep_as_it_likes(tmp_path, length):
    root = tmp_path
    while len(str(root)) < len(str(tmp_path)) + length:
        root = root / ("d" * 40)
    places = Places(root)
    places.make()
    made = Desk(places, answered)
    with unix_socket.connect(places.desk, timeout_s=1.0) as line:
        line.sendall(b'{"ask": 1}\n')
        assert turned(made, line) == [{"end": {"echo": {"ask": 1}}}]
    made.close("over")
    assert not places.desk.exists()


def test_what_a_dead_supervisor_left_is_replaced(places):
    dead = socket.socket(socket.AF_UNIX)
    dead.bind(str(places.desk))
    dead.close()
    with pytest.raises(UnreachableError, match="Nothing is being served"):
        ask(places, {"ask": 1}, tell=print)
    made = Desk(places, answered)
    with unix_socket.connect(places.desk, timeout_s=1.0) as line:
        line.sendall(b'{"ask": 1}\n')
        assert turned(made, line)
    made.close("over")


@pytest.mark.parametrize(
    "sent", [b"\n", b"not json\n", b"[1]\n", b'{"ask":\n', b"\xff\xfe\n", b"[" * 60_000 + b"\n"]
)
def test_what_is_no_question_is_refused(places, desk, sent):
    with unix_socket.connect(places.desk, timeout_s=1.0) as line:
        line.sendall(sent)
        (told,) = turned(desk, line)
    assert "JSON object" in told["end"]["refused"]


def test_an_endless_question_is_refused_and_not_kept(places, desk):
    with unix_socket.connect(places.desk, timeout_s=1.0) as line:
        line.setblocking(False)
        for _ in range(100):
            with suppress(BlockingIOError, BrokenPipeError, ConnectionResetError):
                line.send(b"x" * 2**16)
            desk.turn()
            assert all(len(one._heard) < desks.MOST_BYTES + 2**17 for one in desk._visitors)
        assert not desk._visitors or desk._visitors[0].ended


def test_who_floods_after_its_question_gets_one_turn_as_anybody(places, desk):
    with unix_socket.connect(places.desk, timeout_s=1.0) as line:
        line.sendall(b'{"ask": "wait"}\n')
        desk.turn()
        over = threading.Event()

        def flood() -> None:
            line.setblocking(True)
            line.settimeout(0.2)
            while not over.is_set():
                try:
                    line.send(b"x" * 2**16)
                except OSError:
                    return

        thread = threading.Thread(target=flood)
        thread.start()
        with unix_socket.connect(places.desk, timeout_s=1.0) as other:
            other.sendall(b'{"ask": 2}\n')
            assert turned(desk, other) == [{"end": {"echo": {"ask": 2}}}]
        assert len(desk._visitors[0]._heard) <= desks.MOST_BYTES
        over.set()
        thread.join()


def test_who_says_nothing_is_let_go_and_holds_nobody_up(places, desk, monkeypatch):
    silent = unix_socket.connect(places.desk, timeout_s=1.0)
    half = unix_socket.connect(places.desk, timeout_s=1.0)
    half.sendall(b'{"ask"')
    with unix_socket.connect(places.desk, timeout_s=1.0) as line:
        line.sendall(b'{"ask": 3}\n')
        assert turned(desk, line) == [{"end": {"echo": {"ask": 3}}}]
    assert len(desk._visitors) == 2
    monkeypatch.setattr(desks, "PATIENCE_S", 0.0)
    desk.turn()
    assert desk._visitors == []
    silent.close()
    half.close()


def test_who_does_not_read_is_let_go(places, desk):
    line = unix_socket.connect(places.desk, timeout_s=1.0)
    line.sendall(b'{"ask": "wait"}\n')
    desk.turn()
    (visitor,) = desk._visitors
    for _ in range(10_000):
        visitor.tell("x" * 100)
    desk.turn()
    assert desk._visitors == []
    line.close()


def test_too_many_at_once_are_told_so(places, desk):
    lines = []
    for _ in range(desks.MOST_VISITORS):
        lines.append(unix_socket.connect(places.desk, timeout_s=1.0))
        desk.turn()
    with unix_socket.connect(places.desk, timeout_s=1.0) as line:
        (told,) = turned(desk, line)
    assert "ask the supervisor already" in told["end"]["refused"]
    assert told["end"]["exit_code"] == 4
    for one in lines:
        one.close()
    desk.turn()
    assert desk._visitors == []


def test_those_who_wait_are_told_of_the_end(places, desk):
    with unix_socket.connect(places.desk, timeout_s=1.0) as line:
        line.sendall(b'{"ask": "wait"}\n')
        desk.turn()
        desk.close("It ends.")
        told = [json.loads(one) for one in line.recv(2**16).splitlines()]
    assert told == [{"told": "not yet"}, {"end": {"refused": "It ends.", "exit_code": 4}}]
    assert not places.desk.exists()
    desk.turn()


def test_where_nothing_is_served_that_is_said(tmp_path):
    with pytest.raises(UnreachableError, match="Nothing is being served"):
        ask(Places(tmp_path), {"ask": 1}, tell=print)


def test_a_directory_in_its_place_is_no_socket(places):
    Path(places.desk).mkdir()
    with pytest.raises(IsADirectoryError):
        Desk(places, answered)
