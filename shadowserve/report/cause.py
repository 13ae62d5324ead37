"""The cause of a divergence in a report, as `explain` found it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from shadowserve.judgement.findings.concentration import CONCENTRATION
from shadowserve.judgement.findings.prediction_divergence import PREDICTION_DIVERGENCE
from shadowserve.judgement.findings.score_shift import SCORE_SHIFT
from shadowserve.judgement.findings.slice_divergence import SLICE_DIVERGENCE
from shadowserve.state import causes
from shadowserve.state.deployment import Deployment
from shadowserve.state.places import Places

EXPLAINED = frozenset(
    one.name for one in (PREDICTION_DIVERGENCE, SCORE_SHIFT, SLICE_DIVERGENCE, CONCENTRATION)
)
"""Findings that tell of other answers, which a cause is of."""


def found(places: Places, deployment: Deployment, challenger: int) -> dict[str, Any] | None:
    """Return what `explain` found last; None where nobody has asked."""
    lane = deployment.lane_of(challenger)
    return causes.read(places.lane(lane.role, lane.version, lane.stay))


def of_finding(kind: str, cause: Mapping[str, Any] | None) -> str | None:
    """Return the cause of a finding in words; None where it is not of answers, or nobody has asked."""
    if cause is None or kind not in EXPLAINED:
        return None
    return str(cause["says"])
