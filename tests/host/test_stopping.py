"""A process hears that it is to end, whatever holds or has changed its main thread."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

HEEDS = """
import os, signal, sys, threading, time
from shadowserve.host import stopping

told = threading.Event()
stopping.heed(lambda: (print("told", flush=True), told.set()), (signal.SIGTERM,))
"""
HELD = {
    "nothing": "told.wait()",
    "a long call of a library": "import ctypes; ctypes.PyDLL(None).usleep(2_000_000); told.wait()",
    "a handler of its own": "signal.signal(signal.SIGTERM, lambda *_: None); told.wait()",
    "an event loop's pipe": "import uvloop; uvloop.run(__import__('asyncio').sleep(0)); told.wait()",
    "an event loop": ("import uvloop; uvloop.run(__import__('asyncio').to_thread(told.wait))"),
}


@contextmanager
def started(code: str) -> Iterator[subprocess.Popen[str]]:
    program = f"{HEEDS}\nprint('ready', flush=True)\n{code}"
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as p:
        try:
            yield p
        finally:
            p.kill()


@pytest.mark.parametrize("what", HELD)
def test_a_stop_is_heard_while_the_main_thread_is_held_by(what):
    with started(HELD[what]) as process:
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGTERM)
        assert process.stdout.readline() == "told\n"
        assert process.wait(60) == 0


def test_a_process_that_a_model_forks_ends_by_the_signal_and_its_parent_is_not_told():
    """A pool's workers are ended this way, however soon."""
    code = (
        "for _ in range(20):\n"
        "    child = os.fork()\n"
        "    if not child:\n"
        "        time.sleep(60)\n"
        "        os._exit(3)\n"
        "    os.kill(child, signal.SIGTERM)\n"
        "    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGTERM\n"
        "print(told.wait(0.2), flush=True)"
    )
    with started(code) as process:
        assert process.communicate(timeout=60)[0] == "ready\nFalse\n"
