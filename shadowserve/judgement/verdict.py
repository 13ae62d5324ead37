"""The verdict: promote, continue or reject, by limits that are each judged at every look.

*Promote* wants every limit proven kept, each at full alpha, since all must hold together. *Reject*
wants one limit proven broken, alpha shared among them. In between it says what is undecided and how
many more requests that takes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any

from shadowserve.judgement.facts import Facts
from shadowserve.judgement.findings import Finding, Severity, kinds
from shadowserve.judgement.findings.coverage import COVERAGE, compared
from shadowserve.judgement.findings.error_rate import ERROR_RATE
from shadowserve.judgement.findings.latency import LATENCY
from shadowserve.judgement.findings.nonfinite_output import NONFINITE_OUTPUT
from shadowserve.judgement.findings.prediction_divergence import PREDICTION_DIVERGENCE
from shadowserve.judgement.limit import Limit
from shadowserve.judgement.limits import Unit, limits, unit_of
from shadowserve.settings.policy import Policy

UNTIMED = "Latency was not judged: these requests were recorded before, and scored as quickly as they could be."


class Verdict(StrEnum):
    """What to do with a challenger."""

    PROMOTE = "promote"
    """Every limit is proven kept and no alarm is open; nothing less lets callers meet the version."""
    CONTINUE = "continue"
    """Something is undecided. Waiting costs only time, so it is the answer in every doubt."""
    REJECT = "reject"
    """One limit is proven broken or a finding is critical: more traffic would not change that."""

    @property
    def exit_code(self) -> int:
        """What the command line ends with; 2 is misuse everywhere, so reject is 3."""
        return {Verdict.PROMOTE: 0, Verdict.CONTINUE: 1, Verdict.REJECT: 3}[self]


@dataclass(frozen=True, slots=True)
class Judgement:
    """A verdict with the limits and the findings that led there."""

    verdict: Verdict
    reasons: tuple[str, ...]
    limits: tuple[Limit, ...]
    policy: Policy
    unit: Unit
    sample_rate: float = 1.0

    def to_dict(self) -> dict[str, Any]:
        """Return the judgement as JSON-able values."""
        return {
            "reasons": list(self.reasons),
            "limits": [limit.to_dict(sample_rate=self.sample_rate) for limit in self.limits],
            "policy": self.policy.to_dict(),
            "unit": asdict(self.unit),
            "alarm_alpha": {one.name: one.alpha(self.policy) for one in kinds() if one.share},
        }


def judge(known: Facts, findings: Sequence[Finding], policy: Policy) -> Judgement:
    """Judge a challenger on what is known of it.

    Parameters
    ----------
    known : Facts
    findings : sequence of Finding
        From `findings.look`, under the same policy.
    policy : Policy
    """
    standings = tuple(_lifted(limit, findings, known) for limit in limits(known, policy))
    rate = known.deployment.options.sample_rate
    deciding = [finding for finding in findings if finding.decides]
    critical = [f for f in deciding if f.severity is Severity.CRITICAL and f.kind != COVERAGE.name]
    broken = [limit for limit in standings if limit.state == "broken" and not limit.accepted]
    failed = known.learned.failures.rate.n if known.learned else 0
    # A version that fails on everything compares nothing: its failures count as having met traffic.
    untimed = [UNTIMED] if known.deployment.rescored else []
    covered = max(compared(known), failed) >= policy.min_examples
    if covered and (critical or broken):
        reasons = [f.message for f in critical] + [limit.says for limit in broken] + untimed
        return Judgement(Verdict.REJECT, tuple(reasons), standings, policy, unit_of(known), rate)
    # Unexplained failures are only a note, yet they must not pass: their cause may be the version.
    alarms = [f for f in deciding if f.severity.is_alarm or _is_open(f, policy)]
    undecided = [limit for limit in standings if limit.state != "kept" and not limit.accepted]
    waits = [_waits(known)] if known.lane.behind else []
    if not undecided and not alarms:
        accepted = [f"Accepted all the same: {f.message}" for f in findings if not f.decides]
        reasons = [limit.says for limit in standings] + accepted + waits + untimed
        return Judgement(Verdict.PROMOTE, tuple(reasons), standings, policy, unit_of(known), rate)
    reasons = [limit.says for limit in undecided] + [f.message for f in alarms] + waits + untimed
    return Judgement(Verdict.CONTINUE, tuple(reasons), standings, policy, unit_of(known), rate)


def _waits(known: Facts) -> str:
    """Say that this rests on what has been scored, and how much has not."""
    return f"{known.name} is not up to date: {known.lane.behind}."


def _lifted(limit: Limit, findings: Sequence[Finding], known: Facts) -> Limit:
    """Mark a limit that tells what an accepted finding tells: it cannot decide either, while that holds."""
    told = None if _tells_more(limit, known) else _TELLING.get(limit.name)
    same = (f for f in findings if f.kind == told and f.where.role == "challenger")
    accepted = next((f.id for f in same if not f.decides), None)
    return replace(limit, accepted=accepted)


def _tells_more(limit: Limit, known: Facts) -> bool:
    """Whether a limit counts what the finding does not: nobody has accepted that."""
    if limit.name not in ("errors", "disagreement") or known.learned is None:
        return False
    far = known.losses.far_off if known.losses else None
    return known.learned.weighed.thinned or (limit.name == "errors" and bool(far and far.own))


_TELLING = {
    "disagreement": PREDICTION_DIVERGENCE.told,
    "errors": ERROR_RATE.told,
    "latency": LATENCY.told,
}
"""Kinds of finding that tell what a limit tells. None tells of coverage, and labels accept nothing."""


def _is_open(finding: Finding, policy: Policy) -> bool:
    """Whether a note tells of failures that are too many to promote before their cause is known."""
    if finding.kind not in (ERROR_RATE.name, NONFINITE_OUTPUT.name) or finding.severity.is_alarm:
        return False
    if finding.where.role != "challenger" or finding.effect is None:
        return False
    return finding.effect.value > policy.max_error_rate
