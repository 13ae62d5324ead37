"""From a fetched version's files to an object that predicts: the one door to MLflow's loaders."""

from shadowserve.loading.calling import Predict
from shadowserve.loading.examples import input_example
from shadowserve.loading.facts import Threads
from shadowserve.loading.opening import METHODS, Loaded, load, version_differences
from shadowserve.loading.per_row import unknown_part

__all__ = [
    "METHODS",
    "Loaded",
    "Predict",
    "Threads",
    "input_example",
    "load",
    "unknown_part",
    "version_differences",
]
