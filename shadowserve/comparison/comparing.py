"""Laying the champion's recorded answer and the lane's own side by side."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from shadowserve.comparison.bursts import ControlTime
from shadowserve.divergence import (
    Compared,
    Divergence,
    KindTally,
    Options,
    Revision,
    by_row,
    detect,
    divergence_of,
    kind_named,
    names,
    resumed,
    without,
)
from shadowserve.records import Observation, Outcome, Request
from shadowserve.schema.rows import Rows
from shadowserve.wire.likeness import alike
from shadowserve.wire.protocols import Protocol

DETECT_FROM = 20
"""Rows from which the kind of output is told, where neither team nor signature says it.

From fewer, whole numbers that happen to be small pass for labels. Until then each flush tells anew.
"""


class Scoring(NamedTuple):
    """A journaled request with the lane's observation of it, before comparison.

    Parameters
    ----------
    request, observation : Request, Observation
        What the champion did, as journaled, and what the lane saw.
    rows : Rows or None
        As the lane typed them; None where it could not.
    sizes : mapping of column to int
        Characters, bytes or items, summed over the rows.
    alone : bool
        Whether the times are the request's own.
    warmup : bool
        Whether the process had just started.
    inclusion : float
        Probability with which a request like this one is timed.
    share : float
        Probability with which it is scored at all.
    by : int
        Number of the scorer that scored it, 0 for the lane's own process.
    warm : bool
        Whether the lane had been scoring right before, so that the times may be paired.
    unit : int or None
        The entity that it is for; see `units`.
    pair : ControlTime or None
        The control's side, where both scored it in turn.
    """

    request: Request
    observation: Observation
    rows: Rows | None
    sizes: Mapping[str, int]
    alone: bool
    warmup: bool
    inclusion: float
    warm: bool = False
    unit: int | None = None
    pair: ControlTime | None = None
    share: float = 1.0
    by: int = 0

    @property
    def outcome(self) -> Outcome:
        """What became of the request."""
        champion_ok = self.request.status == 200
        if self.observation.fault is None:
            return Outcome.BOTH_OK if champion_ok else Outcome.CHAMPION_ERROR
        return Outcome.CHALLENGER_ERROR if champion_ok else Outcome.BOTH_ERROR


class Outputs(NamedTuple):
    """Both answers of one request as JSON values, one a row.

    Parameters
    ----------
    uneven : bool
        Whether they have different numbers of rows: then each side is one value, the whole answer.
    """

    champion: list[Any]
    lane: list[Any]
    uneven: bool = False


@dataclass(frozen=True, slots=True)
class Side:
    """A flush's comparable requests laid end to end.

    Parameters
    ----------
    starts : ndarray of shape (n_requests,)
        Index of each request's first row.
    """

    scorings: Sequence[Scoring]
    outputs: Sequence[Outputs]
    compared: Compared
    starts: np.ndarray

    @property
    def champion(self) -> list[Any]:
        """All champion rows."""
        return [row for one in self.outputs for row in one.champion]

    @property
    def lane(self) -> list[Any]:
        """All lane rows."""
        return [row for one in self.outputs for row in one.lane]

    def mean(self, values: np.ndarray) -> np.ndarray:
        """Return each request's mean over its rows; NaN rows enter none."""
        known = ~np.isnan(values)
        totals = np.add.reduceat(np.where(known, values, 0.0), self.starts)
        counts = np.add.reduceat(known.astype(np.float64), self.starts)
        means = np.full(len(self.starts), np.nan)
        np.divide(totals, counts, out=means, where=counts > 0)
        return means

    def any(self, flags: np.ndarray) -> np.ndarray:
        """Return whether any of each request's rows is flagged."""
        flagged: np.ndarray = np.add.reduceat(flags.astype(np.int64), self.starts) > 0
        return flagged


