"""A server that runs only while it is asked: started once, standing still between its blocks."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil

START_S = 180.0


class DidNotServeError(Exception):
    """A server ended, or did not get ready; the text says how."""


def fetched(url: str, body: bytes | None = None, *, patience_s: float = 60.0) -> Any:
    """Get JSON, or post it and get the answer."""
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=patience_s) as answer:
        return json.loads(answer.read() or b"null")


@contextmanager
def serving(
    command: Sequence[str], *, ready: str, env: Mapping[str, str] | None = None, cwd: Path
) -> Iterator[Running]:
    """Run a server for the length of a block; it stands still but within `Running.awake`.

    Raises
    ------
    DidNotServeError
        If it ended, or was not ready in time.
    """
    log = cwd / "said.txt"
    with log.open("wb") as said:
        process = subprocess.Popen(
            command,
            cwd=cwd,
            env={**os.environ, **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
        )
    running = Running(psutil.Process(process.pid))
    try:
        _wait(ready, process, log)
        running.tell(signal.SIGSTOP)
        yield running
    finally:
        running.end(process)


def _wait(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + START_S
    while time.monotonic() < until:
        if process.poll() is not None:
            raise DidNotServeError(f"ended with {process.returncode}: {log.read_text()[-400:]}")
        with suppress(OSError), urllib.request.urlopen(url, timeout=2) as answer:
            if answer.status == 200:
                return
        time.sleep(0.2)
    raise DidNotServeError(f"was not ready after {START_S:g} s: {log.read_text()[-400:]}")


class Running:
    """A server's processes, all of them told at once."""

    def __init__(self, first: psutil.Process) -> None:
        self._first = first

    def _all(self) -> list[psutil.Process]:
        with suppress(psutil.NoSuchProcess):
            return [self._first, *self._first.children(recursive=True)]
        return []

    def tell(self, number: signal.Signals) -> None:
        """Stop the first one first and wake it last, so that it takes no child for hung."""
        everyone = self._all()
        for process in everyone if number == signal.SIGSTOP else reversed(everyone):
            with suppress(psutil.NoSuchProcess):
                process.send_signal(number)

    @contextmanager
    def awake(self, *, settle_s: float = 0.0) -> Iterator[None]:
        """Let it run for the length of a block."""
        self.tell(signal.SIGCONT)
        try:
            time.sleep(settle_s)
            yield
        finally:
            self.tell(signal.SIGSTOP)

    def end(self, process: subprocess.Popen[bytes]) -> None:
        """End it, and what it leaves behind: some servers' children outlive them."""
        everyone = self._all()
        self.tell(signal.SIGCONT)
        process.terminate()
        _, left = psutil.wait_procs(everyone, timeout=15)
        for one in left:
            with suppress(psutil.NoSuchProcess):
                one.kill()
        process.wait()
