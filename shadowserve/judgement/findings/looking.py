"""All findings on one challenger, the worst first. To add a kind: its module, and its look here."""

from __future__ import annotations

from shadowserve.judgement.facts import Facts
from shadowserve.judgement.findings import (
    champion,
    change,
    concentration,
    divergence,
    ended,
    failures,
    features,
    form,
    latency,
    noise,
    origins,
    scores,
    slices,
    tapped,
    unseen,
)
from shadowserve.judgement.findings.finding import Finding, Severity
from shadowserve.judgement.findings.kind import FindingKind, Look, Needs
from shadowserve.settings.policy import Policy

LOOKS: list[Look] = [
    divergence.look,
    scores.look,
    slices.look,
    concentration.look,
    form.look,
    change.look,
    tapped.look,
    features.look,
    latency.look,
    noise.of_champion,
    noise.look,
    failures.look,
    champion.failing,
    champion.refusing,
    unseen.look,
    ended.look,
    origins.look,
]
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
    of_looks = [(one, one(known, policy)) for one in LOOKS]
    about_tap = [finding for one, found in of_looks if one is tapped.look for finding in found]
    told = [
        finding
        for one, found in of_looks
        for finding in (tapped.tempered(found, about_tap) if one.needs is Needs.ANSWERS else found)
    ]
    return sorted(told, key=lambda finding: _ORDER.index(finding.severity))
