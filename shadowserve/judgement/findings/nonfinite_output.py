"""Answers that are none: NaN, infinity or null where the champion has a value."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from shadowserve.comparison.lasting import HOLE
from shadowserve.comparison.outputs import Outputs
from shadowserve.judgement.facts import Facts
from shadowserve.judgement.findings.finding import Effect, Finding, Severity, Where
from shadowserve.judgement.findings.kind import FindingKind, Needs, finds
from shadowserve.judgement.findings.standing import PARTS, standing
from shadowserve.legible import share
from shadowserve.settings.policy import ALARM_SHARE, Policy

NONFINITE_OUTPUT = FindingKind(
    "nonfinite_output",
    fires="The challenger answers NaN, infinity or null where the champion does not.",
    share=ALARM_SHARE,
)


@finds(NONFINITE_OUTPUT, needs=Needs.ANSWERS)
def look(known: Facts, policy: Policy) -> Iterator[Finding]:
    """Yield answers that are none, on proven more requests than the champion's."""
    outputs = known.seen.outputs
    alpha = NONFINITE_OUTPUT.alpha(policy) / PARTS
    more = outputs.more_nonfinite
    if more.ends[1] < policy.min_examples:
        return
    low, high = more.interval(alpha)
    stands = standing(known, known.seen, HOLE, policy, alpha=NONFINITE_OUTPUT.alpha(policy))
    if not stands.is_proven and more.mean <= 0:
        return
    search = outputs.nonfinite_slices
    slices = search.findings(alpha, show=policy.shown(search.names)) if search else []
    columns = tuple(map(str, slices[0].columns)) if slices else _columns(search)
    # The first slice is the one with most evidence; a list of them would hide the cause.
    where = f" It happens where {slices[0].describe}." if slices else ""
    yield Finding(
        kind=NONFINITE_OUTPUT.told,
        severity=Severity.CRITICAL if stands.is_proven else Severity.NOTE,
        message=(
            f"{known.name} answers NaN, infinity or null for {share(outputs.nonfinite.mean)} of requests, "
            f"the champion for {share(outputs.champion_nonfinite.mean)}.{where} {stands.says}"
        ),
        where=Where(
            columns=columns,
            slice=slices[0].describe if slices else None,
            output=_holed(outputs),
        ),
        effect=Effect(
            "rate",
            outputs.nonfinite.mean,
            low,
            high,
            "share of requests",
            outputs.champion_nonfinite.mean,
            "champion",
        ),
        explained=True,
    )


def _holed(outputs: Outputs) -> str | None:
    """Name the fields that have become null more often; None where an answer has no fields."""
    if outputs.tally is None or not outputs.tally.fields:
        return None
    counted = ((path, part.summary()["agreement"]) for path, part in outputs.tally.leaves())
    # A field may be null by right: only where it has become so more often is it worth naming.
    more = {path: n["lane_nonfinite"] - n["champion_nonfinite"] for path, n in counted}
    names = sorted((path for path in more if more[path] > 0), key=lambda path: -more[path])
    return ", ".join(names[:3]) or None


def _columns(search: Any) -> tuple[str, ...]:
    return tuple(str(c) for c, part in search.explaining()[:1] if part > 0.2) if search else ()
