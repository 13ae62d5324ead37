"""The training data of a version: the data sets its run logged, and the time range they cover.

Two versions with equal signatures can have learned from different worlds; this is the record that
tells them apart.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class TrainingData:
    """One data set a version was trained on, as far as its run tells.

    Parameters
    ----------
    name : str
        Name in the run, ``"training data"`` where only tags tell of it.
    digest : str, optional
        MLflow's digest of the data; equal data have equal digests.
    rows : int, optional
        Number of rows.
    since, until : str, optional
        Time range of the events in it, as the run's tags ``training_data.from`` and ``.to`` say.
    """

    name: str
    digest: str | None = None
    rows: int | None = None
    since: str | None = None
    until: str | None = None


def training_data(
    dataset_inputs: Iterable[Any], tags: Mapping[str, str]
) -> tuple[TrainingData, ...]:
    """Read a run's data sets and its ``training_data.…`` tags.

    Parameters
    ----------
    dataset_inputs : iterable of MLflow's DatasetInput
        Those logged for another purpose than training are left out.
    tags : mapping of str to str
        ``training_data.from``, ``.to``, ``.rows`` and ``.digest`` of the run complete the first
        data set, or make up one where none was logged. A data set's own tags of these names win.
    """
    found: list[TrainingData] = []
    for logged in dataset_inputs:
        own = {tag.key: tag.value for tag in logged.tags}
        if own.get("mlflow.data.context", "training").lower() in {"training", "train"}:
            first = not found
            found.append(_one(logged.dataset, {**(tags if first else {}), **own}))
    if not found and any(key.startswith("training_data.") for key in tags):
        found.append(_one(None, tags))
    return tuple(found)


def _one(dataset: Any, tags: Mapping[str, str]) -> TrainingData:
    rows = tags.get("training_data.rows") or _profile_rows(dataset)
    return TrainingData(
        name=dataset.name if dataset is not None else "training data",
        digest=tags.get("training_data.digest")
        or (dataset.digest if dataset is not None else None),
        rows=int(rows) if rows is not None and str(rows).isdecimal() else None,
        since=tags.get("training_data.from"),
        until=tags.get("training_data.to"),
    )


def _profile_rows(dataset: Any) -> int | None:
    try:
        profile = json.loads(dataset.profile)
        rows = profile["num_rows"]
    except (AttributeError, TypeError, ValueError, KeyError):
        return None
    return rows if isinstance(rows, int) else None
