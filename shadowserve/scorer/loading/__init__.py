"""Loading: a fetched version's files become an object that predicts. The one door to MLflow's loaders.

Each name is imported when it is first used: an isolated version's process needs some of these modules and
has not what all of them need.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from shadowserve.scorer.loading.calling import Predict
    from shadowserve.scorer.loading.examples import input_example
    from shadowserve.scorer.loading.facts import Threads
    from shadowserve.scorer.loading.loaded import Loaded
    from shadowserve.scorer.loading.opening import import_mlflow, load, version_differences
    from shadowserve.scorer.structure.per_row import unknown_part

__all__ = [
    "Loaded",
    "Predict",
    "Threads",
    "import_mlflow",
    "input_example",
    "load",
    "unknown_part",
    "version_differences",
]

_HOMES = {
    "Loaded": "loading.loaded",
    "Predict": "loading.calling",
    "Threads": "loading.facts",
    "import_mlflow": "loading.opening",
    "input_example": "loading.examples",
    "load": "loading.opening",
    "unknown_part": "structure.per_row",
    "version_differences": "loading.opening",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"shadowserve.scorer.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
