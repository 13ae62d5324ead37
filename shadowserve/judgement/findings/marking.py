"""The marks of acceptances on findings: an accepted finding stays, marked, and does not decide.

It decides again where it is proven a fifth larger than what was accepted, where its severity has risen, and
where the time that it was given has passed. All of that is looked at anew each time: what shrinks back is
accepted as it was.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import isfinite

from shadowserve.host.instant import Instant
from shadowserve.judgement.findings.accepted import Accepted, Ended
from shadowserve.judgement.findings.finding import Effect, Finding, Severity
from shadowserve.state.acceptances import Acceptance

GROWN = 1.2
"""By how many times the accepted value the lower end of a finding's interval may exceed it."""


def marked(
    findings: Sequence[Finding], acceptances: Mapping[str, Acceptance], *, now: Instant
) -> list[Finding]:
    """Return findings, those that were accepted with that mark.

    Parameters
    ----------
    findings : sequence of Finding
    acceptances : mapping of a finding's id to Acceptance
        Of the same challenger.
    now : Instant
    """
    return [
        replace(one, accepted=Accepted(acceptances[one.id], _ended(one, acceptances[one.id], now)))
        if one.id in acceptances
        else one
        for one in findings
    ]


def _ended(finding: Finding, said: Acceptance, now: Instant) -> Ended | None:
    if said.is_over(now):
        return Ended.OVER
    if _is_worse(finding, Severity(said.severity)):
        return Ended.WORSE
    if finding.effect is None or said.value is None or not isfinite(said.value):
        return None
    return _outgrown(finding.effect, said.value)


def _is_worse(finding: Finding, accepted: Severity) -> bool:
    """Tell whether a severity has risen by more than certainty.

    An alarm whose interval lies where it lay becomes critical as more is known of it: that was accepted.
    """
    levels = list(Severity)
    if levels.index(finding.severity) <= levels.index(accepted):
        return False
    effect = finding.effect
    measured = effect is not None and effect.low is not None and effect.tells_harm
    return not (accepted.is_alarm and measured)


def _outgrown(effect: Effect, accepted: float) -> Ended | None:
    """Tell whether an effect is proven beyond what was accepted; without an interval its value counts.

    Examples
    --------
    >>> _outgrown(Effect("rate", 0.5, 0.13, 0.9), 0.1), _outgrown(Effect("rate", 0.5, 0.11, 0.9), 0.1)
    (<Ended.GROWN: 'grown'>, None)
    >>> _outgrown(Effect("shift", -0.3, -0.4, -0.2), -0.1), _outgrown(Effect("shift", -0.3, -0.4, -0.2), 0.3)
    (<Ended.GROWN: 'grown'>, <Ended.TURNED: 'turned'>)
    >>> _outgrown(Effect("sustainable_rate", 70.0, less_is_worse=True), 100.0)
    <Ended.GROWN: 'grown'>
    """
    low = effect.value if effect.low is None or not isfinite(effect.low) else effect.low
    high = effect.value if effect.high is None or not isfinite(effect.high) else effect.high
    if not (isfinite(low) and isfinite(high)):
        return None
    if effect.less_is_worse:
        return Ended.GROWN if high < accepted / GROWN else None
    # A shift downwards grows downwards.
    if accepted < 0:
        low, high, accepted = -high, -low, -accepted
    if high < 0:
        return Ended.TURNED
    return Ended.GROWN if low > GROWN * accepted else None
