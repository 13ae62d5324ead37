"""Our own sentences reach the log; what others print, warn, log or raise reaches it as a place."""

from __future__ import annotations

import subprocess
import sys

import pytest

from shadowserve.host import private_log

MARKER = "ZQMARKQZ"
STRANGER = f"""
import faulthandler, logging, os, sys, threading, warnings
from shadowserve.host.private_log import silence_others
logging.basicConfig(level=logging.INFO)
silence_others()
text = "{MARKER}"
"""


def log_of(tmp_path, code: str) -> str:
    script = tmp_path / "stranger.py"
    script.write_text(STRANGER + code)
    run = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=False)
    assert MARKER not in run.stdout
    return run.stderr


@pytest.mark.parametrize(
    "code",
    [
        "print(text); print(text, file=sys.stderr)",
        "os.write(1, text.encode()); os.write(2, text.encode())",
        "os.system(f'echo {text}; echo {text} >&2')",
        "warnings.warn(text)",
        "logging.getLogger('other').error(text)",
        "logging.getLogger('shadowserve.lane').error('%s', text)",
        "logging.getLogger().handlers[0].stream and logging.error(text)",
        "raise ValueError(text)",
        "threading.Thread(target=lambda: int(text)).start()",
        "try:\n int(text)\nexcept ValueError:\n logging.getLogger('x').exception(text)",
    ],
)
def test_a_strangers_values_stay_out(tmp_path, code):
    assert MARKER not in log_of(tmp_path, code)


def test_an_uncaught_exception_leaves_its_type_and_place(tmp_path):
    told = log_of(tmp_path, "def f():\n raise ValueError(text)\nf()")
    assert "ValueError at stranger.py" in told
    assert " f" in told


def test_a_strangers_record_leaves_its_place(tmp_path):
    told = log_of(tmp_path, "logging.getLogger('other').error(text)")
    assert "ERROR other said something at stranger.py:" in told


def test_our_own_sentences_are_written_out(tmp_path):
    code = "from shadowserve.journal.standby import _log\n_log.handle(_log.makeRecord(_log.name, 40, sys.modules['shadowserve.journal.standby'].__file__, 1, 'n %d', (3,), None))"
    assert "shadowserve.journal.standby n 3" in log_of(tmp_path, code)
    assert private_log._HERE.name == "shadowserve"


@pytest.mark.parametrize(
    "code",
    [
        "print(text)",
        "print(text, file=sys.stderr)",
        "os.system(f'echo {text}')",
        "logging.getLogger('other').error(text)",
        "warnings.warn(text)",
        "print(text); os._exit(1)",
    ],
)
def test_prints_are_kept_where_the_team_wants_them_and_nowhere_else(tmp_path, code):
    script = tmp_path / "stranger.py"
    prints = tmp_path / "prints.log"
    script.write_text(
        STRANGER.replace("silence_others()", f"silence_others({str(prints)!r})") + code
    )
    run = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=False)
    assert MARKER not in run.stdout + run.stderr
    assert MARKER in prints.read_text()
    assert prints.stat().st_mode & 0o777 == 0o600


def test_a_file_for_prints_that_cannot_be_opened_costs_the_prints_alone(tmp_path):
    script = tmp_path / "stranger.py"
    script.write_text(
        STRANGER.replace("silence_others()", "silence_others('/nowhere/x')") + "print(text)"
    )
    run = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=False)
    assert (run.returncode, run.stdout) == (0, "")
