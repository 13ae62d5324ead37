"""What a lane remembers of outputs: how far they lie apart, where, since when, and the worst."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from operator import is_
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import orjson

from shadowserve.comparison.collapse import Collapses
from shadowserve.comparison.comparing import Scoring, Side
from shadowserve.comparison.comparisons import Comparisons
from shadowserve.comparison.doubt import Doubt
from shadowserve.comparison.episodes import Episodes
from shadowserve.divergence import Divergence, KindTally, tally
from shadowserve.records import Comparison
from shadowserve.schema.disclosure import Disclosure
from shadowserve.state.lane_reading import summary
from shadowserve.statistics.changepoint import ChangeDetector
from shadowserve.statistics.sequential import MeanSequence, paired_mean
from shadowserve.statistics.slices import Columns, SliceSearch, kind_of
from shadowserve.statistics.stored import Stored, listed, maybe, of, plain
from shadowserve.statistics.tally import Worst

WORST = 50
MOST_NAMED = 5
MOST_CELLS = 4_096
"""Beyond so many cells, of some hundred columns, nothing is noted for labels: half a kilobyte a request."""

Membership = tuple[int, str, bytes]
_MEANS = (
    "disagreement", "intolerant", "judged", "judged_intolerant", "nonfinite",
    "champion_nonfinite", "more_nonfinite",
)  # fmt: skip


class Outputs(Stored):
    """How the outputs of both versions lie to each other.

    `disagreement` and `intolerant` (beyond tolerance) are told of all requests; what is judged, here and
    in the slices, is the first request of each unit.

    Parameters
    ----------
    change_alpha : float
        Probability that a lasting change is ever seen where there is none.
    """

    parts: ClassVar = {
        "tally": maybe(of(KindTally)),
        **dict.fromkeys(_MEANS, of(MeanSequence)),
        "nonfinite_episodes": of(Episodes).young,
        "change": of(ChangeDetector),
        "slices": maybe(of(SliceSearch)),
        "nonfinite_slices": maybe(of(SliceSearch)),
        "worst": of(Worst),
        "collapses": of(Collapses).young,
        "first_differing": plain,
        "revised": listed.young,
    }

    def __init__(self, *, change_alpha: float = 0.001) -> None:
        self._compared_by: Divergence | None = None
        self.revised: list[str] = []
        self._memberships: list[Membership] = []
        self._begin(change_alpha)

    def _begin(self, change_alpha: float) -> None:
        self.tally: KindTally | None = None
        self.disagreement = MeanSequence()
        self.intolerant = MeanSequence()
        self.judged = MeanSequence()
        self.judged_intolerant = MeanSequence()
        self.nonfinite = MeanSequence()
        self.champion_nonfinite = MeanSequence()
        self.more_nonfinite = paired_mean(1.0)
        self.nonfinite_episodes = Episodes()
        self.change = ChangeDetector(change_alpha)
        self.slices: SliceSearch | None = None
        self.nonfinite_slices: SliceSearch | None = None
        self.worst = Worst(WORST)
        self.collapses = Collapses()
        self.first_differing: int | None = None

    @property
    def kind(self) -> str | None:
        """Name of the kind of output, once it is known."""
        return self.tally.kind if self.tally else None

    def add(
        self,
        side: Side,
        comparisons: Sequence[Comparison],
        divergence: Divergence,
        *,
        disclosure: Disclosure,
        first: np.ndarray | None = None,
        lately: np.ndarray | None = None,
        shared: Shared | None = None,
    ) -> None:
        """Take in the requests that both sides answered.

        Parameters
        ----------
        first, lately : ndarray of shape (n_requests,), bool, optional
            Which of them are the first of their unit, ever and lately (`units`); by default all.
        shared : Shared, optional
            Columns that were laid out already.
        """
        told = Comparisons.of(comparisons)
        every = np.ones(len(told), dtype=np.bool_)
        first, lately = every if first is None else first, every if lately is None else lately
        # Numbers summed as labels cannot be taken back, so what was summed goes.
        if self._is_other(divergence):
            self._revise(divergence)
        self._compared_by = divergence
        if self.tally is None:
            self.tally = tally(divergence)
        champion, lane = side.champion, side.lane
        self.tally.add(champion, lane, side.compared)
        judged = side.starts[first].tolist()  # one row of each request: rows of one are alike
        self.collapses.add(self.tally, [champion[i] for i in judged], [lane[i] for i in judged])
        by_row = side.compared.disagreement()
        by_request, positions, differing = told.disagreement, told.position, ~told.tolerant
        self.disagreement.add(by_request)
        self.intolerant.add(differing)
        self.judged.add(by_request[first])
        self.judged_intolerant.add(differing[first])
        own, theirs = (
            side.any(flags).astype(np.float64)
            for flags in (side.compared.lane_nonfinite, side.compared.champion_nonfinite)
        )
        self.nonfinite.add(own)
        self.champion_nonfinite.add(theirs)
        self.more_nonfinite.add((own - theirs)[first])
        self.nonfinite_episodes.add(own > theirs, theirs > own, told.arrived_wall_ns)
        # A change is told by who came lately: an entity's first request lies before it.
        self.change.add(np.maximum(by_request, 0.0)[lately], positions[lately])
        self.worst.add(by_request, positions, told.request_id)
        # An example for the reader, and when it began to matter.
        if self.first_differing is None and differing.any():
            self.first_differing = int(positions[differing][0])
        graded = self.tally.of.graded(self.tally.parts, side.compared)
        columns = (shared or Shared()).columns_of(side.scorings)
        members = self._add_slices(side, columns, graded, first=first, disclosure=disclosure)
        if members is not None and self.slices is not None:
            # A label is of a request; in one of many rows it is not known which row it is about.
            n_rows = np.diff([*side.starts, len(by_row)])[first]
            at, single = np.cumsum(n_rows) - n_rows, n_rows == 1
            self._note(members[at[single]], positions[first][single])

    def _is_other(self, divergence: Divergence) -> bool:
        """Whether another kind is compared than so far, also by another process."""
        # Within a process it is the same object as long as nothing was revised.
        if self._compared_by is not None:
            return divergence is not self._compared_by
        return self.tally is not None and _kinds(self.tally) != _kinds(divergence)

    def _revise(self, divergence: Divergence) -> None:
        """Begin anew: the first rows had looked like another kind."""
        was, n = self.tally, self.disagreement.n
        if was is not None and _kinds(was) != _kinds(divergence):
            old, new = _kinds(was), _kinds(divergence)
            fields = [name for name in new if new[name] != old.get(name)]
            what = ", ".join(f"'{name}'" if name else "answers" for name in fields[:MOST_NAMED])
            self.revised = [
                *self.revised[-MOST_NAMED:],
                f"{what} had been compared as {old.get(fields[0], was.kind)} for {n:,} requests and "
                f"proved to be {new[fields[0]]}: what was remembered of them begins anew "
                "(--output-kind settles it)",
            ]
        self._begin(self.change.alpha)

    def _note(self, members: np.ndarray, positions: np.ndarray) -> None:
        """Note the cells of requests of one row, so that labels can be cut by them."""
        # Without a mark the cells are not fixed yet, and places would mean another cell later.
        if self.slices is None or not self.slices.mark or members.shape[1] > MOST_CELLS:
            return
        packed = np.packbits(members, axis=1)
        self._memberships += [
            (int(position), self.slices.mark, bits.tobytes())
            for position, bits in zip(positions, packed, strict=True)
        ]

    def new_memberships(self) -> list[Membership]:
        """Hand over which cells requests lie in since the last time: position, mark and packed bits."""
        found, self._memberships = self._memberships, []
        return found

    def _add_slices(
        self,
        side: Side,
        columns: Columns | None,
        by_row: np.ndarray,
        *,
        first: np.ndarray,
        disclosure: Disclosure,
    ) -> np.ndarray | None:
        """Search slices over typed columns of each unit's first; requests are laid end to end."""
        if columns is None or len(next(iter(columns.values()))) != len(by_row):
            return None
        # A request counts or does not count with all of its rows.
        rows = np.repeat(first, np.diff([*side.starts, len(by_row)]))
        columns = columns.taken(rows)
        self.slices = searching(self.slices, columns, disclosure)
        if not self.slices.fits(columns):
            return None
        members = self.slices.add(columns, by_row[rows])
        self.nonfinite_slices = searching(self.nonfinite_slices, columns, disclosure)
        self.nonfinite_slices.add(columns, side.compared.nan_mismatch[rows].astype(np.float64))
        return members

    def add_doubts(self, doubts: Sequence[Doubt]) -> None:
        """Take in what came of the requests that were scored again since they differ."""
        for one in doubts:
            columns, whole = one.rows.columns, one.rows.n_rows == one.persisting.size
            if self.slices is not None and whole and self.slices.fits(columns):
                self.slices.add_again(columns, one.persisting)


