"""All findings on one challenger, the worst first. To add a kind: its module, and its look here."""

from __future__ import annotations

from shadowserve.host.instant import Instant
from shadowserve.judgement.facts import Facts
from shadowserve.judgement.findings import (
    capacity,
    change_point,
    concentration,
    coverage,
    error_rate,
    latency,
    lineage,
    memory_growth,
    nondeterminism,
    nonfinite_output,
    poison_request,
    prediction_divergence,
    refused,
    score_shift,
    slice_divergence,
    slow_feature,
    structure_change,
    tapped,
    unseen,
)
from shadowserve.judgement.findings.finding import Finding, Severity
from shadowserve.judgement.findings.kind import FindingKind, Look, Needs
from shadowserve.judgement.findings.marking import marked
from shadowserve.settings.policy import Policy

LOOKS: list[Look] = [
    prediction_divergence.look,
    score_shift.look,
    slice_divergence.look,
    concentration.look,
    structure_change.look,
    nonfinite_output.look,
    change_point.look,
    tapped.look,
    slow_feature.look,
    latency.look,
    capacity.look,
    nondeterminism.of_champion,
    nondeterminism.look,
    error_rate.look,
    poison_request.look,
    memory_growth.look,
    error_rate.of_champion,
    refused.look,
    unseen.look,
    poison_request.of_ends,
    lineage.look,
    coverage.look,
]
_OF_TIMES = (slow_feature.look, latency.look, capacity.look)
"""What they rest on is measured where callers ask, and of no request that was recorded before."""
_ORDER = (Severity.CRITICAL, Severity.WARNING, Severity.NOTE, Severity.INFO)


def kinds() -> tuple[FindingKind, ...]:
    """Return every kind of finding, each once."""
    return tuple(dict.fromkeys(kind for one in LOOKS for kind in one.kinds))


def look(known: Facts, policy: Policy) -> list[Finding]:
    """Return what is wrong with a challenger, as far as it can be stood by.

    Parameters
    ----------
    known : Facts
        What both lanes have learnt so far.
    policy : Policy
        Limits and alpha.
    """
    looks = [one for one in LOOKS if one not in _OF_TIMES or not known.deployment.rescored]
    of_looks = [(one, one(known, policy)) for one in looks]
    # A wrong yardstick concerns every finding on answers, so that look is heard before the others.
    about_tap = [finding for one, found in of_looks if one is tapped.look for finding in found]
    told = [
        finding
        for one, found in of_looks
        for finding in (tapped.tempered(found, about_tap) if one.needs is Needs.ANSWERS else found)
    ]
    told = marked(told, known.acceptances, now=Instant.now())
    return sorted(told, key=lambda finding: _ORDER.index(finding.severity))
