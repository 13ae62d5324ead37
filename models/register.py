"""Train and register the demo's versions: ``python -m models.register``.

Whatever is missing is made, version by version and in order, so that an interrupted run is simply
started again. Seeds are fixed: the same commit gives the same versions.
"""

from __future__ import annotations

import hashlib
import importlib
import logging
import os
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click
import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.models import ModelSignature
    from mlflow.types import Schema

    from models.recipe import ModelRecipes, Recipe, Training

MODELS = ("films", "likes", "diamonds")
ALIASES = {"champion": 3, "challenger": 4}
N_VERSIONS = 5

_REQUIREMENTS = ("numpy", "pandas", "scipy", "scikit-learn", "cloudpickle")


def ensure(
    tracking_uri: str,
    *,
    models: Iterable[str] = MODELS,
    progress: Callable[[str], None] | None = None,
) -> list[str]:
    """Train and register what is missing at `tracking_uri`; quick where nothing is.

    Parameters
    ----------
    tracking_uri : str
        Where runs and registered models live, such as ``sqlite:///mlflow.db``.
    models : iterable of str
        Among ``films``, ``likes`` and ``diamonds``.
    progress : callable, optional
        Called with a line for each version made.

    Returns
    -------
    list of str
        Pins of the versions made by this call, such as ``films:3``; empty when all were there.
    """
    made: list[str] = []
    with _mlflow_at(tracking_uri) as client:
        for name in models:
            if _latest(client, name) < N_VERSIONS:
                recipes = getattr(importlib.import_module(f"models.{name}"), name.upper())
                made += _complete(client, recipes, progress or _silent)
            _set_aliases(client, name)
    return made


def complete(recipes: ModelRecipes, tracking_uri: str) -> list[str]:
    """Train and register what is missing of one model; return the pins made."""
    with _mlflow_at(tracking_uri) as client:
        return _complete(client, recipes, _silent)


@click.command()
@click.option("--tracking-uri", help="Default: MLFLOW_TRACKING_URI, else sqlite:///mlflow.db.")
@click.option("--only", multiple=True, type=click.Choice(MODELS), help="Repeatable.")
def main(tracking_uri: str | None, only: tuple[str, ...]) -> None:
    """Train and register the versions that the demo and the benchmarks play with."""
    uri = tracking_uri or os.environ.get("MLFLOW_TRACKING_URI") or "sqlite:///mlflow.db"
    made = ensure(uri, models=only or MODELS, progress=lambda line: click.echo(line, err=True))
    click.echo(" ".join(made) or "Nothing was missing.")


def _silent(line: str) -> None:
    """Say nothing."""


def _latest(client: MlflowClient, name: str) -> int:
    """Highest version number of a registered model, 0 where it is not registered."""
    versions = client.search_model_versions(f"name = '{name}'")
    return max((int(version.version) for version in versions), default=0)


def _set_aliases(client: MlflowClient, name: str) -> None:
    there = {alias: int(v) for alias, v in client.get_registered_model(name).aliases.items()}
    for alias, version in ALIASES.items():
        if alias not in there:
            client.set_registered_model_alias(name, alias, str(version))


def _complete(
    client: MlflowClient, recipes: ModelRecipes, progress: Callable[[str], None]
) -> list[str]:
    experiment_id = _experiment(client, f"training/{recipes.name}")
    n_there = _latest(client, recipes.name)
    made = []
    for number, recipe in enumerate(recipes.versions[n_there:], start=n_there + 1):
        progress(f"{recipes.name} v{number}: {recipe.about}")
        version = _register(recipes, recipe, client=client, experiment_id=experiment_id)
        made.append(f"{recipes.name}:{version}")
    return made


def _experiment(client: MlflowClient, name: str) -> str:
    found = client.get_experiment_by_name(name)
    return str(found.experiment_id if found else client.create_experiment(name))


