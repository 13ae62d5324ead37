"""A version whose loading is odd: what a shipped loader may raise, return, set, or do to its process.

MLflow imports this module as the loader of versions that `odd_deaths` and `odd_models` write.
"""

from __future__ import annotations

import ctypes
import gc
import json
import locale
import logging
import os
import random
import resource
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from rig.oddities import ERRORS, MARKER

SIGNATURE = json.dumps([
    {"name": "age", "type": "double", "required": True},
    {"name": "title", "type": "string", "required": True},
])  # fmt: skip


def _raise(*_: object) -> None:
    raise SystemExit(MARKER)


def _deep() -> Any:
    return _deep()


def _alarm() -> None:
    signal.signal(signal.SIGALRM, _raise)
    signal.setitimer(signal.ITIMER_REAL, 0.002, 0.002)


def _raise_from_thread() -> None:
    tid = threading.get_ident()

    def later() -> None:
        for _ in range(5):
            time.sleep(0.01)
            raise_in = ctypes.pythonapi.PyThreadState_SetAsyncExc
            raise_in(ctypes.c_ulong(tid), ctypes.py_object(SystemExit))

    threading.Thread(target=later, daemon=True).start()


def _close_descriptors() -> None:
    os.closerange(0, 4096)


def _exhaust_threads() -> None:
    threading.stack_size(0)
    resource.setrlimit(resource.RLIMIT_NPROC, (1, 1))
    threading.Thread(target=time.sleep, args=(0,)).start()
    raise RuntimeError(MARKER)


DEATHS: dict[str, Callable[[], Any]] = {
    "exits 0": lambda: os._exit(0),
    "exits 3": lambda: os._exit(3),
    "aborts": os.abort,
    "kills itself": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "asks itself to end": lambda: signal.raise_signal(signal.SIGTERM),
    "reads address 0": lambda: ctypes.string_at(0),
    "hangs": lambda: time.sleep(3600),
    "holds the interpreter": lambda: ctypes.pythonapi.sleep(3600),
    "closes all descriptors": _close_descriptors,
    "can start no thread": _exhaust_threads,
}

SETTINGS: dict[str, Callable[[], Any]] = {
    "goes elsewhere": lambda: os.chdir("/"),
    "masks files": lambda: os.umask(0o777),
    "handlers": lambda: [
        signal.signal(one, _raise) for one in (signal.SIGUSR1, signal.SIGALRM, signal.SIGCHLD)
    ],
    "an alarm": _alarm,
    "a thread that raises here": _raise_from_thread,
    "paths": lambda: sys.path.clear(),
    "warnings": lambda: warnings.simplefilter("error"),
    "showing warnings": lambda: setattr(warnings, "showwarning", _raise),
    "numpy": lambda: np.seterr(all="raise"),
    "numpy calls": lambda: (np.seterrcall(_raise), np.seterr(all="call")),
    "locale": lambda: locale.setlocale(locale.LC_ALL, "C.UTF-8"),
    "seeds": lambda: (random.seed(0), np.random.seed(0)),
    "recursion": lambda: sys.setrecursionlimit(160),
    "tracing": lambda: sys.settrace(_raise),
    "profiling": lambda: sys.setprofile(_raise),
    "hooks": lambda: (setattr(sys, "excepthook", _raise), setattr(sys, "unraisablehook", _raise)),
    "prints": lambda: print(MARKER * 10**6),
    "no streams": lambda: (setattr(sys, "stdout", None), setattr(sys, "stderr", None)),
    "no environment": os.environ.clear,
    "no garbage collection": gc.disable,
    "a collector's callback": lambda: gc.callbacks.append(_raise),
    "no logs": lambda: logging.disable(logging.CRITICAL),
    "pandas": lambda: pd.set_option("mode.chained_assignment", "raise"),
}

STRANGE: dict[str, Callable[[], Any]] = {
    "nothing": lambda: None,
    "a number": lambda: 7,
    "an object": object,
    "a class": lambda: Model,
    "a function": lambda: print,
    "a module": lambda: os,
    "a generator": lambda: (one for one in ()),
    "a predict of nothing": lambda: type("M", (), {"predict": None})(),
    "a predict that exits": lambda: type("M", (), {"predict": property(_raise)})(),
    "attributes that exit": lambda: type("M", (), {"__getattribute__": _raise})(),
    "a predict without arguments": lambda: type("M", (), {"predict": lambda: 1})(),
    "an async predict": lambda: type("M", (), {"predict": _awaited})(),
    "a predict of no signature": lambda: type("M", (), {"predict": int.from_bytes})(),
}


async def _awaited(_self: Any, _rows: Any) -> Any:
    return 1


class Model:
    """Answers twice the age, after the harm that it does at some call."""

    def __init__(self, harm: str | None = None, *, at_age: float | None = None) -> None:
        self._harm = harm
        self._at_age = at_age

    def predict(self, rows: pd.DataFrame, _params: Any = None) -> Any:
        ages = rows["age"].to_numpy()
        if self._harm is not None and (self._at_age is None or self._at_age in ages):
            {**DEATHS, **SETTINGS}[self._harm]()
        return ages * 2


def _load_pyfunc(path: str) -> Any:
    """Load as the file says: MLflow calls this."""
    what = json.loads(Path(path).read_text())
    harm = what.get("at_load")
    if harm in ERRORS:
        raise ERRORS[harm]()
    if harm in STRANGE:
        return STRANGE[harm]()
    if harm == "recursion without end":
        _deep()
    if harm is not None:
        {**DEATHS, **SETTINGS}[harm]()
    return Model(what.get("later"), at_age=what.get("at_age"))


def write(path: Path, **what: Any) -> Path:
    """Write a version's files that are loaded so."""
    path.mkdir(parents=True)
    (path / "odd.json").write_text(json.dumps(what))
    (path / "MLmodel").write_text(
        "flavors:\n  python_function:\n    data: odd.json\n    loader_module: benchmarks.odd_loader\n"
        f"signature:\n  inputs: '{SIGNATURE}'\n"
    )
    return path
