"""The input example that was saved with a model, as the body of a request that it is tried with."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from shadowserve.versions.mlmodel import read_flavors


def input_example(path: Path) -> Any:
    """Return the input example saved with a model as a body for ``/invocations``.

    Returns
    -------
    object or None
        Parsed JSON: ``{"dataframe_split": …}``, ``{"inputs": …}``, …; None without an example.
        What MLflow wrote for missing or infinite values and is no JSON is null.
    """
    info = read_flavors(path).get("saved_input_example_info") or {}
    saved = info.get("serving_input_path") or info.get("artifact_path")
    if saved is None or not (path / saved).is_file():
        return None
    example = _without_nan(json.loads((path / saved).read_text(encoding="utf-8")))
    if info.get("serving_input_path"):
        return example
    if info.get("type") == "dataframe":
        return {f"dataframe_{info.get('pandas_orient', 'split')}": example}
    return {"inputs": example.get("inputs", example) if isinstance(example, dict) else example}


def _without_nan(value: Any) -> Any:
    """Replace NaN, infinity and ``"NaT"``, which a frame's missing values are saved as, by null."""
    if isinstance(value, dict):
        return {key: _without_nan(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_without_nan(each) for each in value]
    is_none = value == "NaT" or (isinstance(value, float) and not math.isfinite(value))
    return None if is_none else value
