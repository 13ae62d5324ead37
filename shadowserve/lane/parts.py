"""What a lane is made of: put together by its process, and known to all that works in it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from shadowserve.comparison.comparing import Comparer
from shadowserve.comparison.learned import Learned
from shadowserve.journal.reader import JournalReader
from shadowserve.lane.again import Second
from shadowserve.lane.backlog import Backlog
from shadowserve.lane.company import Company
from shadowserve.lane.lock import ScoringLock
from shadowserve.lane.observing import Observer
from shadowserve.lane.refused import RefusedRequests
from shadowserve.lane.rescoring import Rescorer
from shadowserve.lane.scorers import Scorers
from shadowserve.lane.steady import Steady
from shadowserve.lane.stopwatch import Stopwatch
from shadowserve.lane.turns import Answering, Asking
from shadowserve.lane.warmth import Warmth
from shadowserve.schema.disclosure import Disclosure
from shadowserve.scorer.featurization.categories import Categories
from shadowserve.state.deployment import LaneName
from shadowserve.state.inflight import InFlight
from shadowserve.state.lane_file import LaneState
from shadowserve.state.metrics import RoleMetrics
from shadowserve.state.places import LanePlaces, Places
from shadowserve.statistics.switchback import Schedule


@dataclass(slots=True)
class Parts:
    """The parts of one lane.

    Parameters
    ----------
    name : LaneName
        Role and version.
    places : Places
        The state directory.
    observer, comparer, rescorer
        Score, compare, and score again.
    learned : Learned
        As of the state file's cursor when the lane begins; what it learns since lies in `Commits`.
    disclosure : Disclosure
        What may be kept of the values.
    schedule : Schedule
        When lanes stand still, so that callers' times without them are known.
    warmth : Warmth
        Whether what is timed now may be paired.
    limit : callable
        The cursor that this lane must not pass; the control follows the challengers.
    entity : str or None
        Column with the user or entity of a request.
    lock : ScoringLock or None
        Taken while lanes are more than the CPUs that they have.
    seconds : sequence of Second
        What scores some requests a second time later.
    asking : Asking or None
        A challenger's way to take turns with the control.
    answering : Answering or None
        The control's way to take turns with the challengers.
    company : Company or None
        Scores recorded requests among each other; None where nothing may be scored again.
    refused : RefusedRequests or None
        Tries what the champion refused by a challenger's signature.
    categories : mapping of column to Categories
        What the version knows of its columns of categories.
    clock : Stopwatch
        Where the lane's time goes.
    memory_bytes : int or None
        What the process may hold before it is ended for that.
    backlog : Backlog or None
        How far behind the lane is, and what share it scores meanwhile; None where all is scored.
    scorers : Scorers or None
        Further processes of the version; None where the lane's own is the only one.
    steady : Steady or None
        Where requests were recorded before: what is recorded of them rests on nothing but them.
    """

    name: LaneName
    places: Places
    observer: Observer
    comparer: Comparer
    rescorer: Rescorer | None
    learned: Learned
    state: LaneState
    tail: JournalReader
    inflight: InFlight
    metrics: RoleMetrics
    disclosure: Disclosure
    schedule: Schedule
    warmth: Warmth
    limit: Callable[[], Mapping[int, int] | None] = lambda: None
    stopping: Callable[[], bool] = lambda: False
    entity: str | None = None
    lock: ScoringLock | None = None
    seconds: Sequence[Second] = ()
    asking: Asking | None = None
    answering: Answering | None = None
    company: Company | None = None
    refused: RefusedRequests | None = None
    categories: Mapping[str, Categories] = field(default_factory=dict)
    clock: Stopwatch = field(default_factory=Stopwatch)
    memory_bytes: int | None = None
    backlog: Backlog | None = None
    scorers: Scorers | None = None
    steady: Steady | None = None
    first_state: tuple[str, str | None] = ("running", None)

    @property
    def files(self) -> LanePlaces:
        """The lane's own files."""
        return self.places.lane(self.name.role, self.name.version, self.name.stay)
