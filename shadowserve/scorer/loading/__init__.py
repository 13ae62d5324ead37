"""Loading: a fetched version's files become an object that predicts. The one door to MLflow's loaders."""

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
