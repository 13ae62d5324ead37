"""Workers, the supervisor, or all of them die: callers fail at once, and every count survives."""

from __future__ import annotations

import os
import signal
import socket
import time

import httpx
import psutil
import pytest

from rig import tiny
from rig.served import Load, Served

pytestmark = [
    pytest.mark.live,
    pytest.mark.timeout(900),
    pytest.mark.filterwarnings("ignore"),  # sockets of killed servers, and MLflow's own
]


@pytest.fixture(scope="module")
def served(tmp_path_factory, store):
    with Served(tmp_path_factory.mktemp("dying"), store) as deployment:
        yield deployment


def ready(served) -> bool:
    try:
        return served.client.get(f"{served.url}/readyz", timeout=2).status_code == 200
    except httpx.HTTPError:
        return False


def test_a_killed_worker_is_replaced_and_fails_only_what_it_had_in_hand(served):
    """SS-030: bounded failures, readyz false meanwhile, recovery without a restart."""
    served.settled()
    pid = served.worker_pid()
    seen = set()
    with Load(served, callers=4, pause_s=0.005) as load:
        served.until(lambda: load.n > 50, "traffic")
        os.kill(pid, signal.SIGKILL)
        until = time.monotonic() + 60
        while served.worker_pid() in (0, pid) or not ready(served):
            health = served.client.get(f"{served.url}/livez")
            seen.add(("livez", health.status_code))
            seen.add(("readyz", ready(served)))
            assert time.monotonic() < until
            time.sleep(0.02)
        n = load.told["200"]
        served.until(lambda: load.told["200"] > n + 50, "answers again")
    assert ("readyz", False) in seen
    assert load.wrong == 0
    broken = sum(n for told, n in load.told.items() if told not in ("200", "503"))
    assert broken <= 4, load.told  # one for each caller
    assert load.told["503"] > 0
    told = served.settled()
    assert told["balanced"]
    assert told["journal"]["append_failed"] == 0
    assert served.process.poll() is None


def test_what_was_answered_is_in_the_journal_through_kills_of_the_worker(served):
    """Laws 2 and 3: the counts reconcile with the journal exactly, also where a worker ends in order."""
    before = served.settled()
    told_200 = 0
    for number in (signal.SIGKILL, signal.SIGTERM, signal.SIGKILL, signal.SIGTERM):
        pid = served.worker_pid()
        with Load(served, callers=3) as load:
            served.until(lambda load=load: load.n > 100, "traffic")
            os.kill(pid, number)
        told_200 += load.told["200"]
        served.until(lambda pid=pid: served.worker_pid() != pid and ready(served), "a new worker")
    after = served.settled()
    answered = after["champion"]["answered"] - before["champion"]["answered"]
    # What a worker answered in its last instant may have been lost on its way to the caller.
    assert told_200 <= answered <= told_200 + 4 * 3
    assert after["balanced"]


def test_killing_everything_loses_nothing_and_a_restart_goes_on(served):
    """The whole group is killed; lanes resume at their cursors, nothing is counted twice."""
    n = 300
    for i in range(n):
        assert served.post(x=i / 100).status_code == 200
        if i == 150:
            served.settled()
    before = served.ledger()
    ports = served.facts
    below = served.processes()
    served.process.kill()
    served.process.wait()
    _gone, alive = psutil.wait_procs(below, timeout=5)
    assert not alive
    for port in (ports["port"], ports["console_port"]):
        with socket.socket() as probe:
            assert probe.connect_ex(("127.0.0.1", port)) != 0
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
    served.start()
    after = served.settled()
    assert after["balanced"]
    assert after["deployment"] == before["deployment"]
    assert after["journal"]["appended"] == before["journal"]["appended"]
    assert "(resumed)" in served.said()
    for lane in after["lanes"]:
        assert lane["both_ok"] + lane["sampled_out"] == after["journal"]["appended"]


def test_what_a_model_had_started_frees_memory_and_port_too(tmp_path, store):
    """Forked from a worker it holds the port, and it is nobody's child once the worker is killed."""
    with Served(tmp_path, store, "--no-control", champion=tiny.BURNING, challengers=()) as served:
        for end in (signal.SIGKILL, signal.SIGTERM):
            if served.process.poll() is not None:
                served.start()
            assert served.post("fork").status_code == 200
            port, below = served.facts["port"], served.processes()
            forked = [one for one in below if one.ppid() == served.worker_pid()]
            assert forked
            served.process.send_signal(end)
            served.process.wait(60)
            assert not psutil.wait_procs(below, timeout=5)[1]
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(("127.0.0.1", port))


