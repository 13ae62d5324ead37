"""What became of the requests that were sent: counts, times from when they were due, and which were refused."""

from __future__ import annotations

from array import array
from collections import Counter
from typing import Any, NamedTuple

import numpy as np
import orjson
from numpy.typing import NDArray

from shadowserve.replay.sending import Ended

MOST_LISTED = 50
"""Requests that are listed by name; all are counted."""
BUSY = (429, 503)
REFUSED_FROM, REFUSED_TO = 400, 499
QUANTILES = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "max": 1.0}


class Which(NamedTuple):
    """A recorded request, as it is told of."""

    position: int
    request_id: str


class Tally:
    """Takes in what became of each request.

    Attributes
    ----------
    statuses : Counter of int
        Answers.
    lost : Counter of str
        Requests without an answer, by why.
    codes : Counter of str
        Refusals by their code and column.
    refused : list of dict
        The first of those.
    """

    def __init__(self) -> None:
        self.statuses: Counter[int] = Counter()
        self.lost: Counter[str] = Counter()
        self.codes: Counter[str] = Counter()
        self.refused: list[dict[str, Any]] = []
        self._due, self._late, self._took = array("d"), array("d"), array("d")
        self._good = array("b")

    def __call__(self, end: Ended) -> None:
        """Take in what became of one."""
        self._due.append(end.due_s)
        self._late.append(end.sent_s - end.due_s)
        self._took.append(end.ended_s - end.due_s)
        self._good.append(end.status == 200)
        if end.why:
            self.lost[end.why] += 1
            return
        self.statuses[end.status] += 1
        if REFUSED_FROM <= end.status <= REFUSED_TO and end.status not in BUSY:
            self._refuse(end)

    @property
    def sent(self) -> int:
        """Requests that have come to an end."""
        return len(self._due)

    @property
    def answered(self) -> int:
        """Answers of status 200."""
        return self.statuses[200]

    @property
    def errors(self) -> int:
        """Requests that the target did not serve, though it might have: no answer, 5xx, 429."""
        bad = sum(n for status, n in self.statuses.items() if status >= 500 or status in BUSY)
        return bad + self.lost.total()

    def took_s(self) -> NDArray[np.float64]:
        """Return how long each took from when it was due, whatever came of it; ndarray of shape (n_sent,), seconds."""
        return np.frombuffer(self._took, dtype=np.float64) if self._took else np.zeros(0)

    def due_s(self) -> NDArray[np.float64]:
        """Return when each was due; ndarray of shape (n_sent,), seconds, in the order in which they ended."""
        return np.frombuffer(self._due, dtype=np.float64) if self._due else np.zeros(0)

    def late_s(self) -> NDArray[np.float64]:
        """Return how late each was sent; ndarray of shape (n_sent,), seconds."""
        return np.frombuffer(self._late, dtype=np.float64) if self._late else np.zeros(0)

    def good(self) -> NDArray[np.bool_]:
        """Tell which were answered with 200; ndarray of shape (n_sent,), bool."""
        return np.frombuffer(self._good, dtype=np.int8).astype(np.bool_) if self._good else np.zeros(0, np.bool_)  # fmt: skip

    def to_dict(self) -> dict[str, Any]:
        """Return the account as JSON has it; times in ms, null where there are none."""
        return {
            "sent": self.sent,
            "answered": self.answered,
            "statuses": {str(status): n for status, n in sorted(self.statuses.items())},
            "lost": dict(self.lost),
            "latency_ms": quantiles(self.took_s()[self.good()]),
            "late_ms": quantiles(self.late_s()),
            "refused": {
                "requests": sum(self.codes.values()),
                "by": dict(self.codes.most_common()),
                "listed": self.refused,
            },
        }

    def _refuse(self, end: Ended) -> None:
        code, column = _told(end)
        self.codes[f"{code}: {column}" if column else code] += 1
        if len(self.refused) < MOST_LISTED and isinstance(end.tag, Which):
            one = {"position": end.tag.position, "request_id": end.tag.request_id}
            self.refused.append({**one, "status": end.status, "code": code, "column": column})


def quantiles(seconds: NDArray[np.float64]) -> dict[str, float | None]:
    """Return quantiles in ms; None where there is nothing."""
    if not len(seconds):
        return dict.fromkeys(QUANTILES)
    found = np.quantile(seconds, list(QUANTILES.values())) * 1e3
    return {name: round(float(ms), 3) for name, ms in zip(QUANTILES, found, strict=True)}


def _told(end: Ended) -> tuple[str, str | None]:
    """Return code and column of a refusal, as far as its body tells; no value is in either."""
    try:
        told = orjson.loads(end.body)["error"]
        code, column = told["code"], told.get("column")
    except (ValueError, LookupError, TypeError):
        return f"status {end.status}", None
    return str(code)[:100], None if column is None else str(column)[:100]
