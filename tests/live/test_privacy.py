"""Values stay home: a marker in every column and error path is found in the journal and nowhere else."""

from __future__ import annotations

import json
import os
import re
import signal
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from rig import tiny
from rig.served import Served

pytestmark = [
    pytest.mark.live,
    pytest.mark.timeout(900),
    pytest.mark.filterwarnings("ignore"),  # sockets of killed servers, and MLflow's own
]

MARKER = "ZQMARKQZ"
NUMBER = 98765.4321987
JSON = {"content-type": "application/json"}


def traces(value: float) -> list[bytes]:
    return [repr(value).encode(), struct.pack("<d", value), struct.pack(">d", value)]


NEEDLES = [MARKER.encode(), *traces(NUMBER)]


def bad_bodies() -> Iterator[tuple[str, bytes, dict[str, str]]]:
    """Every way to be refused with the marker in it."""
    good = tiny.row(NUMBER, MARKER)
    for records in (
        [{**good, "x": MARKER}],
        [{**good, "note": NUMBER}],
        [{"x": MARKER}],
        [{"note": MARKER}],
        [{**good, "x": [MARKER]}],
        [{**good, "note": {MARKER: MARKER}}],
        [good, MARKER],
        MARKER,
        [{**good, "x": True}],
        [{**good, "x": "1" * 400 + MARKER}],
    ):
        for key in ("dataframe_records", "inputs", "instances", MARKER):
            yield "/invocations", json.dumps({key: records}).encode(), JSON
        yield "/predict", json.dumps({"rows": records}).encode(), JSON
    split = {"columns": ["x", "note"], "data": [[MARKER, NUMBER], [MARKER]]}
    yield "/invocations", json.dumps({"dataframe_split": split}).encode(), JSON
    yield "/invocations", f'{{"dataframe_records": [{MARKER}'.encode(), JSON
    yield "/invocations", MARKER.encode(), JSON
    yield "/invocations", f"x,note\n{MARKER},{MARKER}".encode(), {"content-type": "text/csv"}
    yield "/invocations", f"{MARKER}\n1".encode(), {"content-type": "text/csv"}
    yield "/invocations", MARKER.encode(), {"content-type": "text/plain"}
    yield "/invocations", MARKER.encode() * 200_000, JSON
    yield "/predict", MARKER.encode(), JSON
    for data in ([MARKER], [[MARKER]], MARKER, [None]):
        inputs = [
            {"name": "x", "datatype": "FP64", "shape": [1], "data": data},
            {"name": "note", "datatype": "BYTES", "shape": [1], "data": data},
        ]
        yield "/v2/models/tiny/infer", json.dumps({"inputs": inputs}).encode(), JSON
    params = {"dataframe_records": [good], "params": {MARKER: MARKER}}
    yield "/invocations", json.dumps(params).encode(), JSON


@pytest.fixture(scope="module")
def places(tmp_path_factory, store) -> dict[str, bytes]:
    """Everything that a deployment said and wrote: by name, the content."""
    tmp_path = tmp_path_factory.mktemp("privacy")
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    challengers = (tiny.TRICKY, tiny.WANTING)
    served = Served(
        tmp_path / "deployment",
        store,
        "--max-body", "1MiB",
        champion=tiny.TALKING,
        challengers=challengers,
        environ={"TMPDIR": str(temporary)},
    )  # fmt: skip
    told: dict[str, bytes] = {}
    with served:
        for i, (path, body, headers) in enumerate(bad_bodies()):
            response = served.client.post(served.url + path, content=body, headers=headers)
            told[f"{i} {path} {response.status_code}"] = response.content
            assert response.status_code in (200, 400, 413, 415, 500), response.text
        for i in range(120):
            word = ("", "raise", "chain", "tell", "exit")[i % 5 if i < 20 else 0]
            response = served.post(f"{MARKER}{word}", x=NUMBER)
            told[f"scored {i} {response.status_code}"] = response.content
        told |= {f"running: {name}": content for name, content in files(served.root)}
        served.settled()
        os.kill(served.worker_pid(), signal.SIGKILL)
        os.kill(served.lane_pid(tiny.TRICKY), signal.SIGKILL)
        served.until(lambda: served.post().status_code == 200, "a new worker")
        served.settled()
        for path in ("status.json", "report.json?challenger=2", "?challenger=2", "livez"):
            told[f"console {path}"] = served.client.get(f"{served.console}/{path}").content
        told["metrics"] = served.client.get(f"{served.url}/metrics").content
        assert served.stop() == 0
    assert any(name.endswith("500") for name in told)
    return {**told, **dict(files(served.root)), **dict(files(temporary))}


