"""The words that a team chooses from: kinds of output, and methods of a model."""

from __future__ import annotations

from enum import StrEnum

METHODS = ("predict", "predict_proba")
"""What `--method` takes."""


class Kind(StrEnum):
    """Kinds of output; the values are what `--output-kind` takes."""

    NUMBER = "number"
    LABEL = "label"
    PROBABILITY = "probability"
    RANKING = "ranking"
    SET = "set"
    TEXT = "text"
    VECTOR = "vector"
    MULTI = "multi"
    RECORD = "record"
