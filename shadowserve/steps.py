"""Name a part of a model's own code, so that its time is reported by that name.

A model's author writes ``with shadowserve.step("embed", columns=["text"]):`` around a slow call, or
decorates the function. When nobody listens this costs next to nothing; when the serving process
listens, wall and CPU time are noted under a path of names. The module needs the standard library
alone, so that a model may ship with it and run where the rest of shadowserve is not installed.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from contextvars import ContextVar, Token
from functools import wraps
from time import perf_counter_ns, thread_time_ns
from typing import Any, NamedTuple, ParamSpec, Self, TypeVar

P = ParamSpec("P")
R = TypeVar("R")
Columns = str | int | Iterable[str | int]

MAX_RECORDS = 4096


class InnerStep(NamedTuple):
    """What was heard of one named part during one listening; its time lies inside its parent's.

    Parameters
    ----------
    name : str
        Path of names joined by ``/``, outermost first.
    columns : tuple of str or int
        The input columns that its author named.
    wall_ns, cpu_ns : int
        Summed over the calls. CPU is that of the thread alone.
    calls : int
        How often it ran.
    """

    name: str
    columns: tuple[str | int, ...]
    wall_ns: int
    cpu_ns: int
    calls: int


class StepTimes(NamedTuple):
    """Times of one scoring, split by step. Immutable; a named tuple since it is made per request.

    Parameters
    ----------
    wall_ns, cpu_ns : tuple of int
        One entry a step, in the plan's order.
    total_ns, total_cpu_ns : int
        From the rows to the output.
    inner : tuple of InnerStep
        Parts named by the model's author. They lie inside steps and are not added to them.
    """

    wall_ns: tuple[int, ...]
    cpu_ns: tuple[int, ...]
    total_ns: int
    total_cpu_ns: int
    inner: tuple[InnerStep, ...] = ()


# A running step: its listening, the step around it, name, columns, prefix, CPU and wall at entry.
# A bare tuple, since building an object costs as much as a clock call; a `step` itself holds no
# state and may be entered twice. A listening alone has a None for the step around it.
_Running = tuple["listen", Any, str, Columns, str, int, int]

_running: ContextVar[_Running | None] = ContextVar("shadowserve_step", default=None)
_get_running = _running.get
_set_running = _running.set


class step:  # noqa: N801 - a verb in the user's code, as contextlib's own
    """Time a part of a model under a name: a context manager and a decorator.

    Safe across threads and tasks. What a plain new thread does is not heard, since Python gives it
    an empty context; run it with `contextvars.copy_context` to have it heard. Across an ``await``,
    CPU time counts all that the thread did meanwhile.

    Parameters
    ----------
    name : str
        Short and constant; nested names become a path such as ``text/embed``.
    columns : str, int or iterable of them
        The input columns that the part works on, for the report.

    Examples
    --------
    >>> with step("embed", columns=["text"]):
    ...     pass
    >>> @step("look_up")
    ... def look_up(key):
    ...     return key
    >>> look_up(3)
    3
    """

    __slots__ = ("columns", "name")

    def __init__(self, name: str, columns: Columns = ()) -> None:
        self.name = name
        self.columns = columns

    def __enter__(self) -> None:
        around = _get_running()
        if around is not None:
            heard = around[0]
            _set_running(
                (
                    heard,
                    around,
                    self.name,
                    self.columns,
                    heard.path,
                    thread_time_ns(),
                    perf_counter_ns(),
                )
            )

    def __exit__(self, *_error: object) -> None:
        running = _get_running()
        # Nobody listens: the usual case wherever the model runs outside of shadowserve.
        if running is None:
            return
        wall_ns = perf_counter_ns()
        cpu_ns = thread_time_ns()
        heard, around, _, _, _, cpu_entry_ns, wall_entry_ns = running
        # A listening has begun inside the step and is still on; the step is not its to close.
        if around is None:
            return
        _set_running(around)
        # A step in a loop over rows must cost neither memory nor an answer.
        if len(heard.closed) < MAX_RECORDS:
            heard.closed.append((running, wall_ns - wall_entry_ns, cpu_ns - cpu_entry_ns))
        else:
            heard.dropped += 1

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
        """Return the function, timed at every call; coroutine functions stay such.

        Raises
        ------
        TypeError
            For a generator function: the time between its items belongs to its consumer.
        """
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            raise TypeError(
                f"step({self.name!r}) got a generator function; decorate the function that reads it."
            )
        if inspect.iscoroutinefunction(function):

            @wraps(function)
            async def timed_coroutine(*args: P.args, **kwargs: P.kwargs) -> Any:
                with self:
                    return await function(*args, **kwargs)

            return timed_coroutine  # type: ignore[return-value]

        @wraps(function)
        def timed(*args: P.args, **kwargs: P.kwargs) -> R:
            with self:
                return function(*args, **kwargs)

        return timed


class listen:  # noqa: N801 - reads as a verb beside `step`
    """Hear the steps that run in this context until the block ends.

    A listening inside another one takes over; the outer one goes on afterwards.

    Parameters
    ----------
    path : str
        Put before every name. It may be reassigned while listening: later steps take the new one.

    Attributes
    ----------
    closed : list
        The steps that ended, as they ended; at most `MAX_RECORDS`. `steps` reads it.
    dropped : int
        How many ended beyond that: counted, not kept.

    Examples
    --------
    >>> with listen() as heard, step("embed", columns="text"):
    ...     pass
    >>> [(part.name, part.columns, part.calls) for part in heard.steps()]
    [('embed', ('text',), 1)]
    """

    __slots__ = ("_token", "closed", "dropped", "path")

    def __init__(self, path: str = "") -> None:
        self.path = path
        self.closed: list[tuple[_Running, int, int]] = []
        self.dropped = 0
        self._token: Token[_Running | None] | None = None

    def __enter__(self) -> Self:
        self._token = _set_running((self, None, "", (), "", 0, 0))
        return self

    def __exit__(self, *_: object) -> None:
        if self._token is not None:
            _running.reset(self._token)
            self._token = None

    def steps(self) -> tuple[InnerStep, ...]:
        """Return one record a path, in the order in which they first ended; () when none ran."""
        if not self.closed:
            return ()
        merged: dict[str, InnerStep] = {}
        for running, wall_ns, cpu_ns in tuple(self.closed):
            path = _path(running)
            known = merged.get(path) or InnerStep(path, _names(running[3]), 0, 0, 0)
            merged[path] = known._replace(
                wall_ns=known.wall_ns + wall_ns,
                cpu_ns=known.cpu_ns + cpu_ns,
                calls=known.calls + 1,
            )
        return tuple(merged.values())


def _path(running: _Running) -> str:
    names = []
    inner: _Running = running
    while inner[1] is not None:
        names.append(inner[2])
        inner = inner[1]
    return "/".join(filter(None, [running[4], *reversed(names)]))


def _names(columns: Columns) -> tuple[str | int, ...]:
    return (columns,) if isinstance(columns, str | int) else tuple(columns)


def timed_call(function: Callable[..., R], *args: Any) -> tuple[R, StepTimes]:
    """Call a model that is not walked: one opaque step, and whatever its code names inside.

    Parameters
    ----------
    function : callable
        Such as a pyfunc model's `predict`.
    *args
        Handed on as they are.

    Returns
    -------
    result, times
        What the function returned, and its times: a single step whose wall time is the total.

    Examples
    --------
    >>> result, times = timed_call(len, "four")
    >>> result, times.wall_ns == (times.total_ns,)
    (4, True)
    """
    with listen() as heard:
        cpu_ns = thread_time_ns()
        wall_ns = perf_counter_ns()
        result = function(*args)
        wall_ns = perf_counter_ns() - wall_ns
        cpu_ns = thread_time_ns() - cpu_ns
    return result, StepTimes((wall_ns,), (cpu_ns,), wall_ns, cpu_ns, heard.steps())
