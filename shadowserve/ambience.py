"""What a model sets in its process holds during its own calls, and not while our code runs.

NumPy's error state and decimal contexts belong to a context, so the model has one of its own, kept from
call to call. Warning filters, the limit of recursion, trace functions and the umask belong to the process:
once `claim` was called, they change hands at each border. A handler that a model set for a signal may
raise within its calls, as its author expects; between them nobody is there to catch that. Where
`spare_collections` was called, the garbage collector runs in them as the model would have it, and between
them when it is asked to.
"""

from __future__ import annotations

import contextlib
import contextvars
import decimal
import gc
import logging
import os
import signal
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Callable
from types import FrameType
from typing import Any, ParamSpec, TypeVar

from shadowserve.ending import FILES_CLOSED

P = ParamSpec("P")
R = TypeVar("R")

TOLD_EVERY_NS = 10**9
MAX_TRIES = 10
_PLACE = 7919
_SILENT = ("ignore", None, Warning, None, 0)
_log = logging.getLogger(__name__)


class _Here(threading.local):
    """One thread's share: the model's context, and whether a call of the model runs."""

    def __init__(self) -> None:
        self.context = contextvars.copy_context()
        own = decimal.getcontext().copy()  # else the model would change the one that we hold, too
        self.context.run(decimal.setcontext, own)
        self.inside = False


_HERE = _Here()
_PROCESS: list[_Process | _Garbage] = []


