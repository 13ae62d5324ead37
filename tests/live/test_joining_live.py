"""Challengers join and leave under load, through kills: no caller notices, and the ledger is exact all the time."""

from __future__ import annotations

import json
import os
import signal
from contextlib import suppress

import pytest

from rig import tiny
from rig.served import Load, Served, run
from rig.watched import Watched
from shadowserve.errors import ShadowserveError
from shadowserve.state import deployment as deployments
from shadowserve.state.places import Places
from shadowserve.supervisor import visiting

pytestmark = [pytest.mark.live, pytest.mark.timeout(600)]


def challengers(served: Served, *arguments: str) -> dict:
    """Run a command of `challengers`, and return what it says for programs."""
    done = run("challengers", *arguments, "--json", "--state-dir", str(served.state), timeout_s=240)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def ask(served: Served, what: str, pin: str, since: str = "now") -> dict:
    """Ask the supervisor as the command does, without a process for it."""
    question = {"ask": what, "pin": pin, "since": since}
    return dict(visiting.ask(Places(served.state), question, tell=print))


def refused(served: Served, what: str, pin: str) -> tuple[int, str]:
    with pytest.raises(ShadowserveError) as raised:
        ask(served, what, pin)
    return raised.value.exit_code, str(raised.value)


def kill_newcomer_and_control(served: Served) -> None:
    for victim in ((tiny.SLOW, "challenger"), (tiny.CHAMPION, "control")):
        with suppress(ProcessLookupError):
            os.kill(served.lane_pid(*victim), signal.SIGKILL)


def test_challengers_join_and_leave_through_kills_and_a_restart_finds_who_is_there(tmp_path, store):
    with Served(tmp_path, store) as served:
        own = {served.worker_pid(), served.lane_pid(tiny.BETTER)}
        with Watched(served) as watched, Load(served, callers=2, pause_s=0.01) as load:
            served.until(lambda: load.n > 50, "some requests before it")
            end = challengers(served, "add", "v9")
            assert end == {"joined": "challenger v9", "version": 9, "state": "running"}
            assert served.lane(tiny.SLOW)["joined"]["before"] > 50
            served.until(lambda: served.lane(tiny.SLOW)["both_ok"] > 50, "it to compare some")
            assert served.report(tiny.SLOW)["requests"] < served.report(tiny.BETTER)["requests"]
            assert "joined behind request" in " ".join(served.report(tiny.SLOW)["notes"])

            kill_newcomer_and_control(served)
            before = served.lane(tiny.SLOW)["both_ok"]
            for arguments, code, says in (
                (("add", "v9"), 2, "challenger already"),
                (("add", "1"), 2, "the champion itself"),
                (("add", "tiny:8"), 2, "challenger already"),
                (("add", str(tiny.WANTING)), 3, "cannot be compared"),
                (("remove", "v2"), 2, "no challenger"),
            ):
                at = (served.state / "deployment.json").read_bytes()
                found, said = refused(served, *arguments)
                assert (found, says in said) == (code, True), said
                assert (served.state / "deployment.json").read_bytes() == at
            served.until(lambda: served.lane(tiny.SLOW)["both_ok"] > before, "it to go on")

            assert ask(served, "remove", "v9") == {"left": "challenger v9", "version": 9}
            assert refused(served, "remove", "v8")[1].startswith("v8 is the only challenger")
            assert {served.worker_pid(), served.lane_pid(tiny.BETTER)} == own

        ledger = served.settled()
        assert (set(load.told), load.wrong) == ({"200"}, 0)
        assert watched.n > 10
        assert watched.unbalanced == []
        assert ledger["balanced"]
        (left,) = ledger["left"]
        assert left["joined"]["before"] + left["both_ok"] + left["after"] == load.n
        assert served.lane(tiny.BETTER)["both_ok"] == load.n

        # Killed while it joins again, the supervisor starts as it was, or with it.
        question = {"ask": "add", "pin": "v9", "since": "start", "wait": False}
        assert visiting.ask(Places(served.state), question, tell=print) == {"joining": "v9"}
        served.stop(signal.SIGKILL)
        said = len(served.said())
        served.start()
        assert "as they joined and left while serving" in served.said()[said:]
        there = [one.number for one in deployments.read(Places(served.state)).challengers]
        assert there in ([8], [8, 9])
        if there == [8]:
            assert ask(served, "add", "v9", "start")["joined"] == "challenger v9-2"
        for _ in range(20):
            served.post()
        assert served.settled()["balanced"]
        lane = served.lane(tiny.SLOW)
        assert lane["joined"]["before"] + lane["both_ok"] == load.n + 20
        assert served.lane(tiny.BETTER)["both_ok"] == load.n + 20
        told = challengers(served, "list")
        assert [one["lane"] for one in told["challengers"]] == ["challenger v8", "challenger v9-2"]
        assert [one["lane"] for one in told["left"]] == ["challenger v9"]
