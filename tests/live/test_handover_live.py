"""Another champion takes over while callers are served who never try again: none of them notices, through kills as well."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import clashing
import pytest
from mlflow import MlflowClient

from rig import tiny
from rig.once import once
from rig.served import Served, run
from rig.unnoticed import Unnoticed
from shadowserve.state import counters, homes, ledger
from shadowserve.state.places import Places
from shadowserve.state.shelves import shelves
from shadowserve.supervisor import visiting

pytestmark = [pytest.mark.live, pytest.mark.timeout(600)]

LABELLED = 5
QUICK = ("--lane-priority", "normal", "--no-control")


@pytest.fixture(scope="module")
def clash() -> SimpleNamespace:
    """Versions that ship modules of one name, so that whoever mixes them up answers wrongly."""
    script = str(Path(__file__).with_name("clashing.py"))
    return SimpleNamespace(
        path=once("clashing", lambda root: tiny.registered(root, script)) / "mlflow.db"
    )


@contextmanager
def served_from(tmp_path, clash, *options: str, begin: bool = True) -> Iterator[Served]:
    served = Served(tmp_path, clash, *QUICK, *options, challengers=())
    at = served.arguments.index("--model")
    served.arguments[at : at + 4] = []
    served.arguments[:0] = ["--model", "m", "--champion", "1", "--challenger", "2"]
    try:
        yield served.start() if begin else served
    finally:
        served.close()


def serve(served: Served, champion: int, challenger: int, *options: str):
    """Give the command again."""
    arguments = list(served.arguments)
    arguments[3], arguments[5] = str(champion), str(challenger)
    return run("serve", *arguments, *options, timeout_s=300)


def balance(served: Served) -> int:
    """See that the counts of every deployment balance; return how many requests were answered in all."""
    n = 0
    for shelf in shelves(Places(served.state)):
        if shelf.deployment is not None:
            found = ledger.read(shelf.places, shelf.deployment)
            assert found.balanced, found.to_dict()
            n += found.champion.answered
    return n


def test_callers_notice_nothing_when_versions_take_over_and_back(tmp_path, clash):
    """Nor is anything lost of what is kept, and labels find their requests in whichever deployment answered them."""
    with served_from(tmp_path, clash, "--warm-former", "1h", "--keep-journal", "1h") as served:
        with Unnoticed(served.facts["port"], rate=40, idle_s=(2.0, 9.0)) as callers:
            callers.until_served_by("m/1")
            for n in range(LABELLED):
                named = {"X-Request-ID": f"old-{n}"}
                asked = {"dataframe_records": [{"a": 1.5}]}
                served.client.post(f"{served.url}/invocations", json=asked, headers=named)
            done = serve(served, 2, 1)
            assert done.returncode == 0, done.stderr
            callers.until_served_by("m/2")
            assert served.lane(1)["state"] in ("starting", "running")
            broken = serve(served, clashing.BROKEN, 1)
            assert broken.returncode == 3
            assert "does not take over" in broken.stderr
            done = serve(served, 1, 2)  # warm: nothing is loaded
            assert done.returncode == 0, done.stderr
            callers.until_served_by("m/1")
            done = serve(served, 1, 2, "--restart")
            assert done.returncode == 0, done.stderr
        assert callers.failed == []
        assert callers.wrong == []
        assert callers.closed_idle == 0
        assert set(callers.versions) == {"m/1", "m/2"}
        assert balance(served) == len(callers.calls) + LABELLED
        told = [shelf.state for shelf in shelves(Places(served.state))]
        assert told == ["serving", "archived", "archived"]
        labels = tmp_path / "labels.csv"
        labels.write_text("request_id,label\n" + "".join(f"old-{n},1.5\n" for n in range(LABELLED)))
        taken = json.loads(
            run("labels", str(labels), "--json", "--state-dir", str(served.state)).stdout
        )
        assert (taken["accepted"], taken["earlier"]["n"], taken["unknown"]["n"]) == (
            LABELLED,
            LABELLED,
            0,
        )
        assert served.stop() == 0
    kept = run("journal", "verify", "--json", "--state-dir", str(served.state))
    assert kept.returncode == 0, kept.stdout
    assert json.loads(kept.stdout)["requests"] == len(callers.calls) + LABELLED
    assert json.loads(kept.stdout)["gaps"] == []


def test_the_version_that_the_alias_stands_for_takes_over_and_the_way_back_is_short(
    tmp_path, clash
):
    with served_from(
        tmp_path, clash, "--follow", "--keep-former", "--warm-former", "1h", begin=False
    ) as served:
        client = MlflowClient(f"sqlite:///{served.store}", f"sqlite:///{served.store}")

        def move(number: int) -> None:
            client.set_registered_model_alias("m", "champion", str(number))
            visiting.ask(Places(served.state), {"ask": "look"}, tell=print)

        client.set_registered_model_alias("m", "champion", "1")
        served.arguments[3] = "@champion"
        served.start()
        with Unnoticed(served.facts["port"], rate=40, idle_s=(2.0, 9.0)) as callers:
            callers.until_served_by("m/1")
            move(2)
            callers.until_served_by("m/2")
            move(1)  # at once, while the former deployment is brought to its end
            callers.until_served_by("m/1")
            gone = served.client.get(f"{served.url}/v2/models/m/versions/2/ready")
            assert gone.status_code == 410
            served.until(lambda: state(served) == "done", "it to be done")
            move(clashing.BROKEN)
            served.until(lambda: state(served) == "refused", "it to be refused")
            assert callers.versions.keys() == {"m/1", "m/2"}
        assert callers.failed == []
        assert callers.wrong == []
        assert [(one["role"], one["version"]) for one in served.ledger()["lanes"]] == [
            ("challenger", 2)
        ]
        assert balance(served) == len(callers.calls)


@pytest.mark.parametrize("victim", ["supervisor", "coming", "going", "in service"])
def test_after_a_kill_in_the_middle_one_version_answers_and_all_counts_balance(
    tmp_path, clash, victim
):
    with served_from(tmp_path, clash) as served:
        with Unnoticed(served.facts["port"], rate=40, idle_s=(2.0, 9.0)) as callers:
            callers.until_served_by("m/1")
            command = threading.Thread(target=serve, args=(served, 2, 1))
            command.start()
            struck = strike(served, victim)
            command.join()
            if victim == "supervisor":
                served.process.wait(30)
                callers.stop()
        if victim == "supervisor":
            served.start()
        elif victim == "coming":
            assert callers.failed == []
        elif victim == "going":
            assert len(callers.failed) <= 2  # in the hand of the one that was killed
        assert callers.wrong == []
        assert struck
        done = serve(served, 2, 1)
        assert done.returncode == 0, done.stderr
        with Unnoticed(served.facts["port"], rate=40) as after:
            after.until_served_by("m/2", n=40)
        assert set(after.versions) == {"m/2"}
        assert after.failed == []
        served.settled()
        balance(served)
        assert list(homes.left_behind(served.state)) == []


def strike(served: Served, victim: str) -> bool:
    """Kill somebody once the new workers have begun."""
    served.until(lambda: any(homes.left_behind(served.state)), "a deployment to be prepared")
    home = next(homes.left_behind(served.state))
    served.until(lambda: counters.read(home.counters(1)).pid, "its worker to begin")
    if victim == "coming":
        pid = counters.read(home.counters(1)).pid
    elif victim == "in service":  # it is replaced, and must not open after its successor
        pid = counters.read(Places(served.state, "").counters(0)).pid
    elif victim == "going":
        pid = counters.read(Places(served.state, "").counters(0)).pid
        served.until(lambda: state(served) == "parting", "it to part")
    else:
        pid = served.process.pid
    os.kill(pid, signal.SIGKILL)
    return True


def state(served: Served) -> str:
    return json.loads((served.state / "handover.json").read_text())["state"]
