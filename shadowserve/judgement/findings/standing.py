"""Whether failures are the version's own: they last, or they come in more episodes than the champion's."""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, log

from shadowserve.comparison.lasting import ERROR, Lasted
from shadowserve.comparison.learned import Learned
from shadowserve.judgement.facts import Facts
from shadowserve.judgement.findings.finding import Severity
from shadowserve.settings.policy import Policy
from shadowserve.statistics.sequential import MeanSequence, log_e_sign

MOST = 0.5
"""Failing on half of all requests more than the champion, whoever is to blame, cannot be served."""
PARTS = 3
"""An alarm on failures rests on three tests: that they last, that they are more, and where they fall."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What is proven of one way to fail.

    Parameters
    ----------
    lasting : Lasted
        What came of failed requests that both versions were asked again, twice and later.
    lasts, is_oftener : bool
        Whether it is proven that the challenger fails on the same requests again and again, and that it
        fails in more episodes than the champion.
    is_most : bool
        Whether it is proven that it fails on half of all requests more than the champion: it cannot serve
        as it is, whoever is to blame.
    own, theirs : int
        Episodes in which challenger and champion failed alone.
    rescored : bool
        Whether lanes may score again at all.
    """

    lasting: Lasted
    lasts: bool
    is_oftener: bool
    is_most: bool
    own: int
    theirs: int
    rescored: bool

    @property
    def is_proven(self) -> bool:
        """Whether it is the version's own doing, or so much that it does not matter whose."""
        return self.lasts or self.is_oftener or self.is_most

    def severity(self, more: MeanSequence, policy: Policy, *, alpha: float) -> Severity:
        """Return how bad it is: a note until it is proven, critical where it is frequent."""
        if not self.is_proven:
            return Severity.NOTE
        # Twice the limit, so that a critical finding and a limit that is only just broken are told
        # apart.
        frequent = more.is_above(2 * policy.max_error_rate, alpha=alpha)
        return Severity.CRITICAL if frequent or self.is_oftener else Severity.WARNING

    @property
    def says(self) -> str:
        """Say what is proven, or why nothing is, as a sentence of its own."""
        if self.lasts:
            return (
                f"Of {self.lasting.tried} such requests scored again twice later, it failed on "
                f"{self.lasting.lasting} every time."
            )
        if self.is_most:
            return "That is most of what it was asked."
        if self.is_oftener:
            return f"It failed in {self.own} separate episodes, the champion in {self.theirs}."
        episodes = "1 episode" if self.own == 1 else f"{self.own} episodes"
        if not self.rescored:
            return (
                f"They came in {episodes}. Lanes may not score requests again (--no-rescore), so it is not "
                "known whether the version or its surroundings failed."
            )
        return (
            f"They came in {episodes}, {self.lasting.lasting} of {self.lasting.tried} tried again lasted. "
            "It may be its surroundings that failed: replay the examples."
        )


def standing(
    known: Facts, learned: Learned, kind: str, policy: Policy, *, alpha: float
) -> Standing:
    """Judge one way to fail.

    Parameters
    ----------
    kind : str
        `lasting.ERROR` or `lasting.HOLE`.
    alpha : float
        What the tests may spend together.
    """
    failures, outputs = learned.failures, learned.outputs
    more, episodes = (
        (failures.more, failures.episodes)
        if kind == ERROR
        else (outputs.more_nonfinite, outputs.nonfinite_episodes)
    )
    # Any of the tests may raise the alarm, so each gets its part of what it may spend.
    needed = log(PARTS / alpha)
    answers = known.control.answers if known.control else None
    lasted = learned.lasting.told(kind, answers)
    own, theirs = episodes.own, episodes.theirs
    return Standing(
        lasting=lasted,
        lasts=lasted.alone >= policy.min_examples and lasted.evidence >= needed,
        # Episodes and not requests are counted: one outage fails hundreds of requests by one cause.
        is_oftener=2 * own > own + theirs and log_e_sign(own, own + theirs) >= needed,
        is_most=more.is_above(MOST, alpha=1 / exp(needed)),
        own=own,
        theirs=theirs,
        rescored=known.deployment.options.rescore,
    )
