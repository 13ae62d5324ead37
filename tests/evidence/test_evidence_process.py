"""The process itself: started as the supervisor starts it, killed, and asked to end."""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from rig import labels as labelled
from rig.evidence import (
    CHALLENGER,
    CONTROL,
    client,
    close_windows,
    deployment,
    state_directory,
)
from rig.ports import free_port
from rig.stores import fresh_store
from shadowserve.labels import take
from shadowserve.labels.owner import owning
from shadowserve.labels.store import LabelStore
from shadowserve.state.deployment import Deployment
from shadowserve.state.places import Places

pytestmark = pytest.mark.live


@contextmanager
def evidence(places: Places, served: Deployment, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The writer's process, killed at the latest when the block ends."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
    environ |= {
        "SHADOWSERVE_STATE_DIR": str(places.root),
        "SHADOWSERVE_START": served.start,
        "SHADOWSERVE_PARENT": str(os.getpid()),
    }
    with log.open("ab") as file:
        command = [sys.executable, "-m", "shadowserve.evidence"]
        process = subprocess.Popen(command, env=environ, cwd=log.parent, stdout=file, stderr=file)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def told(places: Places) -> dict:
    path = places.root / "evidence.json"
    return json.loads(path.read_text()) if path.exists() else {"state": "none", "lanes": {}}


def wait_for(condition: Callable[[], bool], seconds: float = 120.0) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it never came"
        time.sleep(0.1)


def arrived(places: Places, lane=CHALLENGER) -> int:
    return told(places)["lanes"].get(str(lane), {}).get("arrived", 0)


def steps(uri: str, served: Deployment) -> dict[str, list[int]]:
    found = client(uri).get_experiment_by_name(f"shadowserve/{served.model}")
    runs = client(uri).search_runs([found.experiment_id])
    names = [run.info.run_name for run in runs]
    assert len(set(names)) == len(names)
    return {
        run.info.run_name: [
            p.step for p in client(uri).get_metric_history(run.info.run_id, "ledger/requests")
        ]
        for run in runs
    }


def test_a_clean_stop_loses_nothing(tmp_path: Path) -> None:
    uri = fresh_store(tmp_path)
    served = deployment(uri, control=True)
    places = state_directory(tmp_path, served)
    close_windows(places, CHALLENGER, 1)
    log = tmp_path / "evidence.log"
    with evidence(places, served, log) as process:
        wait_for(lambda: arrived(places) == 1)
        assert told(places)["state"] == "shipping"
        close_windows(places, CHALLENGER, 50, n=1)
        close_windows(places, CONTROL, 3)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    found = steps(uri, served)
    assert found == {"v3 vs v4": list(range(51)), "v3 vs v3 control": [0, 1, 2]}
    assert "all closed windows have arrived" in log.read_text()
    assert "Traceback" not in log.read_text()


def test_any_number_of_kills_leaves_everything_there_once(tmp_path: Path) -> None:
    uri = fresh_store(tmp_path)
    served = deployment(uri)
    places = state_directory(tmp_path, served)
    close_windows(places, CHALLENGER, 25, n=3)
    dice = random.Random(5)
    for _ in range(3):
        with evidence(places, served, tmp_path / "evidence.log"):
            before = arrived(places)
            wait_for(lambda before=before: client_has_more(uri, served, before))
            time.sleep(dice.uniform(0.0, 0.6))
    close_windows(places, CHALLENGER, 2, n=3)
    with evidence(places, served, tmp_path / "evidence.log") as process:
        wait_for(lambda: arrived(places) == 27)
        process.send_signal(signal.SIGTERM)
        process.wait(30)
    assert steps(uri, served) == {"v3 vs v4": list(range(27))}


def client_has_more(uri: str, served: Deployment, before: int) -> bool:
    found = client(uri).get_experiment_by_name(f"shadowserve/{served.model}")
    runs = client(uri).search_runs([found.experiment_id]) if found else []
    return any(run.data.metrics for run in runs) or arrived_all(before)


def arrived_all(before: int) -> bool:
    return before >= 25


def test_it_waits_for_this_starts_deployment(tmp_path: Path) -> None:
    uri = fresh_store(tmp_path)
    served = deployment(uri)
    places = state_directory(tmp_path, served)
    with evidence(places, deployment(uri, start="a later start"), tmp_path / "log") as process:
        wait_for(lambda: heeds(process.pid, signal.SIGTERM))
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    assert not (places.root / "evidence.json").exists()


def heeds(pid: int, number: int) -> bool:
    """Tell whether a process has said what a signal is to do."""
    status = Path(f"/proc/{pid}/status").read_text()
    caught = next(line for line in status.splitlines() if line.startswith("SigCgt:"))
    return bool(int(caught.split()[1], 16) >> (number - 1) & 1)


@contextmanager
def mlflow_server(folder: Path, port: int) -> Iterator[str]:
    command = [
        sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1",
        "--backend-store-uri", f"sqlite:///{folder}/mlflow.db", "--artifacts-destination", str(folder / "artifacts"),
    ]  # fmt: skip
    with (folder / "server.log").open("ab") as file:
        process = subprocess.Popen(command, stdout=file, stderr=file, start_new_session=True)
    try:
        wait_for(lambda: reachable(port))
        yield f"http://127.0.0.1:{port}"
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def reachable(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_a_server_that_is_killed_and_comes_back_gets_everything_once(tmp_path: Path) -> None:
    fresh_store(tmp_path)
    port = free_port()
    served = deployment(f"http://ann:s3cret-word@127.0.0.1:{port}")
    places = state_directory(tmp_path, served)
    close_windows(places, CHALLENGER, 2)
    log = tmp_path / "evidence.log"
    with evidence(places, served, log) as process:
        with mlflow_server(tmp_path, port):
            wait_for(lambda: arrived(places) == 2)
        close_windows(places, CHALLENGER, 2, metrics={"income[EUR]": 1.0})
        wait_for(lambda: told(places)["state"] == "waiting")
        assert told(places)["kind"] == "sink_dead"
        assert told(places)["lanes"]["challenger v4"]["waiting"] == 2
        with mlflow_server(tmp_path, port) as uri:
            wait_for(lambda: arrived(places) == 4, 120)
            process.send_signal(signal.SIGTERM)
            process.wait(30)
            assert steps(uri, served) == {"v3 vs v4": [0, 1, 2, 3]}
            found = client(uri).get_experiment_by_name(f"shadowserve/{served.model}")
            traces = client(uri).search_traces(locations=[found.experiment_id])
            assert len(traces) == len({t.info.client_request_id for t in traces}) >= 8
            (run,) = client(uri).search_runs([found.experiment_id])
            assert len(client(uri).list_artifacts(run.info.run_id, "comparisons")) == 4
    assert "s3cret-word" not in log.read_text() + json.dumps(told(places))


def test_a_stop_while_nobody_answers_is_quick_and_says_what_waits(tmp_path: Path) -> None:
    served = deployment(f"http://127.0.0.1:{free_port()}")
    places = state_directory(tmp_path, served)
    close_windows(places, CHALLENGER, 3)
    log = tmp_path / "evidence.log"
    with evidence(places, served, log) as process:
        wait_for(lambda: told(places)["state"] == "waiting")
        process.send_signal(signal.SIGTERM)
        assert process.wait(19) == 0
    assert "3 windows have not arrived" in log.read_text()


def test_what_an_archived_deployment_left_is_delivered_too(tmp_path: Path) -> None:
    uri = fresh_store(tmp_path)
    left = deployment(uri, id="films-left")
    places = state_directory(tmp_path, left)
    close_windows(places, CHALLENGER, 2)
    from shadowserve.state import deployment as deployments

    deployments.archive(places, left)
    damaged = places.root / "archive" / "damaged"  # which must not hold up the others
    damaged.mkdir()
    (damaged / "deployment.json").write_text("{")
    served = deployment(uri, id="films-now")
    state_directory(tmp_path, served)
    with evidence(places, served, tmp_path / "log") as process:
        wait_for(lambda: told(places)["state"] == "shipping")
        process.send_signal(signal.SIGTERM)
        process.wait(30)
    found = client(uri).get_experiment_by_name(f"shadowserve/{served.model}")
    runs = client(uri).search_runs([found.experiment_id])
    requests = {r.data.tags["shadowserve.deployment"]: r.data.metrics for r in runs}
    assert set(requests) == {"films-left", "films-now"}
    assert requests["films-left"]["ledger/requests"] == 10


def test_a_stop_leaves_no_run_going_on_though_a_window_is_refused(tmp_path: Path) -> None:
    """And what waits is delivered by the next start, whatever it serves."""
    uri = fresh_store(tmp_path)
    served = deployment(uri, control=True)
    places = state_directory(tmp_path, served)
    close_windows(places, CONTROL, 1)
    close_windows(places, CHALLENGER, 1)
    part = next(places.lane(CHALLENGER.role, CHALLENGER.version).parts.glob("*.parquet"))
    (tmp_path / "mlruns").write_text("")  # where artifacts would lie
    with evidence(places, served, tmp_path / "log") as process:
        wait_for(lambda: told(places)["state"] in ("waiting", "failed"))
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    assert told(places)["lanes"]["challenger v4"]["waiting"] == 1
    assert part.exists()
    found = client(uri).get_experiment_by_name(f"shadowserve/{served.model}")
    assert {r.info.status for r in client(uri).search_runs([found.experiment_id])} == {"FINISHED"}


def test_labels_are_handed_to_the_process_which_alone_writes_their_file(tmp_path: Path) -> None:
    places, served = labelled.serve(tmp_path)
    truth, rows = labelled.answers(60)
    labelled.work(places, CHALLENGER, rows, part=True)
    given = [(n + 1, f"request-{n + 1}", label) for n, label in enumerate(truth)]

    def is_owned() -> bool:
        with owning(places) as is_ours:
            return not is_ours

    with evidence(places, served, tmp_path / "log") as process:
        wait_for(is_owned)
        taken = take(places, served, given)
        process.send_signal(signal.SIGTERM)
        process.wait(60)
    assert taken.accepted == 60
    with LabelStore(places.labels) as store:
        summary = store.summary(str(CHALLENGER))
    assert summary is not None
    assert summary["joined"] == 60