def kind_compared(state: Path) -> str | None:
    """Return the kind of output that a lane's file tells of; None before it is known."""
    written = summary(state, "outputs")
    tallied = orjson.loads(written)["tally"] if written else None
    return str(tallied["of"]) if tallied else None


def _kinds(of: KindTally | Divergence) -> dict[str, str]:
    """Return the kind of an answer, or of each of its fields by name."""
    fields: Mapping[str, Any] = getattr(of, "fields", None) or {}
    return {name: part.kind for name, part in fields.items()} or {"": of.kind}


def searching(
    search: SliceSearch | None, columns: Mapping[Any, np.ndarray], disclosure: Disclosure
) -> SliceSearch:
    """Return the search to go on with: a new one at first, and where less may be kept than was."""
    # A search keeps values of open columns; once a column is closed they must be gone.
    if search is not None and search.obeys(disclosure):
        return search
    kinds = {name: kind_of(values.dtype) for name, values in columns.items()}
    return SliceSearch(kinds, disclosure=disclosure)


def columns_of(scorings: Sequence[Scoring]) -> Columns | None:
    """Lay the columns that all requests have end to end; None where they share none."""
    rows = [one.rows for one in scorings if one.rows is not None]
    if len(rows) != len(scorings) or not rows or not rows[0].columns:
        return None
    # A model without signature takes what callers send, and not all send the same columns.
    names = [name for name in rows[0].columns if all(name in part.columns for part in rows)]
    if not names:
        return None
    return Columns({name: np.concatenate([part.columns[name] for part in rows]) for name in names})


class Shared:
    """The columns of one flush, laid out once for the searches that look at the same requests."""

    def __init__(self) -> None:
        self._of: Sequence[Scoring] = ()
        self._columns: Columns | None = None

    def columns_of(self, scorings: Sequence[Scoring]) -> Columns | None:
        """Return what `columns_of` does; the same as the last time for the same requests."""
        if len(scorings) != len(self._of) or not all(map(is_, scorings, self._of)):
            self._of, self._columns = scorings, columns_of(scorings)
        return self._columns
