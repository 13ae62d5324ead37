"""What a lane knows of failures that last: requests on which the challenger failed, tried again later.

Statistics do not tell a moody place from a failing version; an experiment does. A request on which the
challenger alone failed is scored again 50 and 100 requests later, together with six requests from
just before it that it had answered. In an outage, however long, all seven are as likely to fail; a
version that cannot take the request fails on that one alone. The control scores the request again too.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import log
from typing import ClassVar

from shadowserve.statistics.sequential import log_e_sign
from shadowserve.statistics.stored import Stored, each, keyed, listed, named, record, table

ERROR, HOLE = "error", "hole"
"""It raised where the champion answered; it answered null, NaN or infinity where the champion did not."""
KINDS = (ERROR, HOLE)
WAITS = (50, 100)
"""Requests after which it is scored again."""
COMPANIONS = 6
MOST_TRIED = 256
MOST_ANSWERS = 512


@dataclass(slots=True)
class Tried:
    """One request that failed, and its companions, scored again.

    Parameters
    ----------
    position : int
        Of the one that failed.
    failed : list of list of bool
        Of each second scoring, who failed: the request itself first, then its companions.
    """

    position: int
    failed: list[list[bool]] = field(default_factory=list)

    @property
    def is_over(self) -> bool:
        """Whether all second scorings have been made."""
        return len(self.failed) == len(WAITS)

    def lasting(self) -> list[bool]:
        """Tell who failed every time, the request itself first."""
        return [all(each) for each in zip(*self.failed, strict=True)]


@dataclass(frozen=True, slots=True)
class Lasted:
    """What came of the requests that were tried again.

    Parameters
    ----------
    tried : int
        Requests, of those that both lanes have scored again twice.
    lasting : int
        Of these, how many the challenger failed on every time, and the control never.
    alone, decided : int
        Requests that alone of their seven kept failing, of those where exactly one of seven did.
    needed : float
        Log evidence that it takes, at alpha 1.
    """

    tried: int
    lasting: int
    alone: int
    decided: int
    needed: float = 0.0

    @property
    def evidence(self) -> float:
        """Log evidence that it is the requests' own doing and not the place's."""
        return log_e_sign(self.alone, self.decided, 1 / (1 + COMPANIONS)) - self.needed


class Lasting(Stored):
    """Failed requests that were tried again, for one challenger; bounded, positions only.

    Attributes
    ----------
    asked : list of int
        Positions that the control should score again too, the latest `MOST_TRIED`.
    """

    parts: ClassVar = {
        "asked": listed.young,
        "over": named(each(record(Tried))).at("_over").young,
        "begun": table.at("_begun").young,
    }

    def __init__(self) -> None:
        self.asked: list[int] = []
        self._over: dict[str, list[Tried]] = {kind: [] for kind in KINDS}
        self._begun: dict[str, int] = dict.fromkeys(KINDS, 1)

    def ask(self, position: int) -> None:
        """Ask the control to score a request again."""
        self.asked = [*self.asked, position][-MOST_TRIED:]

    def end(self, kind: str, tried: Tried) -> None:
        """Keep what came of a request; where so many have shown nothing, begin anew at smaller alpha."""
        over = self._over[kind]
        over.append(tried)
        # A proof that has not come by now would drown in what came before, should the fault begin
        # later.
        if len(over) < MOST_TRIED:
            return
        self._over[kind] = []
        self._begun[kind] += 1

    def told(self, kind: str, answers: Answers | None) -> Lasted:
        """Return what is known of one way to fail.

        Parameters
        ----------
        answers : Answers or None
            The control's; what it has not scored twice is left out. None where there is no control.
        """
        known = [one for one in self._over[kind] if answers is None or answers.knows(one.position)]
        fair = [one for one in known if answers is None or answers.fine(one.position)]
        lasting = [one.lasting() for one in fair]
        # Where none or several of seven keep failing, it is not told which request is the cause.
        decided = [each for each in lasting if sum(each) == 1]
        begun = self._begun[kind]
        return Lasted(
            tried=len(known),
            lasting=sum(each[0] for each in lasting),
            alone=sum(each[0] for each in decided),
            decided=len(decided),
            # What a fresh beginning costs: together all of them spend alpha once.
            needed=log(begun * (begun + 1) / 2),
        )


class Answers(Stored):
    """How the control fared on requests that a challenger's lane asked it to score again."""

    parts: ClassVar = {
        "fine": keyed(listed).at("_fine").young,
    }

    def __init__(self) -> None:
        self._fine: dict[int, list[bool]] = {}

    def add(self, position: int, *, fine: bool) -> None:
        """Take in one second scoring; the latest `MOST_ANSWERS` requests are kept."""
        self._fine.setdefault(position, []).append(fine)
        while len(self._fine) > MOST_ANSWERS:
            # A dict keeps the order of insertion, so its first key is the oldest request.
            del self._fine[next(iter(self._fine))]

    def knows(self, position: int) -> bool:
        """Whether it has scored the request again as often as is asked."""
        return len(self._fine.get(position, ())) >= len(WAITS)

    def fine(self, position: int) -> bool:
        """Whether it answered every time."""
        return all(self._fine.get(position, [False]))
