"""A kind of finding, and the look that finds it: what a finding's module declares of itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import IntEnum

from shadowserve.judgement.facts import Facts
from shadowserve.judgement.findings.finding import Finding
from shadowserve.settings.policy import Policy


@dataclass(frozen=True, slots=True)
class FindingKind:
    """One kind of finding.

    Parameters
    ----------
    name : str
        As the report has it, unless `reported` says another.
    fires : str
        When it fires, as docs/findings.md says it.
    share : float
        What its tests may spend of the alarms' alpha; 0 where it rests on none. An alarm of several
        tests (one for each class, step or column) divides it among them.
    reported : str
        The kind that the report calls it, where that is another's.
    """

    name: str
    fires: str
    share: float = 0.0
    reported: str = ""

    @property
    def told(self) -> str:
        """The kind as the report has it."""
        return self.reported or self.name

    def alpha(self, policy: Policy) -> float:
        """Return what its tests may spend together, over all looks.

        Raises
        ------
        LookupError
            If no share is set aside for it.
        """
        if not self.share:
            raise LookupError(f"No share of alpha is set aside for {self.name!r}.")
        return policy.alarm_alpha(self.share)


class Needs(IntEnum):
    """What must be known before a look makes sense: each needs what those before it need."""

    NOTHING = 0
    """A look at ledger, deployment or records of versions."""
    LEARNED = 1
    """The challenger's lane has committed once: times, failures and memory are there."""
    ANSWERS = 2
    """At least one answer of both was compared, so that the kind of output is known."""


@dataclass(frozen=True, slots=True)
class Look:
    """One look at the facts, and the kinds of finding that it may yield."""

    find: Callable[[Facts, Policy], Iterable[Finding]]
    kinds: tuple[FindingKind, ...]
    needs: Needs

    def __call__(self, known: Facts, policy: Policy) -> list[Finding]:
        """Return what is found; nothing before what it needs is known."""
        return list(self.find(known, policy)) if self.needs <= _known(known) else []


def _known(known: Facts) -> Needs:
    if known.learned is None:
        return Needs.NOTHING
    return Needs.LEARNED if known.learned.outputs.tally is None else Needs.ANSWERS


def finds(
    *kinds: FindingKind, needs: Needs = Needs.NOTHING
) -> Callable[[Callable[[Facts, Policy], Iterable[Finding]]], Look]:
    """Make a function a look for some kinds of finding."""

    def declared(find: Callable[[Facts, Policy], Iterable[Finding]]) -> Look:
        return Look(find, kinds, needs)

    return declared
