"""What becomes of a flush that cannot be taken in whole: each request by itself, with an outcome.

What a model answers is compared, remembered and encoded long after its call. Where one answer cannot
be, its request is recorded as failed, and its neighbours as what they are.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Protocol

from shadowserve.comparison.comparing import Comparer, Scoring
from shadowserve.faults import fault_of, tell, to_json
from shadowserve.records import Comparison, Fault, Observation

_log = logging.getLogger(__name__)


class Learner(Protocol):
    """What takes flushes in, and can go back to before the last; `run.Lane` is one."""

    comparer: Comparer

    def learn(
        self, scorings: Sequence[Scoring], skipped: Sequence[Comparison] = ()
    ) -> Sequence[Comparison]:
        """Take in a flush whole."""

    def forget(self) -> None:
        """Go back to before what failed."""


def learn(
    lane: Learner, scorings: Sequence[Scoring], skipped: Sequence[Comparison]
) -> Sequence[Comparison]:
    """Take in a flush; where that fails, each of its requests alone.

    Returns
    -------
    list of Comparison
        One a scoring, in their order.

    Raises
    ------
    OSError
        If a file cannot be read or written now: that is no request's fault.
    """
    try:
        return lane.learn(scorings, skipped)
    except OSError:
        raise
    except Exception as error:
        fault = fault_of(error, step="compare")
        tell(_log, "a flush cannot be taken in whole: %s at %s", fault.type, fault.frame)
    lane.forget()
    # What was skipped has no answer that could be at fault.
    if skipped:
        lane.learn((), skipped)
    return [one for scoring in scorings for one in _alone(lane, scoring)]


def _alone(lane: Learner, scoring: Scoring) -> Sequence[Comparison]:
    """Take in one request; as a failure, where it cannot be taken as what it is."""
    try:
        return lane.learn([scoring])
    except OSError:
        raise
    except Exception as error:
        fault = fault_of(error, step="compare")
    lane.forget()
    place = scoring.request.position
    tell(_log, "request at %d cannot be compared: %s at %s", place, fault.type, fault.frame)
    return lane.learn([_failed(lane, scoring, fault)])


def _failed(lane: Learner, scoring: Scoring, fault: Fault) -> Scoring:
    """Return the request as one that failed: the champion's answer at fault, or the lane's."""
    request, seen = scoring.request, scoring.observation
    # Without rows and sizes: what cannot be taken in may lie there.
    bare = scoring._replace(rows=None, sizes={})
    if not lane.comparer.reads(request):
        request = request._replace(status=500, answer=to_json(fault))
        return bare._replace(request=request, observation=seen._replace(scores=None))
    return bare._replace(observation=Observation(fault=fault))
