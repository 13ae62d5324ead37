"""What is known of old requests that were asked again after the disagreement had jumped.

Other traffic and a changed version look alike in a stream of disagreement. They do not to an old
request: the version answers it as it did then, or it does not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from math import log
from typing import Any, ClassVar

from shadowserve.statistics.changepoint import Change
from shadowserve.statistics.sequential import log_e_sign
from shadowserve.statistics.stored import Part, Stored, keyed, maybe, plain

LEAST_SHARE = 0.05
LOOKS = 3
MAX_MS = 50.0
"""A version that usually takes longer is asked no old requests again."""


@dataclass(slots=True)
class Seen:
    """One old request, asked twice now.

    Parameters
    ----------
    alone : bool
        Both answers of now are alike, and the one of then is another.
    other : bool
        One of those of now stands alone.
    look : int
        At which look it was asked.
    """

    alone: bool
    other: bool
    look: int = 0


@dataclass(frozen=True, slots=True)
class Weighed:
    """What the old requests say.

    Parameters
    ----------
    replayed : int
        Requests that were asked again, by both lanes where there is a control.
    changed : int
        Of these, how many are answered alike twice now and otherwise than then.
    looks : int
        Looks at which any was.
    evidence : float
        Log evidence that the version has changed, and the champion's not with it.
    """

    replayed: int
    changed: int
    looks: int
    evidence: float


@dataclass(frozen=True, slots=True)
class Told:
    """A jump of the disagreement that was looked into, and what came of it."""

    change: Change
    replayed: int
    changed: int
    arrived_wall_ns: int


@dataclass(slots=True)
class Trial:
    """A jump that is being looked into.

    Parameters
    ----------
    number : int
        How often the screen has spoken, this time included.
    pool : list of int
        Positions of old requests, in the order in which they are asked.
    seen : mapping of position to Seen
    """

    number: int
    change: Change
    arrived_wall_ns: int
    pool: list[int]
    seen: dict[int, Seen] = field(default_factory=dict)
    looks: int = 0

    def weigh(self, theirs: Mapping[int, Seen] | None) -> Weighed:
        """Weigh what has been asked so far; `theirs` is the control's, None where there is none."""
        # A request that only one of both lanes has been asked proves nothing about either.
        both = [place for place in self.seen if theirs is None or place in theirs]
        own = [self.seen[place] for place in both]
        changed = [one for one in own if one.alone]
        # Of three answers, any may stand alone by chance; it is the one of then in a third of
        # cases.
        told = log_e_sign(len(changed), sum(one.alone or one.other for one in own), 1 / 3)
        if theirs is not None:
            pairs = [(self.seen[place].alone, theirs[place].alone) for place in both]
            # What also the champion's version answers otherwise now is the data's doing, not the
            # version's.
            beyond = sum(ours and not other for ours, other in pairs)
            told = min(told, log_e_sign(beyond, sum(a != b for a, b in pairs), 1 / 2))
        return Weighed(len(both), len(changed), len({one.look for one in changed}), told)

    def is_proven(self, weighed: Weighed, *, alpha: float) -> bool:
        """Whether the version has changed; ``number`` tries share alpha."""
        jump = abs(self.change.after - self.change.before)
        # The k-th try spends alpha / (k (k + 1)): all tries that ever come share it.
        needed = log(self.number * (self.number + 1) / alpha)
        share = weighed.changed / weighed.replayed if weighed.replayed else 0.0
        looks = min(LOOKS, self.looks)
        return (
            weighed.evidence >= needed
            and weighed.looks >= looks == LOOKS
            # Else a real change of a few answers would be blamed for a jump that traffic made.
            and share >= max(LEAST_SHARE, jump / 2)
        )


def _trial_state(trial: Trial) -> dict[str, Any]:
    return {
        "number": trial.number,
        "change": asdict(trial.change),
        "arrived_wall_ns": trial.arrived_wall_ns,
        "pool": trial.pool,
        "seen": _seen_state(trial.seen),
        "looks": trial.looks,
    }


def _seen_state(seen: Mapping[int, Seen]) -> list[list[int]]:
    return [[place, int(s.alone), int(s.other), s.look] for place, s in seen.items()]


def _seen(state: list[list[int]]) -> dict[int, Seen]:
    return {place: Seen(bool(a), bool(o), look) for place, a, o, look in state}


def _trial(state: Mapping[str, Any]) -> Trial:
    change, seen = Change(**state["change"]), _seen(state["seen"])
    return Trial(**{**state, "change": change, "seen": seen})


def _told(state: Mapping[str, Any]) -> Told:
    return Told(**{**state, "change": Change(**state["change"])})


class Replayed(Stored):
    """All that a lane knows of old requests asked again.

    Attributes
    ----------
    trial : Trial or None
        The jump that is being looked into.
    proven : Told or None
        The change that was proven; it stays.
    traffic : Told or None
        The latest jump that was not the version's.
    answers : mapping of version to mapping of position to Seen
        In the control's lane: what it says to the challengers' latest questions.
    """

    parts: ClassVar = {
        "tries": plain.young,
        "trial": maybe(Part(_trial_state, _trial)).young,
        "proven": maybe(Part(asdict, _told)).young,
        "traffic": maybe(Part(asdict, _told)).young,
        "answers": keyed(Part(_seen_state, _seen)).young,
    }

    def __init__(self) -> None:
        self.tries = 0
        self.trial: Trial | None = None
        self.proven: Told | None = None
        self.traffic: Told | None = None
        self.answers: dict[int, dict[int, Seen]] = {}

    def answered(self, version: int, asked: Mapping[int, Seen]) -> None:
        """Take in the control's answers; only the latest questions of a challenger matter."""
        self.answers[version] = dict(asked)


def outcome(trial: Trial, weighed: Weighed) -> Told:
    """Return what came of a trial, with the change as it was when it was first seen."""
    return Told(replace(trial.change), weighed.replayed, weighed.changed, trial.arrived_wall_ns)
