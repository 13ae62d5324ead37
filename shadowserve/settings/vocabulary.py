"""The words that a team chooses from: kinds of output, losses, and methods of a model."""

from __future__ import annotations

from enum import StrEnum

METHODS = ("predict", "predict_proba")
"""What `--method` takes."""

LOSSES = (
    "error", "brier", "log_loss", "absolute_error", "squared_error", "miss", "rank_loss", "rank", "cost",
)  # fmt: skip
"""What ``loss`` in ``[verdict]`` takes. The kinds of output compute them and lie above the settings, which
must know a misspelt one before anything starts; a test holds the two to each other."""


class WhenBehind(StrEnum):
    """What a lane does that is far behind the traffic; the values are what `--when-behind` takes."""

    SCORE_ALL = "score-all"
    """Score everything, however late, until the journal's budget deletes what is oldest."""

    SAMPLE = "sample"
    """Score a share, evenly by entity, and count the rest as sampled out."""


FOLLOW_VARIABLE = "SHADOWSERVE_FOLLOW_AS"
"""How whoever follows an alias judges a version's files, and whether the former champion stays, as JSON."""
WHEN_BEHIND_VARIABLE = "SHADOWSERVE_LANE_WHEN_BEHIND"
"""Variable that tells a lane what it does when it is far behind: a `WhenBehind`."""

ARCHIVE_KEEPS = "SHADOWSERVE_ARCHIVE_KEEPS"
"""Variable that tells the archivist how long, or how much, it keeps: a `Keep`, spelled."""


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


PACKAGE_INDEX = "SHADOWSERVE_PACKAGE_INDEX"
"""Variable that tells who makes environments the index's address with its credentials, which stand in no file."""
