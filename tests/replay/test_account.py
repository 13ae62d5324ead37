"""A target's own account: who was served last, and what stands in journal and lanes."""

from __future__ import annotations

import json

import pytest

from rig.misbehaving import misbehaving
from shadowserve.errors import SettingsError, UnreachableError
from shadowserve.replay.account import QUIET_S, Account, LaneLook
from shadowserve.replay.guard import Guard
from shadowserve.replay.target import Target

COUNTS = 'shadowserve_requests_total{outcome="answered"} 7\nshadowserve_requests_total{outcome="append_failed"} 2\n'
AGE = "shadowserve_last_own_request_age_seconds %s\n"


def pages(**bodies):
    """A server of some pages; what is no text is the whole answer."""

    def handle(made):
        path = made.recv(65_536).split(b" ")[1].decode()
        told = bodies.get(
            path.strip("/").replace(".", "_"), b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n"
        )
        if isinstance(told, str):
            told = f"HTTP/1.1 200 OK\r\nContent-Length: {len(told)}\r\n\r\n{told}".encode()
        made.sendall(told)
        made.close()

    return misbehaving(handle)


def account(port, console=None):
    at = [
        Target(f"127.0.0.1:{one}", ("127.0.0.1", one)) if one else None for one in (port, console)
    ]
    return Account(at[0], at[1])


@pytest.mark.parametrize("age", ["0.0", "12.5", str(QUIET_S - 1)])
def test_one_that_served_others_lately_is_refused(age):
    with (
        pages(metrics=COUNTS + AGE % age) as port,
        pytest.raises(SettingsError, match="--into-live"),
    ):
        account(port).refuse_live("http://x")


@pytest.mark.parametrize("text", [COUNTS, COUNTS + AGE % QUIET_S, COUNTS + AGE % "1e9"])
def test_one_that_served_nobody_lately_is_taken(text):
    with pages(metrics=text) as port:
        account(port).refuse_live("http://x")


@pytest.mark.parametrize(
    "told",
    [
        "", "process_cpu_seconds_total 3\n", AGE % "1e9", "{not metrics", b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 302 Away\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n", b"nonsense", b"",
    ],
)  # fmt: skip
def test_one_that_does_not_say_is_refused(told):
    with pages(metrics=told) as port, pytest.raises(SettingsError, match="does not say"):
        account(port).refuse_live("http://x")


def test_one_that_asks_for_a_token_says_how():
    denied = b"HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n"
    with pages(metrics=denied) as port, pytest.raises(SettingsError, match="--token-file"):
        account(port).refuse_live("http://x")


def test_lanes_are_read_at_the_console():
    lane = {
        "role": "challenger", "version": 4, "both_ok": 5, "champion_error": 1, "replayed": 7, "pending": 3,
        "skipped": {"paused": 1, "budget": 2, "lost": 0},
    }  # fmt: skip
    times = [{"role": "challenger", "version": 4, "lately": {"score_batch": 0.2, "compare": 0.7}}]
    status = json.dumps({"lanes": [lane], "lane_time": times, "lanes_stand_still": True})
    with pages(metrics=COUNTS) as port, pages(status_json=status) as console:
        found = account(port, console).look()
    assert found.lanes == {"challenger v4": LaneLook(dealt=16, pending=3, scoring=False)}
    assert (found.append_failed, found.dropped, found.stands_still) == (2, 2, True)
    with (
        pages(metrics=COUNTS) as port,
        pages(status_json="{}") as console,
        pytest.raises(UnreachableError, match="no console"),
    ):
        account(port, console).look()


def test_somebody_who_comes_meanwhile_is_seen():
    with pages(metrics=COUNTS + AGE % "1e9") as port:
        guard = Guard(account(port), every_s=0.01)
        guard._thread.join(0.2)
        assert not guard.came
        guard.close()
        guard._thread.join()
    with pages(metrics=COUNTS + AGE % "0.0") as port:
        guard = Guard(account(port), every_s=0.01)
        guard._thread.join(20)
        assert guard.came
