"""A real deployment keeps what it served, whoever is killed meanwhile, and hands it out as a table."""

from __future__ import annotations

import json
import os
import signal
import subprocess

import pyarrow.parquet as pq
import pytest

from rig.served import COMMAND, Served

pytestmark = [pytest.mark.live, pytest.mark.timeout(300)]
EACH, LONG = 100, "n" * 20_000


def journal(served: Served, *arguments: str) -> dict:
    told = subprocess.run(
        [COMMAND, "journal", *arguments, "--state-dir", str(served.state), "--json"],
        capture_output=True,
        text=True,
        check=True,
        cwd=served.root,
    )
    return json.loads(told.stdout)


def test_what_was_served_is_kept_through_kills_and_stops_and_told_as_it_was(tmp_path, store):
    options = (
        "--keep-journal",
        "1h",
        "--journal-budget",
        "16MiB",
        "--max-body",
        "1MiB",
        "--no-control",
    )
    answers: dict[str, float] = {}
    with Served(tmp_path, store, *options) as served:

        def call() -> None:
            for _ in range(EACH):
                name = f"id-{len(answers)}"
                answer = served.post(LONG, x=len(answers) / 8, **{"X-Request-ID": name})
                answers[name] = answer.json()["predictions"][0]

        def archived() -> int:
            return len(list(served.state.glob("journal-archive/*/*.parquet")))

        call()
        call()
        served.until(archived, "a segment to be archived")
        first = served.titled("shadowserve archivist")
        os.kill(first, signal.SIGKILL)
        call()
        served.until(
            lambda: served.titled("shadowserve archivist") not in (0, first), "another archivist"
        )
        call()
        assert served.settled()["balanced"]
        assert served.stop() == 0
        (one,) = journal(served, "list")["deployments"]
        assert one["requests"] == len(answers)
        assert one["archived"]["segments"] >= 2
        told = journal(served, "verify")
        assert (told["requests"], told["faults"], told["gaps"]) == (len(answers), [], [])
        target = tmp_path / "out.parquet"
        told = journal(served, "export", "--to", str(target), "--log-inputs", "x")
        assert told["withheld"] == ["note"]
    table = pq.read_table(target)
    found = dict(zip(table["request_id"].to_pylist(), table["prediction"].to_pylist(), strict=True))
    assert {name: float(value) for name, value in found.items()} == answers
    assert table["input/x"].to_pylist() == [n / 8 for n in range(len(answers))]
