"""Challengers join and leave under load, through kills: no caller notices, and the ledger is exact all the time."""

from __future__ import annotations

import json
import os
import signal
import threading
from contextlib import suppress

import pytest

from rig import tiny
from rig.served import Load, Served, run
from shadowserve.errors import ShadowserveError
from shadowserve.state import deployment as deployments
from shadowserve.state import ledger
from shadowserve.state.places import Places
from shadowserve.supervisor import visiting

pytestmark = [pytest.mark.live, pytest.mark.timeout(600)]

QUICK = ("--lane-priority", "normal")  # whatever else the machine does


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


class Watched:
    """Reads the ledger again and again, as long as a block lasts: it balances at every moment."""

    def __init__(self, served: Served) -> None:
        self.served, self.n, self.unbalanced = served, 0, []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look)

    def _look(self) -> None:
        places = Places(self.served.state)
        while not self._over.wait(0.05):
            found = ledger.read(places, deployments.read(places))
            self.n += 1
            if not found.balanced:
                self.unbalanced.append(found.to_dict())

    def __enter__(self) -> Watched:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()


def test_a_challenger_joins_and_leaves_while_everybody_else_goes_on(tmp_path, store):
    with Served(tmp_path, store, *QUICK) as served:
        own = {served.worker_pid(), served.lane_pid(tiny.BETTER), served.lane_pid(1, "control")}
        with Watched(served) as watched, Load(served, callers=2, pause_s=0.01) as load:
            served.until(lambda: load.n > 50, "some requests before it")
            end = challengers(served, "add", "v9")
            assert end == {"joined": "challenger v9", "version": 9, "state": "running"}
            lane = served.lane(tiny.SLOW)
            assert lane["joined"]["before"] > 50
            served.until(lambda: served.lane(tiny.SLOW)["both_ok"] > 50, "it to compare some")
            assert served.report(tiny.SLOW)["requests"] < served.report(tiny.BETTER)["requests"]
            assert "joined behind request" in " ".join(served.report(tiny.SLOW)["notes"])

            # A kill of the newcomer, and one of the control beside it.
            for victim in ((tiny.SLOW, "challenger"), (1, "control")):
                with suppress(ProcessLookupError):
                    os.kill(served.lane_pid(*victim), signal.SIGKILL)
            before = served.lane(tiny.SLOW)["both_ok"]
            served.until(lambda: served.lane(tiny.SLOW)["both_ok"] > before, "it to go on")
            own = {served.worker_pid(), served.lane_pid(tiny.BETTER)}

            for arguments, code, says in (
                (("add", "v9"), 2, "challenger already"),
                (("add", "1"), 2, "the champion itself"),
                (("add", "v77"), 2, "77"),
                (("add", "films:8"), 2, "have the same number"),
                (("add", str(tiny.WANTING)), 3, "cannot be compared"),
                (("remove", "v2"), 2, "no challenger"),
            ):
                at = (served.state / "deployment.json").read_bytes()
                found, said = refused(served, *arguments)
                assert (found, says in said) == (code, True), said
                assert (served.state / "deployment.json").read_bytes() == at

            assert ask(served, "remove", "v9") == {"left": "challenger v9", "version": 9}
            assert refused(served, "remove", "v8")[1].startswith("v8 is the only challenger")
            assert (
                challengers(served, "add", "v9", "--from", "start")["joined"] == "challenger v9-2"
            )
            assert {served.worker_pid(), served.lane_pid(tiny.BETTER)} == own

        ledger = served.settled()
        assert set(load.told) == {"200"}
        assert load.wrong == 0
        assert watched.n > 10
        assert watched.unbalanced == []
        assert ledger["balanced"]
        (left,) = ledger["left"]
        assert left["joined"]["before"] + left["both_ok"] + left["after"] == load.n
        lane = served.lane(tiny.SLOW)
        assert lane["joined"]["before"] + lane["both_ok"] == load.n
        assert served.lane(tiny.BETTER)["both_ok"] == load.n

        served.stop()
        said = len(served.said())
        served.start()
        assert "as they joined and left while serving" in served.said()[said:]
        told = challengers(served, "list")
        assert [one["lane"] for one in told["challengers"]] == ["challenger v8", "challenger v9-2"]
        assert [one["lane"] for one in told["left"]] == ["challenger v9"]
        assert served.settled()["balanced"]


def test_a_supervisor_that_is_killed_while_a_version_joins_starts_as_it_was_or_with_it(
    tmp_path, store
):
    with Served(tmp_path, store, *QUICK) as served:
        for _ in range(20):
            served.post()
        question = {"ask": "add", "pin": "v9", "wait": False}
        assert visiting.ask(Places(served.state), question, tell=print) == {"joining": "v9"}
        served.stop(signal.SIGKILL)
        served.start()
        there = [one.number for one in deployments.read(Places(served.state)).challengers]
        assert there in ([8], [8, 9])
        for _ in range(20):
            served.post()
        if there == [8]:
            ask(served, "add", "v9")
        ledger = served.settled()
        assert ledger["balanced"]
        assert served.lane(tiny.BETTER)["both_ok"] == 40
