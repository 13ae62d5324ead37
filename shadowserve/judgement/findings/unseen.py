"""Findings on values of categories that a version never met in training, and how often they come."""

from __future__ import annotations

from collections.abc import Iterator

from shadowserve.comparison.learned import Learned
from shadowserve.comparison.unseen import Count
from shadowserve.judgement.facts import Facts
from shadowserve.judgement.findings.coverage import COVERAGE
from shadowserve.judgement.findings.finding import Effect, Finding, Severity, Where
from shadowserve.judgement.findings.kind import finds
from shadowserve.legible import counted, quoted, share
from shadowserve.settings.policy import Policy

MOST_TOLD = 5
"""Columns that get a note of their own; the report lists all."""


@finds(COVERAGE)
def look(known: Facts, policy: Policy) -> Iterator[Finding]:
    """Yield the columns that bring unknown values, the largest share first."""
    own, theirs = _of(known.learned), _of(known.control)
    found = {
        column: max(side[column].share for side in (own, theirs) if column in side)
        for column in {**own, **theirs}
        if any(
            side[column].unseen >= policy.min_examples for side in (own, theirs) if column in side
        )
    }
    for column in sorted(found, key=lambda name: (-found[name], name))[:MOST_TOLD]:
        yield _finding(known, column, own.get(column), theirs.get(column))


def _of(learned: Learned | None) -> dict[str, Count]:
    return learned.unseen.columns if learned is not None else {}


def _finding(known: Facts, column: str, own: Count | None, theirs: Count | None) -> Finding:
    # Told of the challenger where it is concerned: the champion's own gap is already in production.
    of_challenger = own is not None and own.unseen > 0
    first, second = (own, theirs) if of_challenger else (theirs, own)
    names = [known.name, known.champion.pin.label]
    name, other = names if of_challenger else names[::-1]
    if first is None:
        raise LookupError(f"Nothing was counted of {column}.")
    does = "fails on them" if first.refuses else "takes them for unknown or for missing"
    return Finding(
        kind=COVERAGE.told,
        severity=Severity.NOTE,
        message=(
            f"{first.unseen:,} of {counted(first.rows, 'row')} that {name} scored ({share(first.share)}) bring a "
            f"value of {quoted(column)} that it never met in training; it {does}.{_beside(second, other)}"
        ),
        where=Where(role="challenger" if of_challenger else "champion", columns=(column,)),
        effect=Effect(
            "share_unseen", first.share, None, None, "share of rows",
            second.share if second is not None else None, "champion" if of_challenger else "challenger",
        ),
    )  # fmt: skip


def _beside(count: Count | None, name: str) -> str:
    if count is None or not count.rows:
        return f" Of {name} it is not known which values it met."
    if not count.unseen:
        return f" {name} knows all that it was asked."
    return f" {name} does not know {share(count.share)} of its own either."