def holding(places: dict[str, bytes]) -> list[str]:
    return [name for name, content in places.items() if any(n in content for n in NEEDLES)]


def journaled(name: str) -> bool:
    """Whether a file holds whole requests: the journal, and old requests that a lane keeps."""
    return "/journal/" in name or Path(name).name.startswith("kept.db")


def test_a_marker_is_found_nowhere_but_with_the_journal(places):
    """SS-119, law 8: HTTP errors, logs, reports, console, MLflow, parts and temporary files.

    Lanes' own state files too, while they run and after; the journal alone is left out.
    """
    searched = sorted({kind(name) for name in places})
    print("Searched for the marker:", *searched, sep="\n  ")
    assert {"champion-0.log", "evidence.log", "mlflow.db"} <= {Path(name).name for name in places}
    assert [name for name in holding(places) if not journaled(name)] == []
    assert any("/journal/" in name for name in holding(places)), "the marker can be found"


def files(root: Path) -> Iterator[tuple[str, bytes]]:
    """Yield every file, a compressed one as what it says."""
    import pyarrow.parquet as pq

    for path in root.rglob("*"):
        if path.is_file() and "models" not in path.parts:
            try:
                content = path.read_bytes()
            except FileNotFoundError:  # a draft, or a segment that was read by all
                continue
            if path.suffix == ".parquet":
                content += repr(pq.read_table(path).to_pylist()).encode()
            yield str(path), content


def kind(name: str) -> str:
    """Return a place without what differs from run to run: numbers and ids."""
    return re.sub(r"[0-9a-f]{8,}|\d+", "#", name.partition("/deployment/")[2] or name)


def test_hashed_and_dropped_columns_stay_home_whatever_may_be_shown(tmp_path, store):
    """Slices, errors and a poisonous request carry values: with `--log-inputs all`, of others only."""
    import pyarrow.parquet as pq

    options = ("--log-inputs", "all", "--hash-inputs", "note", "--drop-inputs", "x", "--no-control")
    served = Served(tmp_path, store, *options, challengers=(tiny.TRICKY,))
    told: dict[str, bytes] = {}
    with served:
        for i in range(400):
            word = "exit" if i == 300 else "raise" if i % 29 == 0 else ""
            note = f"{MARKER}{'abcde'[i % 5]}{word}"
            assert served.post(note, x=(NUMBER, -NUMBER)[i % 2]).status_code == 200
        served.settled()
        for path in ("report.json", "status.json", ""):
            told[f"console /{path}"] = served.client.get(f"{served.console}/{path}").content
        assert served.stop() == 0
    assert {"error_rate", "poison_request"} <= {
        finding["kind"] for finding in json.loads(told["console /report.json"])["findings"]
    }
    needles = [*NEEDLES, *traces(-NUMBER)]
    told |= dict(files(served.root))
    assert [
        name
        for name, content in told.items()
        if not journaled(name) and any(needle in content for needle in needles)
    ] == []
    (part, *_) = served.state.rglob("*.parquet")
    sizes = [dict(row["sizes"]) for row in pq.read_table(part, columns=["sizes"]).to_pylist()]
    assert {name for row in sizes for name in row} == {"note"}


def test_what_is_written_is_readable_by_its_owner_only(tmp_path, store):
    with Served(tmp_path, store, "--no-control") as served:
        served.post()
        served.settled()
        assert served.stop() == 0
    open_to_others = [
        path
        for path in (served.state, *served.state.rglob("*"))
        if path.stat().st_mode & 0o077 and "models" not in path.parts and "run" not in path.parts
        and not path.is_dir()
    ]  # fmt: skip
    assert not open_to_others
    assert served.state.stat().st_mode & 0o077 == 0
