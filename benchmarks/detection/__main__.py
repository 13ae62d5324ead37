"""Play the failure catalogue through the real server and count what is found.

    python -m benchmarks.detection                     every row
    python -m benchmarks.detection F07 F10             some rows

Each row registers its planted fault, serves it over HTTP, sends 2,000 requests in portions of a
hundred, reads ``report.json`` after each, and compares the findings with what the catalogue expects.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.detection.expected import ROWS, Row
from models import traffic
from models.register import ensure
from rig.planted import build, requests
from shadowserve.cli.demo_traffic import DemoTraffic

ROOT = Path(__file__).resolve().parent.parent.parent
N_REQUESTS = 2_000
PORTION = 100
STORIES = ("F01", "F02")
START_S = 120.0
CATCH_UP_S = 180.0


@dataclass(slots=True)
class Played:
    """What came of one row."""

    row: Row
    found: dict[str, int] = field(default_factory=dict)
    false_alarms: set[str] = field(default_factory=set)
    statuses: dict[int, int] = field(default_factory=dict)
    balanced: bool = False
    verdict: str = ""
    seconds: float = 0.0

    @property
    def passed(self) -> bool:
        """Whether all that was expected was found, and nothing else raised an alarm."""
        wanted = {expect.name for expect in self.row.expects}
        return wanted == set(self.found) and not self.false_alarms and self.balanced


def main() -> None:
    """Play rows and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rows", nargs="*", metavar="ROW")
    parser.add_argument("--tracking-uri", help="a store of your own; by default a fresh one")
    parser.add_argument("--requests", type=int, default=N_REQUESTS)
    parser.add_argument("--portion", type=int, default=PORTION, help="requests between two looks")
    asked = parser.parse_args()
    wanted = asked.rows or list(ROWS)
    with tempfile.TemporaryDirectory(prefix="detection-") as folder:
        uri = asked.tracking_uri or f"sqlite:///{folder}/mlflow.db"
        print(
            "| row | found (requests needed) | missed | false alarms | verdict | ledger | s |\n|---|---|---|---|---|---|---|",
            flush=True,
        )
        played = []
        for row_id in wanted:
            one = play(
                ROWS[row_id], uri, Path(folder) / row_id, n=asked.requests, portion=asked.portion
            )
            played.append(one)
            print(line(one), flush=True)
    found = [n for one in played for n in one.found.values()]
    passed = sum(one.passed for one in played)
    middle = statistics.median(found) if found else float("nan")
    print(
        f"\n{passed} of {len(played)} rows as the catalogue says; median {middle:g} requests to a finding."
    )


def line(one: Played) -> str:
    """Return a row of the table."""
    found = ", ".join(f"{name} ({n})" for name, n in one.found.items())
    missed = ", ".join(e.name for e in one.row.expects if e.name not in one.found)
    alarms = ", ".join(sorted(one.false_alarms))
    ledger = "balanced" if one.balanced else "NOT balanced"
    return f"| {one.row.id} | {found} | {missed} | {alarms} | {one.verdict} | {ledger} | {one.seconds:.0f} |"


def play(row: Row, uri: str, folder: Path, *, n: int, portion: int = PORTION) -> Played:
    """Play one row and return what was found."""
    started = time.monotonic()
    model, champion, challenger = build_row(row.id, uri)
    folder.mkdir(parents=True, exist_ok=True)
    one = Played(row)
    records = list(traffic.films(n) if row.id in STORIES else requests(row.id, n))
    truth = [label for _, label in traffic.labelled_likes(n)] if row.labelled else []
    with serving(model, champion, challenger, uri, folder, row.options) as facts:
        data, console = int(facts["port"]), int(facts["console_port"])
        for start in range(0, n, portion):
            if row.labelled:
                send_named(data, records[start : start + portion], first=start)
                continue
            replay = DemoTraffic(
                "127.0.0.1", data, records[start : start + portion], sent=lambda: None
            )
            replay.start()
            while not replay.finished:
                time.sleep(0.02)
            for status, count in replay.statuses.items():
                one.statuses[status] = one.statuses.get(status, 0) + count
            if row.rate:
                continue
            report = caught_up(console, seconds=CATCH_UP_S)
            judge(one, report, sent=start + portion)
        report = caught_up(console, seconds=CATCH_UP_S)
        if row.labelled:
            post_labels(console, truth)
            report = get(console, "/report.json")
            print(json.dumps(report["judgement"]["reasons"], indent=1), file=sys.stderr)
        judge(one, report, sent=n)
        one.balanced, one.verdict = report["ledger"]["balanced"], report["verdict"]
    one.seconds = time.monotonic() - started
    return one


