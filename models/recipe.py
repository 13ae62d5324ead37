"""What one version is made of: rows, an estimator, the code it ships. Read by `models.register`."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

import numpy as np
import pandas as pd

ColumnType = Literal["long", "double", "string"]


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a model's signature; an optional one may be null in a request."""

    name: str
    type: ColumnType
    optional: bool = False


@dataclass(frozen=True, slots=True)
class Training:
    """What a version learns from.

    Parameters
    ----------
    rows : DataFrame of shape (n_rows, n_columns)
        Columns as in the signature.
    target : ndarray of shape (n_rows,)
        What is to be predicted.
    name : str
        Name of the data set in MLflow.
    source : str
        Where the data came from, as a URL.
    since, until : date, optional
        Days of the first and last event. None where the data carry no dates.
    """

    rows: pd.DataFrame
    target: np.ndarray
    name: str
    source: str
    since: date | None = None
    until: date | None = None


@dataclass(frozen=True, slots=True)
class Recipe:
    """One version of a registered model.

    Parameters
    ----------
    about : str
        The version's description in the registry.
    training : callable
        Returns its `Training`; called only when the version is missing.
    build : callable
        Returns an unfitted estimator, or an unfitted pyfunc with a `fit`.
    code : tuple of Path
        Files shipped with the version; each is importable by its bare name where it is loaded.
    output : tuple, optional
        Dtype and shape of the answer, where it is not the model's usual one.
    """

    about: str
    training: Callable[[], Training]
    build: Callable[[], Any]
    code: tuple[Path, ...] = ()
    output: tuple[str, tuple[int, ...]] | None = None


@dataclass(frozen=True, slots=True)
class ModelRecipes:
    """A registered model: its signature and its versions, v1 first.

    Parameters
    ----------
    output : tuple of str and tuple of int
        Dtype and shape of the answer; -1 stands for the number of rows.
    items : callable, optional
        Returns the names of what is recommended, by id; kept with each training run as
        ``items.json``, so that a report can name them.
    """

    name: str
    columns: tuple[Column, ...]
    output: tuple[str, tuple[int, ...]]
    versions: tuple[Recipe, ...]
    items: Callable[[], Mapping[int, str]] | None = None

    def frame(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Columns of the signature, in its order."""
        return rows[[column.name for column in self.columns]]


def shipped(path: Path) -> ModuleType:
    """Import a file by its bare name, as it will be known where the version is loaded.

    A pickled object holds its class as ``module.name``. `models` does not exist where a version is
    served, so shipped code must never be known under it.
    """
    name = path.stem
    loaded = sys.modules.get(name)
    if loaded is not None and loaded.__file__ == str(path):
        return loaded
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path.name} is no Python file; shipped code must be one module.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module
