"""A kit for trying shadowserve on yourself: models that misbehave on purpose, and a clock on a script.

Put one of these steps into a challenger's pipeline, register it, and see whether your alerting tells
you: ``make_pipeline(testing.Slow(ms=30), model)``. Each hands its rows on unchanged, so answers stay
the model's own; a lane finds the class because shadowserve is installed where it runs. Loading a
version calls it about a dozen times, so faults that come with calls begin after `GRACE` of them.
"""

from __future__ import annotations

import time
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin, TransformerMixin

from shadowserve import steps
from shadowserve.scorer.featurization import plan

GRACE = 40
"""Calls that a step which fails by count lets pass, more than loading and warming make."""

_CLOCKS = (steps, plan)
_scripted: list[ScriptedClock] = []


class ScriptedClock:
    """Time that passes only when told to, for the length of a block.

    Inside the block every step is timed by it, wall and CPU alike, and `Slow` advances it instead of
    sleeping: a test of latencies takes no time and has exact numbers. For one thread, and for models
    scored in this process; servers and lanes have processes of their own.

    Parameters
    ----------
    start_ns : int
        What it shows at first.

    Examples
    --------
    >>> from shadowserve.steps import listen, step
    >>> with ScriptedClock() as clock, listen() as heard:
    ...     with step("embed"):
    ...         clock.advance(ms=30)
    >>> heard.steps()[0].wall_ns
    30000000
    """

    def __init__(self, start_ns: int = 0) -> None:
        self.now_ns = start_ns
        self._before: list[tuple[Any, str, Any]] = []

    def advance(self, *, ms: float) -> None:
        """Let so many milliseconds pass.

        Raises
        ------
        ValueError
            For a negative number: this clock is monotonic.
        """
        if ms < 0:
            raise ValueError(f"A monotonic clock cannot go back, by {ms} ms.")
        self.now_ns += round(ms * 1e6)

    def __enter__(self) -> Self:
        for module in _CLOCKS:
            for name in ("perf_counter_ns", "thread_time_ns"):
                self._before.append((module, name, getattr(module, name)))
                setattr(module, name, lambda: self.now_ns)
        _scripted.append(self)
        return self

    def __exit__(self, *_: object) -> None:
        _scripted.remove(self)
        while self._before:
            setattr(*self._before.pop())


def _pass(ms: float) -> None:
    """Let time pass: a scripted clock's where there is one, else everybody's."""
    if _scripted:
        _scripted[-1].advance(ms=ms)
    else:
        time.sleep(ms / 1e3)


class Constant(RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """A model that answers every row with one number.

    Parameters
    ----------
    value : float

    Examples
    --------
    >>> Constant(4.0).fit([[1], [2]], [0, 0]).predict([[7], [8], [9]]).tolist()
    [4.0, 4.0, 4.0]
    """

    def __init__(self, value: float = 0.0) -> None:
        self.value = value

    def fit(self, X: Any, y: Any = None) -> Self:  # noqa: N803, ARG002 - scikit-learn's names
        """Learn nothing but the columns."""
        _note_columns(self, X)
        return self

    def predict(self, X: Any) -> np.ndarray:  # noqa: N803
        """Return an ndarray of shape (n_rows,), float64."""
        return np.full(len(X), float(self.value))


class _Step(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """A step that hands its rows on unchanged, after doing what it is there for."""

    def fit(self, X: Any, y: Any = None) -> Self:  # noqa: N803, ARG002 - scikit-learn's names
        """Learn nothing but the columns; begin to count calls."""
        _note_columns(self, X)
        self.n_calls_ = 0
        return self

    def transform(self, X: Any) -> Any:  # noqa: N803
        """Misbehave, then return the same rows."""
        self.n_calls_ += 1
        self._misbehave(len(X) if hasattr(X, "__len__") else X.shape[0])
        return X

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Return the names of the columns, which stay as they are."""
        known = getattr(self, "feature_names_in_", None)
        names = input_features if input_features is not None else known
        if names is None:
            names = [f"x{place}" for place in range(self.n_features_in_)]
        return np.asarray(names, dtype=object)

    def _misbehave(self, n_rows: int) -> None:
        raise NotImplementedError


class Slow(_Step):
    """A step that takes its time.

    Parameters
    ----------
    ms : float
        For each call.
    ms_per_row : float
        Besides, for each row.

    Examples
    --------
    >>> slow = Slow(ms=30, ms_per_row=2).fit([[1], [2]])
    >>> with ScriptedClock() as clock:
    ...     slow.transform([[1], [2], [3]])
    [[1], [2], [3]]
    >>> clock.now_ns
    36000000
    """

    def __init__(self, ms: float = 30.0, *, ms_per_row: float = 0.0) -> None:
        self.ms = ms
        self.ms_per_row = ms_per_row

    def _misbehave(self, n_rows: int) -> None:
        _pass(self.ms + self.ms_per_row * n_rows)


class Broken(_Step):
    """A step that raises at every so many calls, after `GRACE`.

    Parameters
    ----------
    one_in : int
        1 raises at every call.

    Examples
    --------
    >>> broken = Broken(one_in=2).fit([[1]])
    >>> broken.n_calls_ = GRACE
    >>> broken.transform([[1]])
    [[1]]
    >>> broken.transform([[1]])
    Traceback (most recent call last):
    RuntimeError: broken on purpose
    """

    def __init__(self, one_in: int = 50) -> None:
        self.one_in = one_in

    def _misbehave(self, n_rows: int) -> None:  # noqa: ARG002
        calls = self.n_calls_ - GRACE
        if calls > 0 and calls % self.one_in == 0:
            raise RuntimeError("broken on purpose")


class Leaking(_Step):
    """A step that keeps memory with every call.

    Parameters
    ----------
    n_bytes : int
        Written, not only reserved, so that the process really grows.

    Examples
    --------
    >>> leaking = Leaking(n_bytes=1000).fit([[1]])
    >>> for _ in range(3):
    ...     rows = leaking.transform([[1]])
    >>> sum(map(len, leaking.kept_))
    3000
    """

    def __init__(self, n_bytes: int = 2**20) -> None:
        self.n_bytes = n_bytes

    def _misbehave(self, n_rows: int) -> None:  # noqa: ARG002
        self.__dict__.setdefault("kept_", []).append(bytearray(b"x" * self.n_bytes))


class Hanging(_Step):
    """A step that never returns from one call on; only another process can end it.

    Parameters
    ----------
    after : int
        Calls that it answers, at least `GRACE` if the version is to load.

    Examples
    --------
    >>> Hanging(after=100).fit([[1]]).transform([[1]])
    [[1]]
    """

    def __init__(self, after: int = 100) -> None:
        self.after = after

    def _misbehave(self, n_rows: int) -> None:  # noqa: ARG002
        while self.n_calls_ > self.after:
            time.sleep(60)


def _note_columns(estimator: Any, rows: Any) -> None:
    """Note number and names of the columns, as scikit-learn's own estimators do."""
    shape = rows.shape if hasattr(rows, "shape") else np.shape(rows)
    estimator.n_features_in_ = shape[1] if len(shape) > 1 else 1
    if hasattr(rows, "columns"):
        estimator.feature_names_in_ = np.asarray(rows.columns, dtype=object)
