"""`watch`: the deployment at a glance, in a terminal of any width, in a pipe, running or stopped."""

from __future__ import annotations

import fcntl
import io
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from functools import partial

import pytest
from click.testing import CliRunner
from rich.console import Console

from rig.printed import printed
from rig.report import finding, report
from shadowserve.cli import main
from shadowserve.cli.glance import Glance, now, texts
from shadowserve.cli.watching import _show_once
from shadowserve.state import deployment as deployments
from shadowserve.state import ledger

# As often as asked for, whatever share of a CPU a look takes.
OFTEN = "from shadowserve.cli import main, watching; watching.SHARE = 1.0; main()"
COMMAND = [sys.executable, "-c", OFTEN, "watch"]
HOME = b"\x1b[H"


@pytest.fixture(scope="module")
def scored(differing):
    return differing, deployments.read(differing)


def once(places, *words: str):
    return CliRunner().invoke(main, ["watch", "--once", "--state-dir", str(places.root), *words])


def glance(scored, told: dict | None = None, trouble: str = "") -> Glance:
    return Glance(ledger.read(*scored).to_status(served=True), told, trouble, now())


def test_once_shows_verdict_limits_findings_traffic_coverage_lanes_and_evidence(scored):
    told = once(scored[0])
    assert told.exit_code == 0, told.output
    for words in (
        "films v3 beside v4", "reject", "stopped: this is how it was at the end", "disagreement", "broken",
        "critical prediction_divergence", "420 answers", "420 of 420 requests compared", "challenger v4",
        "control v3", "0 pending", "evidence",
    ):  # fmt: skip
        assert words in told.stdout, words


def test_what_does_not_fit_goes_on_below_where_it_began(scored):
    out = Console(width=40, file=io.StringIO(), color_system=None)
    told = report(findings=[finding(id="0123abcd", message="word " * 30, accepted=None)])
    _show_once(glance(scored, told), out)
    lines = out.file.getvalue().splitlines()
    assert max(map(len, lines)) <= 40
    assert not [line for line in lines if line != line.rstrip()]
    folded = [line for line in lines if line.strip().startswith("word")]
    assert len(folded) > 3
    assert {len(line) - len(line.lstrip()) for line in folded} == {4}


def test_a_version_that_is_not_served_is_refused(scored):
    assert once(scored[0], "--challenger", "v9").exit_code == 2
    told = CliRunner().invoke(
        main, ["watch", "--interval", "soon", "--state-dir", str(scored[0].root)]
    )
    assert (told.exit_code, "--interval:" in told.stderr) == (2, True)


def test_where_nothing_was_served_it_says_so(tmp_path):
    (tmp_path / "none").mkdir()
    told = CliRunner().invoke(main, ["watch", "--state-dir", str(tmp_path / "none")])
    assert told.exit_code == 4


def test_names_of_others_are_text(scored):
    told = report(model="m")
    hostile = "[bold]x[/] \x1b[2J \u202e"
    told["findings"] = [finding(id="0123abcd", message=hostile, accepted=None)]
    told["findings"][0]["where"] |= {"step": hostile}
    told["judgement"]["limits"][0]["says"] = hostile
    lines = list(glance(scored, told, trouble=hostile).lines(findings=5))
    shown = printed(lambda out: [out.print(text) for text in texts(lines)])
    assert "[bold]x[/]" in shown
    for text in (shown, glance(scored, told, trouble=hostile).line()):
        assert not {"\x1b", "\u202e"} & set(text)


def test_of_many_findings_as_many_are_shown_as_there_is_room_for(scored):
    told = report(findings=[finding(id=f"{n:08x}", accepted=None) for n in range(30)])
    shown = "\n".join(text.plain for text in texts(list(glance(scored, told).lines(findings=4))))
    assert "00000003" in shown
    assert "00000004" not in shown
    assert "and 26 more: 'shadowserve findings'" in shown


def test_a_line_is_news_where_something_happened_and_not_where_counts_grew(scored):
    told = report(findings=[finding(id="0123abcd", accepted=None)])
    before = glance(scored, told).sign()
    assert glance(scored, {**told, "compared": 900, "requests": 901}).sign() == before
    assert glance(scored, {**told, "verdict": "reject"}).sign() != before
    assert glance(scored, {**told, "findings": []}).sign() != before
    assert glance(scored, told, trouble="It cannot be read.").sign() != before


def watching(places, *words: str, **options) -> subprocess.Popen:
    command = [*COMMAND, "--state-dir", str(places.root), "--interval", "0.2s", *words]
    # Whoever runs the tests in the background may have told them to ignore it.
    heed = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    return subprocess.Popen(command, preexec_fn=heed, **options)


def test_in_a_pipe_it_is_a_line_for_each_change_and_ends_by_ctrl_c(scored):
    places, _ = scored
    with watching(places, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            first = process.stdout.readline()
            assert "films v3 beside v4; stopped; reject; 420 of 420 requests compared" in first
            with places.lock.open("w") as lock:  # as a supervisor holds it
                fcntl.flock(lock, fcntl.LOCK_EX)
                assert "films v3 beside v4; reject" in process.stdout.readline()
            assert "; stopped; " in process.stdout.readline()
            kept = places.deployment.read_text()
            places.deployment.write_text("{")
            damaged = process.stdout.readline()
            places.deployment.write_text(kept)
            assert "is damaged" in damaged
            assert "is damaged" not in process.stdout.readline()
        finally:
            process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0


def test_whoever_has_read_enough_ends_it(scored):
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with watching(scored[0], **pipes) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        with scored[0].lock.open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            assert process.wait(60) != 0
        assert "Traceback" not in process.stderr.read()


def sized(terminal: int, width: int, height: int) -> None:
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))


def test_in_a_terminal_it_fits_however_small_it_becomes(scored):
    ours, theirs = pty.openpty()
    sized(theirs, 120, 40)
    environ = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "LINES")}
    process = watching(
        scored[0], stdin=theirs, stdout=theirs, stderr=theirs, env={**environ, "TERM": "xterm"}
    )
    os.close(theirs)
    shown = _read(ours, until=b"as of", seconds=60)
    assert b"reject" in shown
    assert b"stopped" in shown
    for width, height in ((20, 5), (1, 1), (120, 40)):
        sized(ours, width, height)
        shown = _read(ours, until=HOME, times=3, seconds=60)
        assert shown.split(HOME)[2].count(b"\n") < height  # drawn for this size, whole
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    shown = _read(ours, until=b"\x1b[?1049l", seconds=60)
    os.close(ours)
    assert process.wait(60) == 0
    assert b"Traceback" not in shown


def _read(descriptor: int, *, until: bytes, seconds: float, times: int = 1) -> bytes:
    found, deadline = b"", time.monotonic() + seconds
    while found.count(until) < times:
        assert time.monotonic() < deadline, found
        if select.select([descriptor], [], [], 0.2)[0]:
            try:
                found += os.read(descriptor, 65_536)
            except OSError:  # the other end is gone
                break
    return found
