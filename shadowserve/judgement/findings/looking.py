"""All findings on one challenger, the worst first."""

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
from shadowserve.settings.policy import Policy

_ANSWERS = (divergence, scores, slices, concentration, form, change)
_OTHERS = (features, latency, noise, failures, champion, unseen, ended, origins)
_ORDER = (Severity.CRITICAL, Severity.WARNING, Severity.NOTE, Severity.INFO)


def look(known: Facts, policy: Policy) -> list[Finding]:
    """Return what is wrong with a challenger, as far as it can be stood by.

    Parameters
    ----------
    known : Facts
        What both lanes have learnt so far.
    policy : Policy
        Limits and alpha.
    """
    about_tap = list(tapped.look(known, policy))
    of_answers = [f for side in _ANSWERS for f in side.look(known, policy)]
    found = tapped.tempered(of_answers, about_tap) + about_tap
    found += [f for side in _OTHERS for f in side.look(known, policy)]
    return sorted(found, key=lambda finding: _ORDER.index(finding.severity))
