"""Shadow serving (dark launch) for machine-learning models.

`step` names a part of a model's own code, so that its time is told apart. `TapMiddleware` copies what
an app of yours is asked and answers to a deployment that shadows it. The others read what a
deployment has left in MLflow or in its state directory; they are imported when first used, since
MLflow and pandas take seconds.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from shadowserve.errors import ShadowserveError
from shadowserve.steps import step

if TYPE_CHECKING:
    from shadowserve.runs import (
        comparisons,
        lanes,
        local_comparisons,
        read_report,
        replay_request,
        replayable_requests,
        scan_comparisons,
        scan_local_comparisons,
        window_metrics,
    )
    from shadowserve.tap import TapMiddleware

__all__ = [
    "ShadowserveError",
    "TapMiddleware",
    "comparisons",
    "lanes",
    "local_comparisons",
    "read_report",
    "replay_request",
    "replayable_requests",
    "scan_comparisons",
    "scan_local_comparisons",
    "step",
    "window_metrics",
]

_OF_RUNS = frozenset(__all__) - {"ShadowserveError", "TapMiddleware", "step"}


def __getattr__(name: str) -> Any:
    if name in _OF_RUNS:
        return getattr(import_module("shadowserve.runs"), name)
    if name == "TapMiddleware":
        return import_module("shadowserve.tap").TapMiddleware
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
