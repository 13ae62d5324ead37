"""Findings on a champion that answers elsewhere: whether it is the version that it is said to be.

The control lane scores the same version here. Where a tapped server disagrees with it beyond the
version's own noise, the server runs something else, and what is said of a challenger's answers is
said beside a yardstick that is not the champion.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from shadowserve.judgement.facts import Facts
from shadowserve.judgement.findings.coverage import COVERAGE
from shadowserve.judgement.findings.finding import Effect, Finding, Severity, Where
from shadowserve.judgement.findings.kind import FindingKind, finds
from shadowserve.judgement.findings.prediction_divergence import PREDICTION_DIVERGENCE
from shadowserve.legible import number, share
from shadowserve.records import Role
from shadowserve.settings.policy import ALARM_SHARE, Policy
from shadowserve.statistics.sequential import difference

TAPPED = FindingKind(
    "tapped",
    fires="The tapped server, or what was recorded, is proven to answer otherwise than the champion's version does.",
    share=ALARM_SHARE,
    reported=PREDICTION_DIVERGENCE.name,
)

MOSTLY = 0.5
"""More than half unread is a fault of the setting; less may be callers' bad requests."""


@finds(TAPPED, COVERAGE)
def look(known: Facts, policy: Policy) -> Iterator[Finding]:
    """Yield what shows that the tapped server is not the champion, or cannot be read."""
    if known.deployment.rescored:
        yield from _stranger(known, policy)
    elif known.deployment.tapped:
        yield from _stranger(known, policy)
        yield from _unreadable(known, policy)


def tempered(found: Iterable[Finding], about_tap: Iterable[Finding]) -> list[Finding]:
    """Make findings on answers warnings at most where the tapped server is not the champion.

    A challenger is not rejected for what the server is; and warnings keep it from promotion.
    """
    if not any(finding.where.role == Role.CONTROL for finding in about_tap):
        return list(found)
    return [
        replace(finding, severity=Severity.WARNING)
        if finding.severity is Severity.CRITICAL
        else finding
        for finding in found
    ]


def _stranger(known: Facts, policy: Policy) -> Iterator[Finding]:
    if known.control is None or known.control.outputs.intolerant.n == 0:
        return
    outputs, again = known.control.outputs, known.control.noise.again
    if again.n and again.mean > 0:  # it differs from itself too
        low, high = difference(outputs.judged_intolerant, again, alpha=TAPPED.alpha(policy))
    else:
        low, high = outputs.judged_intolerant.interval(TAPPED.alpha(policy))
    if low <= policy.min_disagreement:
        return
    champion, rate = known.champion.pin.label, outputs.intolerant.mean
    told = (
        f"The recorded answers are not {champion}'s: {champion}, scored again on the same requests, answers "
        f"otherwise on {share(rate)} of them. Another version gave them, or its inputs were prepared in another way. "
        f"Until that is mended, {known.name} is compared with something that is not {champion}; "
        "--rescore-champion compares it with what the version answers now."
    )
    yield Finding(
        kind=TAPPED.told,
        severity=Severity.WARNING,
        message=told
        if known.deployment.rescored
        else (
            f"The tapped server does not answer as {champion} does: {champion}, scored here on the same "
            f"requests, answers otherwise on {share(rate)} of them. The server runs another version, "
            "prepares its input in another way, or the middleware adapts requests or answers wrongly. "
            f"Mend that first: until then {known.name} is compared with something that is not {champion}."
        ),
        where=Where(role=Role.CONTROL.value, output=str(outputs.kind)),
        effect=Effect(
            "differing",
            rate,
            low,
            high,
            "share of requests",
            again.mean if again.n else 0.0,
            "control",
        ),
        since=outputs.first_differing,
        examples=tuple(row["position"] for row in outputs.worst.rows()[:5]),
    )


def _unreadable(known: Facts, policy: Policy) -> Iterator[Finding]:
    counted = known.ledger.champion
    told = counted.rejected + counted.appended
    # What was refused here is in no lane, so no other finding can tell that most is missing.
    if counted.rejected < policy.min_examples or counted.rejected <= MOSTLY * told:
        return
    champion = known.champion.pin.label
    yield Finding(
        kind=COVERAGE.told,
        severity=Severity.WARNING,
        message=(
            f"{number(counted.rejected)} of {number(told)} tapped requests could not be read with {champion}'s "
            "signature, or their answers not as predictions. The app's log says the first reason. Give the "
            "middleware to_records and to_predictions, or pin the version that the server really runs."
        ),
        where=Where(role=Role.CHAMPION.value),
        effect=Effect(
            "rejected",
            counted.rejected / told,
            None,
            None,
            "share of tapped requests",
            0.0,
            "champion",
        ),
    )
