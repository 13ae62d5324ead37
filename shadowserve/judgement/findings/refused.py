"""Requests that the champion refused, and that could not be compared for it."""

from __future__ import annotations

from collections.abc import Iterator

from shadowserve.judgement.facts import Facts
from shadowserve.judgement.findings.coverage import COVERAGE
from shadowserve.judgement.findings.finding import Effect, Finding, Severity, Where
from shadowserve.judgement.findings.kind import finds
from shadowserve.schema.schema import Schema
from shadowserve.settings.policy import Policy

MANY_REFUSED = 0.01
"""One request in a hundred: fewer are the everyday mistakes of callers, and would be told for ever."""


@finds(COVERAGE)
def look(known: Facts, policy: Policy) -> Iterator[Finding]:
    """Yield how many requests were refused, and how many of those the challenger would have taken."""
    counts = known.ledger.champion
    asked = counts.answered + counts.failed - counts.replayed + counts.rejected
    if counts.rejected < policy.min_examples or counts.rejected < MANY_REFUSED * asked:
        return
    rate = counts.rejected / asked
    spared = f"{_would_take(known, counts.rejected)}{_spared(known)}"
    yield Finding(
        kind=COVERAGE.told,
        severity=Severity.NOTE,
        message=(
            f"{known.champion.pin.label} refused {counts.rejected:,} of {asked:,} requests as malformed (status 4xx). "
            f"They were not compared.{spared}"
        ),
        where=Where(role="champion"),
        effect=Effect("share_refused", rate, None, None, "share of requests"),
    )


def _would_take(known: Facts, refused: int) -> str:
    """Say how many of them the challenger's signature takes, as far as they were kept."""
    # The challenger's lane tries kept requests by its signature alone; none of them is scored.
    seen = known.learned.refused if known.learned is not None else None
    if seen is None or not seen.tried:
        return f" How many {known.name} would have taken is not known, since none of them was kept."
    of = f"the {seen.tried:,} of them that were kept" if seen.tried < refused else "them"
    return f" Of {of}, {known.name}'s signature would have taken {seen.taken:,}."


def _spared(known: Facts) -> str:
    """Say which columns of the champion's signature the challenger does not need, and the other way round."""
    theirs, own = (
        {
            column.name
            for column in Schema.from_signature(version.signature).columns
            if column.required
        }
        for version in (known.champion, known.challenger)
    )
    names = ", ".join(f"'{name}'" for name in sorted(map(str, theirs - own))[:5])
    if not theirs or not own:
        return ""
    if names:
        return (
            f" {known.name} does not need {names}, so it would take those that lack nothing else."
        )
    return f" {known.name} needs the same columns, so it would refuse those that lack one too."