class Comparer:
    """Compares answers of the kind that the first ones show, or that the user names.

    Parameters
    ----------
    protocols : mapping of name to Protocol
        How each journaled answer is read.
    output_kind : str or None
        The user's word; else the kind is detected.
    signature : sequence of dict or None
        Outputs of the champion's signature.
    classes : list or None
        Class labels of a classifier.
    proba : bool
        Whether probabilities are served.
    ignore : collection of str
        Fields of the answer that are never compared.
    champion_classes : callable, optional
        Gives the champion's class labels once an answer of it has come; by default they are `classes`.
    """

    def __init__(
        self,
        protocols: Mapping[str, Protocol],
        *,
        output_kind: str | None = None,
        signature: Sequence[Mapping[str, Any]] | None = None,
        classes: list[Any] | None = None,
        proba: bool = False,
        ignore: Collection[str] = (),
        champion_classes: Callable[[], list[Any] | None] | None = None,
    ) -> None:
        self._protocols = protocols
        self._named = kind_named(output_kind) if output_kind else None
        self._signature = signature
        self._classes = classes
        self._proba = proba
        self._ignore = frozenset(ignore)
        self._champion_classes = champion_classes
        # A classifier's own classes leave nothing to revise: its numbers are labels.
        told = self._named is not None or (bool(classes) and not proba)
        self._revision = None if told else Revision()
        self._sample: list[Any] | None = []
        self.divergence: Divergence | None = None

    def resume(self, tally: KindTally) -> None:
        """Go on as before a restart: the kind, and the fields of an answer, are what was remembered."""
        self._sample = None
        self.divergence = resumed(tally, options=self._options())

    def _options(self) -> Options:
        # Class by class only probabilities are laid; labels name their class themselves.
        if not (self._classes and self._proba):
            return Options(ignore=self._ignore)
        # A retrained version may have its classes in another order, or one more.
        own = tuple(self._classes)
        theirs = self._champion_classes() if self._champion_classes else None
        return Options(
            champion_classes=tuple(theirs) if theirs else own, lane_classes=own, ignore=self._ignore
        )

    def compare(self, scorings: Sequence[Scoring]) -> Side | None:
        """Compare the requests that both sides answered; None if there is none."""
        both = [one for one in scorings if one.outcome is Outcome.BOTH_OK]
        if not both:
            return None
        outputs = [self._read(one) for one in both]
        divergence = self._settled_by(outputs)
        champion, lane = (
            [row for one in outputs for row in getattr(one, side)] for side in ("champion", "lane")
        )
        if self._revision is not None:
            divergence = self.divergence = self._revision.of(divergence, champion, lane)
        compared = divergence.compare(champion, lane)
        # All requests of a flush are compared in one call, and told apart again by where each
        # begins.
        lengths = [len(one.champion) for one in outputs]
        starts = np.concatenate([[0], np.cumsum(lengths)[:-1]]).astype(np.int64)
        return Side(both, outputs, compared, starts)

    def apart(self, request: Request, one: bytes, other: bytes) -> np.ndarray:
        """Return how far two answers to one request lie apart, row by row.

        Returns
        -------
        ndarray of shape (n_rows,), float64
            0 same, 1 disjoint; of shape (1,) where an answer has another number of rows. Before the
            kind of output is known, 1 for all that are not alike.
        """
        read = self._protocols[request.protocol].read
        left, right = (by_row(read(answer), request.n_rows) for answer in (one, other))
        if len(left) != len(right):
            # No row answers another one: each side is then one value.
            left, right = [left], [right]
        if self.divergence is None:
            rows = zip(without(left, self._ignore), without(right, self._ignore), strict=True)
            return np.asarray([float(not alike(a, b)) for a, b in rows])
        return self.divergence.compare(left, right).disagreement()

    def reads(self, request: Request) -> bool:
        """Tell whether the champion's answer can be read."""
        try:
            self._protocols[request.protocol].read(request.answer)
        except Exception:
            return False
        return True

    def _settled_by(self, outputs: Sequence[Outputs]) -> Divergence:
        """Return what compares, settled once the champion has answered for enough rows.

        One answer may be a whole number by chance, or a short text; twenty seldom are. Labels that turn
        out to be quantities are revised later, too.
        """
        if self._sample is None and self.divergence is not None:
            return self.divergence
        rows = [one.champion[0] if one.uneven else one.champion for one in outputs]
        self._sample = [*(self._sample or []), *(row for of_one in rows for row in of_one)]
        found = self._detect(self._sample)
        # The same kind goes on as the same object, or what was summed would begin anew.
        if self.divergence is None or _shape(found) != _shape(self.divergence):
            self.divergence = found
        if len(self._sample) >= DETECT_FROM:
            self._sample = None
        return self.divergence

    def _detect(self, sample: Sequence[Any]) -> Divergence:
        kind = self._named or detect(
            self._signature,
            sample,
            classifier=True if self._classes and not self._proba else None,
            n_classes=len(self._classes) if self._classes else None,
        )
        return divergence_of(
            kind, options=self._options(), outputs_signature=self._signature, sample=sample
        )

    def _read(self, scoring: Scoring) -> Outputs:
        """Read both answers; an answer with another number of rows is one whole difference."""
        read = self._protocols[scoring.request.protocol].read
        n_rows = scoring.request.n_rows
        champion = by_row(read(scoring.request.answer), n_rows)
        lane = by_row(read(scoring.observation.answer or b""), n_rows)
        if len(champion) != len(lane):
            return Outputs([champion], [lane], uneven=True)
        return Outputs(champion, lane)


def _shape(divergence: Divergence) -> tuple[str, tuple[str, ...]]:
    return divergence.kind, names(divergence)
