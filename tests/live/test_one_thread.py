"""What a model leaves on the thread that loaded it is there when it scores, in every role."""

from __future__ import annotations

import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from threadbound import EXPECTED

from rig.served import Served, run
from rig.tiny import registered
from shadowserve.state import counters

pytestmark = [
    pytest.mark.live,
    pytest.mark.filterwarnings("ignore"),  # MLflow's and its dependencies' own
]
N = 20


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    script = str(Path(__file__).with_name("threadbound.py"))
    return registered(tmp_path_factory.mktemp("threadbound"), script)


@pytest.fixture(scope="module")
def served(tmp_path_factory, store):
    root = tmp_path_factory.mktemp("one-thread")
    with Served(root, store, "--model", "m", "--no-control", challengers=()) as deployment:
        yield deployment


def ask(served, pause_s):
    body = {"dataframe_records": [{"pause": pause_s}]}
    return served.client.post(f"{served.url}/invocations", json=body)


def test_a_champion_finds_on_its_thread_what_it_left_there_when_it_was_loaded(served):
    for _ in range(N):
        told = ask(served, 0.0)
        assert told.status_code == 200, told.text
        assert told.json()["predictions"] == [EXPECTED]


def test_check_tries_a_version_where_it_will_score(store):
    """On the main thread too, like a lane; what passes here does not fail after the switch."""
    asked = ("--model", "m", "--champion", "1", "--challenger", "2", "--tracking-uri", store.uri)
    told = run("check", *asked)
    assert told.returncode == 0, told.stdout + told.stderr


def test_a_stop_is_heard_while_a_call_holds_the_main_thread_and_the_caller_gets_the_answer(served):
    """Even where the model has set a handler of its own."""
    with ThreadPoolExecutor(1) as pool:
        pending = pool.submit(ask, served, 2.0)
        path = served.state / "counters" / "0.bin"
        served.until(lambda: counters.read(path).busy_ns, "the call")
        assert served.stop(signal.SIGTERM) == 0
        told = pending.result()
    assert (told.status_code, told.json()["predictions"]) == (200, [EXPECTED])
