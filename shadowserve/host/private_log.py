"""A log without values: our own messages in full, other libraries' only by logger and line.

A model prints its input, a library warns with a value in the text, an exception quotes the row it
could not take. None of that may leave the journal. So a process that runs a model, or answers for
one, gives its standard output and error away and keeps the log.
"""

from __future__ import annotations

import contextlib
import faulthandler
import io
import logging
import os
import signal
import sys
import threading
import traceback
from pathlib import Path
from types import TracebackType
from typing import TextIO

from shadowserve.faults import fault_of
from shadowserve.legible import LONGEST_LINE, legible

OWN = "shadowserve"
PRINTS = "SHADOWSERVE_PRINTS"
"""Where a process finds the file for what its model prints; not set, it goes nowhere."""
MAX_FRAMES = 50
STACKS: int | None = getattr(signal, "SIGRTMIN", 34) + 9 if sys.platform == "linux" else None
"""Has a process write the frames of all its threads into its log, also while a call holds the interpreter."""
_LOGS: list[TextIO] = []
_HERE = Path(__file__).resolve().parents[1]


class Discreet(logging.Formatter):
    """Writes our own records out, and names only logger, level and line of all others.

    A record is ours if the code that made it is: anybody can take a logger by our name.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return one line; an exception appears as its type and frame."""
        head = f"{self.formatTime(record)} {record.levelname} {record.name}"
        where = f"{Path(record.pathname).name}:{record.lineno}"
        # The logger's name is anybody's to take; the file that wrote the line is not.
        ours = Path(record.pathname).resolve().is_relative_to(_HERE)
        text = record.getMessage() if ours else f"said something at {where}"
        if record.exc_info and record.exc_info[1] is not None:
            fault = fault_of(record.exc_info[1])
            text += f" ({fault.type} at {fault.frame})"
        return legible(f"{head} {text}", most=LONGEST_LINE)


class _Strangers(logging.Filter):
    """Lets records pass that are not ours."""

    def filter(self, record: logging.LogRecord) -> bool:
        return not Path(record.pathname).resolve().is_relative_to(_HERE)


def silence_others(prints: str | None = None) -> None:
    """Keep this process's log for its own records; what anybody else prints goes elsewhere or nowhere.

    Standard output and error are pointed there, for the processes that a model may start as well.
    Handlers that others set up write there too.

    Parameters
    ----------
    prints : str, optional
        A file for what is printed, and for others' log records in full: values of requests may be in
        it. By default all of it goes nowhere.
    """
    # A second descriptor for the log, since the model's prints take the first one with them.
    log = os.fdopen(os.dup(2), "w", buffering=1, encoding="utf-8", errors="replace")
    # By descriptor, not by `sys.stdout`: native libraries and child processes print as well.
    elsewhere = _opened(prints)
    for descriptor in (1, 2):
        os.dup2(elsewhere, descriptor)
    os.close(elsewhere)
    handler = logging.StreamHandler(log)
    handler.setFormatter(Discreet())
    handlers: list[logging.Handler] = [handler]
    if prints:
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):  # a killed process loses no line
                stream.reconfigure(line_buffering=True)
        others = logging.StreamHandler(sys.stderr)
        others.addFilter(_Strangers())
        others.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
        handlers.append(others)
    logging.basicConfig(level=logging.WARNING, handlers=handlers, force=True)
    logging.getLogger(OWN).setLevel(logging.INFO)
    faulthandler.enable(log)  # a native crash leaves frames, which hold no values
    if STACKS is not None:
        faulthandler.register(STACKS, log, all_threads=True)
    _LOGS.append(log)
    sys.excepthook = _tell
    threading.excepthook = lambda args: _tell(args.exc_type, args.exc_value, args.exc_traceback)
    logging.raiseExceptions = False  # else a model that closes its streams ends who logs


def _opened(prints: str | None) -> int:
    """Open where prints go; nowhere if that file cannot be opened."""
    if prints:
        with contextlib.suppress(OSError):
            flags = os.O_CREAT | os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW
            return os.open(prints, flags, 0o600)
    return os.open(os.devnull, os.O_WRONLY)


def log_descriptor() -> int | None:
    """Return the descriptor of this process's own log, for a process that is to write there; None without one."""
    return _LOGS[-1].fileno() if _LOGS else None


def tell_stacks() -> None:
    """Write the frames of all threads into the log; they name files, lines and functions, no values."""
    for log in _LOGS:
        faulthandler.dump_traceback(log, all_threads=True)


def _tell(
    kind: type[BaseException], _error: BaseException | None, trace: TracebackType | None
) -> None:
    """Log an exception that nobody caught: its type and frames, never its text."""
    calls = [(frame.f_code, line) for frame, line in traceback.walk_tb(trace)][-MAX_FRAMES:]
    frames = [f"{Path(code.co_filename).name}:{line} {code.co_name}" for code, line in calls]
    # Asked of `type` itself: a model's metaclass could run code when it is asked for its name.
    name = type.__dict__["__name__"].__get__(kind)
    logging.getLogger(OWN).critical("%s at %s", name, " > ".join(frames))
