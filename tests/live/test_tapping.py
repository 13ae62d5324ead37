"""A server that is not replaced gets a shadow: ledger, divergence, report and verdict."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from rig import tiny
from rig.ports import free_port
from rig.served import Served

pytestmark = pytest.mark.live

N = 300


@pytest.fixture(scope="module")
def tapping(tmp_path_factory, store):
    served = Served(tmp_path_factory.mktemp("tap"), store, "--tap")
    served.arguments = without_port(served.arguments)
    with served:
        yield served


def without_port(arguments):
    """Take away ``--port 0``, which is the data plane's."""
    at = arguments.index("--port")
    return [*arguments[:at], *arguments[at + 2 :]]


@contextmanager
def app(served, version):
    """The team's own app, answering with a version of tiny."""
    port = free_port()
    tap = f"{served.console}/tap"
    arguments = (str(port), tap, f"models:/tiny/{version}", f"sqlite:///{served.store}")
    with (served.root / "app.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("tapped_app.py")), *arguments],
            cwd=served.root,
            env=os.environ,
            stdout=log,
            stderr=log,
        )
    url = f"http://127.0.0.1:{port}"
    try:
        served.until(lambda: answers(url), "the app to answer", seconds=60)
        yield url
    finally:
        process.terminate()
        process.wait(20)


def answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/openapi.json", trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False


def appended(served) -> int:
    return served.ledger()["journal"]["appended"]


def test_there_is_no_data_plane(tapping):
    assert tapping.facts["port"] is None
    assert tapping.client.get(f"{tapping.console}/readyz").status_code == 200
    assert "Data plane     none" in tapping.said()
    assert "/tap" in tapping.said()


def test_a_tapped_server_gets_ledger_report_and_verdict(tapping):
    """The app answers with v1, as told: the control agrees with it, and v8 is judged."""
    before = appended(tapping)
    with app(tapping, tiny.CHAMPION) as url, httpx.Client(trust_env=False) as client:
        for i in range(N):
            body = {"dataframe_records": [tiny.row(i % 7 - 3.0, "n" * (1 + i % 5))]}
            told = client.post(f"{url}/invocations", json=body, headers={"x-request-id": f"r{i}"})
            assert told.status_code == 200
            assert client.post(f"{url}/price", json=tiny.row(i / N)).status_code == 200
        for item in (tiny.row(1.0, "broken"), {"note": "n"}):  # uvicorn closes the connection
            failed = httpx.post(f"{url}/price", json=item, trust_env=False)
            assert failed.status_code == 500
        tapping.until(lambda: appended(tapping) == before + 2 * N + 1, "all copies to arrive")
    ledger = tapping.settled()
    assert ledger["balanced"]
    assert ledger["champion"]["failed"] == 1
    assert ledger["champion"]["rejected"] == 1  # what the signature refuses is no model's failure
    assert tapping.lane(tiny.BETTER)["champion_error"] == 1
    assert ledger["champion"]["answered"] == before + 2 * N
    report = tapping.report()
    assert report["verdict"] in ("promote", "continue")
    assert report["compared"] == 2 * N
    assert report["latency"]["champion"]["p50_ms"] > 0
    assert report["divergence"]["noise_floor"] == 0
    assert not [f for f in report["findings"] if f["where"]["role"] == "control"]


def test_a_server_that_answers_with_another_version_is_found_out(tmp_path, store):
    """The app answers otherwise than v1, and the report says so instead of promoting anything."""
    served = Served(tmp_path, store, "--tap")
    served.arguments = without_port(served.arguments)
    with served:
        records = [
            json.dumps(
                {
                    "request": {"dataframe_records": [tiny.row(i % 7 - 3.0, "n" * (1 + i % 5))]},
                    "answer": {"predictions": [7.0 * i]},
                    "latency_ms": 3.0,
                }
            )
            for i in range(N)
        ]
        head = {"content-type": "application/x-ndjson"}
        told = served.client.post(f"{served.console}/tap", content="\n".join(records), headers=head)
        assert told.status_code == 202
        assert told.json()["appended"] == N
        served.settled()
        found = served.findings("prediction_divergence")
        assert [f for f in found if f["where"]["role"] == "control"]
        assert served.report()["verdict"] == "continue"
        assert served.stop() == 0