def send_named(port: int, records: list[dict[str, Any]], *, first: int) -> None:
    """Send requests whose ids say which they are, so that labels can follow."""
    for number, record in enumerate(records, start=first):
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}/invocations",
            data=json.dumps({"dataframe_records": [record]}).encode(),
            headers={"Content-Type": "application/json", "X-Request-ID": f"request-{number}"},
        )
        urllib.request.urlopen(request, timeout=60).close()


def post_labels(console: int, truth: list[int]) -> None:
    """Tell what turned out to be true of every request."""
    told = [{"request_id": f"request-{i}", "label": label} for i, label in enumerate(truth)]
    request = urllib.request.Request(
        f"http://127.0.0.1:{console}/labels",
        data=json.dumps(told).encode(),
        headers={"Content-Type": "application/json"},
    )
    urllib.request.urlopen(request, timeout=60).close()


def build_row(row_id: str, uri: str) -> tuple[str, int, int]:
    """Register a row's versions and return model, champion and challenger."""
    if row_id in STORIES:
        ensure(uri, models=("films",))
        return "films", 3, 4
    return build(row_id, uri)


def judge(one: Played, report: dict[str, Any], *, sent: int) -> None:
    """Note which expectations hold for the first time, and alarms that nothing explains."""
    for expect in one.row.expects:
        if expect.name not in one.found and expect.holds(report):
            one.found[expect.name] = sent
    for finding in report["findings"]:
        alarm = finding["severity"] in ("warning", "critical")
        if alarm and not one.row.allows(finding):
            if finding["kind"] not in one.false_alarms:
                print(f"{one.row.id}, {sent} requests: {finding}", file=sys.stderr)
            one.false_alarms.add(finding["kind"])


def caught_up(console: int, *, seconds: float) -> dict[str, Any]:
    """Wait until every working lane has scored the journal, and return the report."""
    until = time.monotonic() + seconds
    while True:
        lanes = get(console, "/status.json")["lanes"]  # the report would cost the lanes' CPU
        waiting = sum(lane["pending"] for lane in lanes if lane["state"] in ("running", "starting"))
        if not waiting or time.monotonic() > until:
            return get(console, "/report.json")
        time.sleep(0.2)


def get(port: int, path: str) -> dict[str, Any]:
    """Read JSON from the control plane."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=60) as answer:
        told: dict[str, Any] = json.load(answer)
    return told


@contextmanager
def serving(
    model: str, champion: int, challenger: int, uri: str, folder: Path, options: tuple[str, ...]
) -> Iterator[dict[str, Any]]:
    """Serve a row for the length of a block and give the supervisor's facts."""
    command = [
        sys.executable, "-m", "shadowserve.cli", "serve", "--model", model, "--champion", f"v{champion}",
        "--challenger", f"v{challenger}", "--port", "0", "--console-port", "0",
        "--state-dir", str(folder / "state"), "--tracking-uri", uri, *options,
    ]  # fmt: skip
    log = (folder / "serve.log").open("wb")
    process = subprocess.Popen(command, cwd=ROOT, stderr=log, stdout=log, env={**os.environ})
    try:
        until = time.monotonic() + START_S
        while b"Lanes " not in (folder / "serve.log").read_bytes():
            if process.poll() is not None or time.monotonic() > until:
                raise RuntimeError((folder / "serve.log").read_text())
            time.sleep(0.2)
        yield json.loads((folder / "state" / "supervisor.json").read_text())
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(90)
        except subprocess.TimeoutExpired:
            process.kill()
        log.close()


if __name__ == "__main__":
    main()