def test_evidence_of_the_killed_deployment_is_there_once(served):
    """One run a lane, through all those deaths (SS-059)."""
    import mlflow

    served.settled()
    uri = f"sqlite:///{served.store}"
    client = mlflow.MlflowClient(uri, uri)

    def runs():
        experiment = client.get_experiment_by_name("shadowserve/tiny")
        return client.search_runs([experiment.experiment_id]) if experiment else []

    served.until(lambda: len(runs()) == 2, "the lanes' runs")
    assert sorted(run.info.run_name for run in runs()) == ["v1 vs v1 control", "v1 vs v8"]


def test_a_stop_drains_and_says_so(served):
    """SIGTERM: requests end, lanes catch up, exit code 0, nothing left."""
    with Load(served, callers=4) as load:
        served.until(lambda: load.n > 50, "traffic")
        below = served.processes()
        served.process.send_signal(signal.SIGTERM)
        served.until(lambda: served.process.poll() is not None, "the end")
    assert served.process.returncode == 0
    assert load.wrong == 0
    assert not psutil.wait_procs(below, timeout=1)[1]
    assert "Stopping" in served.said()
    assert "Traceback" not in served.said()
    assert not (served.state / "supervisor.json").exists()


def test_two_quick_interrupts_are_fine(served):
    """SS-112: no trace, the documented exit code; a pause outlives a stop, and is told."""
    (served.state / "paused").touch()
    served.start()
    assert "Paused  " in served.said()
    (served.state / "paused").unlink()
    with Load(served, callers=2):
        time.sleep(0.5)
        served.process.send_signal(signal.SIGINT)
        time.sleep(0.1)
        served.process.send_signal(signal.SIGINT)
        assert served.process.wait(60) == 0
    assert "Traceback" not in served.said()


def test_starts_and_stops_leave_nothing_behind(tmp_path, store):
    """SS-113: no process, port, socket or temporary file, also where a terminal hung up."""
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    served = Served(tmp_path, store, "--no-control", environ={"TMPDIR": str(temporary)})
    for end in (signal.SIGHUP, signal.SIGTERM):
        served.start()
        assert served.post().status_code == 200
        assert any(inherits(process, temporary) for process in psutil.process_iter())
        assert served.stop(end) == 0
        assert list(temporary.iterdir()) == []
        assert not [process for process in psutil.process_iter() if inherits(process, temporary)]
    assert not [p for p in psutil.process_iter(["cmdline"]) if mentions(p, served.state)]
    run = [path.name for path in (served.state / "run").iterdir() if path.suffix != ".db"]
    assert run in ([], ["bentoml"])
    served.close()


def inherits(process: psutil.Process, temporary) -> bool:
    """Tell whether a process belongs to the deployment that was given this temporary directory."""
    try:
        return process.environ().get("TMPDIR") == str(temporary)
    except psutil.Error:
        return False


def mentions(process: psutil.Process, state) -> bool:
    return any(str(state) in word for word in process.info["cmdline"] or ())


def test_three_at_once_start_beside_each_other(tmp_path, store):
    """SS-117: no races on shared directories."""
    home = {"HOME": str(tmp_path), "BENTOML_HOME": str(tmp_path / "bentoml")}
    several = [
        Served(tmp_path / str(i), store, "--no-control", challengers=(), environ=home)
        for i in range(3)
    ]
    try:
        for one in several:
            one.start(wait=False)
        for one in several:
            one.until(lambda one=one: "Ready  " in one.said(), "a start")
            assert one.post().status_code == 200
    finally:
        for one in several:
            one.close()


def test_an_alias_is_resolved_once(tmp_path, store):
    """An alias that moves changes nothing that runs."""
    import mlflow

    served = Served(tmp_path, store, "--no-control", challengers=())
    served.arguments[served.arguments.index("--champion") + 1] = "@production"
    with served:
        uri = f"sqlite:///{served.store}"
        mlflow.MlflowClient(uri, uri).set_registered_model_alias("tiny", "production", "8")
        assert served.post().headers["x-shadowserve-model"] == f"tiny/{tiny.CHAMPION}"
        os.kill(served.worker_pid(), signal.SIGKILL)
        served.until(lambda: ready(served), "a new worker")
        assert served.post().headers["x-shadowserve-model"] == f"tiny/{tiny.CHAMPION}"