def _register(
    recipes: ModelRecipes, recipe: Recipe, *, client: MlflowClient, experiment_id: str
) -> int:
    """Train one version in a run of its own and register it; return its number."""
    import mlflow

    training = recipe.training()
    described = signature(recipes, recipe)
    with threadpool_limits(1):  # the same sums in the same order, and no fight for busy cores
        model = recipe.build().fit(training.rows, training.target)
    with mlflow.start_run(experiment_id=experiment_id, run_name=training.name) as run:
        _describe_training(client, run.info.run_id, training, described.inputs)
        if recipes.items:
            client.log_dict(run.info.run_id, recipes.items(), "items.json")
        info = _log(recipes, recipe, model, training, described)
    if not client.search_registered_models(f"name = '{recipes.name}'"):
        client.create_registered_model(recipes.name)
    version = client.create_model_version(
        recipes.name,
        source=info.model_uri,
        run_id=run.info.run_id,
        model_id=info.model_id,
        description=recipe.about,
    )
    return int(version.version)


def _describe_training(
    client: MlflowClient, run_id: str, training: Training, schema: Schema
) -> None:
    import mlflow
    from mlflow.entities import DatasetInput

    rows = training.rows.assign(target=training.target)
    dataset = mlflow.data.from_pandas(
        rows,
        source=training.source,
        targets="target",
        name=training.name,
        digest=_digest(rows),
    )
    dataset.schema = schema  # else MLflow looks at every value to find it out
    client.log_inputs(run_id, datasets=[DatasetInput(dataset=dataset._to_mlflow_entity())])
    tags = {"training_data.digest": dataset.digest, "training_data.rows": str(len(rows))}
    if training.since and training.until:
        tags["training_data.from"] = training.since.isoformat()
        tags["training_data.to"] = training.until.isoformat()
    for key, value in tags.items():
        client.set_tag(run_id, key, value)


def _digest(rows: pd.DataFrame) -> str:
    """Return 16 hex digits over every value; MLflow's own digest stops at 10,000 rows."""
    hashes = pd.util.hash_pandas_object(rows, index=False).to_numpy()
    return hashlib.sha256(hashes.tobytes()).hexdigest()[:16]


def _log(
    recipes: ModelRecipes,
    recipe: Recipe,
    model: Any,
    training: Training,
    signature: ModelSignature,
) -> Any:
    import mlflow

    shared: dict[str, Any] = {
        "name": recipes.name,
        "code_paths": [str(path) for path in recipe.code] or None,
        "signature": signature,
        "input_example": recipes.frame(training.rows).dropna().head(2).reset_index(drop=True),
        "pip_requirements": _requirements(),
    }
    if isinstance(model, mlflow.pyfunc.PythonModel):
        return mlflow.pyfunc.log_model(python_model=model, **shared)
    # skops would have to be told to trust the shipped classes; cloudpickle names them by module
    return mlflow.sklearn.log_model(model, serialization_format="cloudpickle", **shared)


def signature(recipes: ModelRecipes, recipe: Recipe) -> ModelSignature:
    """Return a version's signature; a column that may be null is not required."""
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema, TensorSpec

    inputs = [ColSpec(c.type, c.name, required=not c.optional) for c in recipes.columns]
    dtype, shape = recipe.output or recipes.output
    return ModelSignature(
        inputs=Schema(inputs), outputs=Schema([TensorSpec(np.dtype(dtype), shape)])
    )


def _requirements() -> list[str]:
    """Exact versions, named here: letting MLflow find them out takes ten seconds a version."""
    from importlib.metadata import version

    return [f"{package}=={version(package)}" for package in ("mlflow", *_REQUIREMENTS)]


@contextmanager
def _mlflow_at(uri: str) -> Iterator[MlflowClient]:
    """Point this process's MLflow at `uri`, without its advice on pickles, and back again."""
    import mlflow

    before = mlflow.get_tracking_uri(), mlflow.get_registry_uri()
    logger = logging.getLogger("mlflow")
    level = logger.level
    mlflow.set_tracking_uri(uri)
    mlflow.set_registry_uri(uri)
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield mlflow.MlflowClient(tracking_uri=uri, registry_uri=uri)
    finally:
        logger.setLevel(level)
        mlflow.set_tracking_uri(before[0])
        mlflow.set_registry_uri(before[1])


if __name__ == "__main__":
    main()