def within(call: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
    """Run what is the model's, loading and scoring, with what the model has set.

    A call within another is the same visit.

    Examples
    --------
    >>> import numpy as np
    >>> before = within(np.seterr, all="raise")
    >>> np.geterr()["divide"], within(np.geterr)["divide"]
    ('warn', 'raise')
    >>> _ = within(np.seterr, **before)
    """
    if _HERE.inside:
        return call(*args, **kwargs)
    try:
        _HERE.inside = True
        for process in _PROCESS:
            process.hand_over()
        return _HERE.context.run(call, *args, **kwargs)
    finally:
        try:
            _leave()
        except BaseException:  # from a trace function, which is gone once it has raised
            _leave()


def _leave() -> None:
    """End the visit; what a signal's handler raises in these instants is nobody's."""
    for _ in range(MAX_TRIES):
        try:
            _HERE.inside = False
            for process in _PROCESS:
                process.take_back()
        except BaseException:  # noqa: S112 - a log could be interrupted in its turn
            continue
        return


def is_inside() -> bool:
    """Tell whether this thread runs a model's call."""
    return _HERE.inside


def claim() -> None:
    """Take this process's settings as ours from here on, on its main thread, before any model's code."""
    if not any(isinstance(one, _Process) for one in _PROCESS):
        _PROCESS.append(_Process())
        _hold_handlers()


def spare_collections() -> None:
    """Collect no garbage from here on between the model's calls, but when `collect` is called.

    What a lane makes of some thousand requests is gone with their commit, without any collection. Until
    then each collection would walk through it again, which takes a fifth of a lane's time.
    """
    if not any(isinstance(one, _Garbage) for one in _PROCESS):
        _PROCESS.append(_Garbage())


def collect() -> None:
    """Collect what is due by now, where collections were spared."""
    for one in _PROCESS:
        if isinstance(one, _Garbage):
            one.collect()


class _Process:
    """The settings of the process, as they are ours and as the model left them."""

    def __init__(self) -> None:
        self._recursion = self._their_recursion = sys.getrecursionlimit()
        self._umask = os.umask(0o077)
        os.umask(self._umask)
        self._their_umask = self._umask
        self._tracing = self._their_tracing = (sys.gettrace(), sys.getprofile())
        self._sentry = _sentry()
        self._show = _shows()
        self._their_filters: Any = None
        self._harmless: tuple[Any, int, Any] = (None, 0, None)

    def hand_over(self) -> None:
        """Give the model what it had set."""
        if self._their_filters is not None:
            _filter(self._their_filters)
        if self._their_umask != self._umask:
            os.umask(self._their_umask)
        if self._their_recursion != self._recursion:
            sys.setrecursionlimit(self._their_recursion)
        if self._their_tracing != self._tracing:
            _trace(self._their_tracing)

    def take_back(self) -> None:
        """Set ours again, and note what the model's were."""
        self._keep_to_files()
        self._their_recursion = sys.getrecursionlimit()
        if self._their_recursion != self._recursion:  # first: the rest takes frames
            sys.setrecursionlimit(self._recursion)
        # A model's profiler would see, and slow, all that we do between its calls.
        self._their_tracing = sys.gettrace(), sys.getprofile()
        if self._their_tracing != self._tracing:
            _trace(self._tracing)
        # Files of ours hold callers' requests; a model's umask must not open them to others.
        self._their_umask = os.umask(self._umask)
        self._their_filters = filters = warnings.filters if self._may_raise() else None
        if filters is not None:
            _filter([_SILENT])

    def _keep_to_files(self) -> None:
        """End the process if its files were closed: their numbers may be another's by now."""
        try:
            if os.lseek(self._sentry, 0, os.SEEK_CUR) == _PLACE:
                return
        except OSError:
            pass
        os._exit(FILES_CLOSED)

    def _may_raise(self) -> bool:
        """Whether a warning may become an exception."""
        # A model that catches warnings may raise from there, and no filter tells.
        if _shows() != self._show:
            return True
        filters: Any = warnings.filters
        looks = filters, len(filters), filters[0] if filters else None
        if looks[0] is self._harmless[0] and looks[1:] == self._harmless[1:]:
            return False  # whatever is added to a list of filters changes its length or its head
        if any(entry[0] == "error" for entry in filters):
            return True
        self._harmless = looks
        return False


class _Garbage:
    """The garbage collector, on in the model's calls unless the model turned it off."""

    def __init__(self) -> None:
        self._theirs, self._inside = gc.isenabled(), False
        gc.disable()

    def hand_over(self) -> None:
        """Collect what is due before the call, whose time it would be else, and let the call collect."""
        self.collect()
        self._inside = True
        if self._theirs:
            gc.enable()

    def take_back(self) -> None:
        """Stop collecting; once, however often it is asked."""
        if self._inside:
            self._inside, self._theirs = False, gc.isenabled()
            gc.disable()

    def collect(self) -> None:
        """Collect the oldest generation that is due, as the interpreter would have."""
        if self._theirs and not self._inside:
            counts, limits = gc.get_count(), gc.get_threshold()
            due = [at for at in range(3) if limits[0] and counts[at] > limits[at]]
            if due and due[0] == 0:  # the interpreter looks at the others where the youngest is due
                gc.collect(due[-1])


def _sentry() -> int:
    """Open a file that nobody uses, at a place that no other is at."""
    with tempfile.TemporaryFile() as file:
        held = os.dup(file.fileno())
    os.lseek(held, _PLACE, os.SEEK_SET)
    return held


def _shows() -> tuple[Any, Any]:
    return warnings._showwarnmsg_impl, warnings.showwarning  # type: ignore[attr-defined]


def _filter(filters: Any) -> None:
    warnings.filters = filters
    warnings._filters_mutated()  # type: ignore[attr-defined]


def _trace(functions: tuple[Any, Any]) -> None:
    sys.settrace(functions[0])
    sys.setprofile(functions[1])


class _Held:
    """A model's handler of a signal: what it raises between calls goes to the log alone."""

    def __init__(self, handler: Callable[[int, FrameType | None], Any]) -> None:
        self.handler = handler
        self._told_ns = -TOLD_EVERY_NS

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if _HERE.inside:
            self.handler(number, frame)
            return
        try:
            within(self.handler, number, frame)
        except BaseException as error:
            self._tell(number, error)

    def _tell(self, number: int, error: BaseException) -> None:
        if time.monotonic_ns() - self._told_ns < TOLD_EVERY_NS:
            return
        self._told_ns = time.monotonic_ns()
        kind = type.__dict__["__name__"].__get__(type(error))
        with contextlib.suppress(BaseException):
            _log.error("a model's handler of signal %d raised %s between its calls", number, kind)


def _hold_handlers() -> None:
    """Let whoever sets a handler during a model's call get one that is held between calls."""
    set_handler, get_handler = signal.signal, signal.getsignal

    def held(number: int, handler: Any) -> Any:
        # A default or an ignored signal runs no code, so there is nothing to hold.
        mine = _HERE.inside and callable(handler) and not isinstance(handler, signal.Handlers)
        return _bare(set_handler(number, _Held(handler) if mine else handler))

    def bare(number: int) -> Any:
        return _bare(get_handler(number))

    signal.signal, signal.getsignal = held, bare  # type: ignore[assignment]


def _bare(handler: Any) -> Any:
    return handler.handler if isinstance(handler, _Held) else handler
