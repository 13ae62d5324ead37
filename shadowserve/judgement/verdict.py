"""The verdict: promote, continue or reject, by limits that are each judged at every look.

*Promote* wants every limit proven kept, each at full alpha, since all must hold together. *Reject*
wants one limit proven broken, alpha shared among them. In between it says what is undecided and how
many more requests that takes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from math import ceil
from typing import Any

from shadowserve.comparison.lasting import ERROR
from shadowserve.comparison.learned import Learned
from shadowserve.judgement.facts import Facts
from shadowserve.judgement.findings import Finding, Severity, gains, kinds
from shadowserve.judgement.findings.coverage import COVERAGE, compared
from shadowserve.judgement.findings.error_rate import ERROR_RATE
from shadowserve.judgement.findings.gains import LIMITS
from shadowserve.judgement.findings.labelled import by_labels
from shadowserve.judgement.findings.latency import SLOW_PROCESS, waited
from shadowserve.judgement.findings.nonfinite_output import NONFINITE_OUTPUT
from shadowserve.judgement.findings.prediction_divergence import above_noise
from shadowserve.judgement.findings.standing import standing
from shadowserve.labels.far import FarOff
from shadowserve.legible import counted, number, share
from shadowserve.settings.policy import Policy
from shadowserve.statistics.epochs import STRETCHES
from shadowserve.statistics.sequential import MeanSequence


class Verdict(StrEnum):
    """What to do with a challenger."""

    PROMOTE = "promote"
    CONTINUE = "continue"
    REJECT = "reject"


@dataclass(frozen=True, slots=True)
class Limit:
    """One limit of the policy and how it stands.

    Parameters
    ----------
    state : str
        ``kept``, ``broken`` or ``undecided``, each proven but the last.
    more : int or None
        Requests that deciding it still takes at the present rate; None where that cannot be told.
        Compared ones: where a share is sampled, more must come.
    """

    name: str
    state: str
    says: str
    more: int | None = None

    def to_dict(self, *, sample_rate: float = 1.0) -> dict[str, Any]:
        """Return the limit as JSON-able values, with how many requests must come for `more`."""
        known = self.more is not None and self.name != "loss" and sample_rate > 0
        traffic = ceil(round((self.more or 0) / sample_rate, 6)) if known else None
        return {
            "name": self.name,
            "state": self.state,
            "says": self.says,
            "more": self.more,
            "more_traffic": traffic,
        }


@dataclass(frozen=True, slots=True)
class Unit:
    """What is counted as one observation.

    Parameters
    ----------
    name : str
        ``request``, or the column or header that names the entity.
    n : int
        How many there were; a request without an entity is a unit of its own.
    without : int
        Requests that named no entity.
    """

    name: str
    n: int
    without: int


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
    limits = _limits(known, policy)
    rate = known.deployment.options.sample_rate
    critical = [f for f in findings if f.severity is Severity.CRITICAL and f.kind != COVERAGE.name]
    broken = [limit for limit in limits if limit.state == "broken"]
    failed = known.learned.failures.rate.n if known.learned else 0
    covered = max(compared(known), failed) >= policy.min_examples
    if covered and (critical or broken):
        reasons = [f.message for f in critical] + [limit.says for limit in broken]
        return Judgement(Verdict.REJECT, tuple(reasons), limits, policy, unit_of(known), rate)
    alarms = [f for f in findings if f.severity.is_alarm or _is_open(f, policy)]
    undecided = [limit for limit in limits if limit.state != "kept"]
    if not undecided and not alarms:
        return Judgement(
            Verdict.PROMOTE,
            tuple(limit.says for limit in limits),
            limits,
            policy,
            unit_of(known),
            rate,
        )
    reasons = [limit.says for limit in undecided] + [f.message for f in alarms]
    return Judgement(Verdict.CONTINUE, tuple(reasons), limits, policy, unit_of(known), rate)


def _is_open(finding: Finding, policy: Policy) -> bool:
    """Whether a note tells of failures that are too many to promote before their cause is known."""
    if finding.kind not in (ERROR_RATE.name, NONFINITE_OUTPUT.name) or finding.severity.is_alarm:
        return False
    if finding.where.role != "challenger" or finding.effect is None:
        return False
    return finding.effect.value > policy.max_error_rate


def _limits(known: Facts, policy: Policy) -> tuple[Limit, ...]:
    labelled = by_labels(known, policy) is not None
    return (
        _coverage(known, policy),
        _loss(known, policy) if labelled else _disagreement(known, policy),
        _errors(known, policy),
        _latency(known, policy),
    )


def _coverage(known: Facts, policy: Policy) -> Limit:
    n = compared(known)
    unit = unit_of(known)
    by = "" if unit.name == "request" else f" They count as {unit.n} different {unit.name!r}."
    if n >= policy.min_requests:
        return Limit("coverage", "kept", f"{n} requests were answered by both.{by}")
    more = policy.min_requests - n
    state = f" ({known.lane.state}: {known.lane.reason})" if known.lane.reason else ""
    return Limit(
        "coverage", "undecided", f"{n} of {policy.min_requests} requests compared{state}.", more
    )


def unit_of(known: Facts) -> Unit:
    """Return what is counted as one observation of a challenger, and how many there are."""
    options, learned = known.deployment.options, known.learned
    entity = options.entity or options.entity_header
    if entity is None or learned is None:
        return Unit(entity or "request", learned.requests if learned else 0, 0)
    return Unit(entity, learned.units.n + learned.units.without, learned.units.without)


def _disagreement(known: Facts, policy: Policy) -> Limit:
    limit = policy.max_disagreement
    if known.learned is None or not known.learned.outputs.disagreement.n:
        return Limit("disagreement", "undecided", "Nothing has been compared yet.")
    outputs = known.learned.outputs
    low, _ = above_noise(known, outputs, alpha=policy.alpha / LIMITS)
    _, high = above_noise(known, outputs, alpha=policy.alpha)
    says = f"Disagreement above the noise lies between {share(max(low, 0.0))} and {share(high)}; {share(limit)} is allowed."
    if high < limit:
        return Limit("disagreement", "kept", says)
    if low > limit:
        return Limit("disagreement", "broken", says)
    return Limit("disagreement", "undecided", says, _needed(outputs.judged, limit, policy))


def _loss(known: Facts, policy: Policy) -> Limit:
    """Judge by labels: an honest improvement must disagree, but may not be wrong more often."""
    losses = known.losses
    if losses is None or losses.decisive is None:
        return Limit("loss", "undecided", "No label has been joined yet.")
    state = by_labels(known, policy) or "undecided"
    more = gains.needed(losses.decisive, policy) if state == "undecided" else None
    return Limit("loss", state, gains.told(losses, policy), more)


def _errors(known: Facts, policy: Policy) -> Limit:
    limit = policy.max_error_rate
    if known.learned is None or not known.learned.failures.rate.n:
        return Limit("errors", "undecided", "Nothing has been scored yet.")
    more, far = known.learned.failures.more, known.losses.far_off if known.losses else None
    if far is not None:
        more = far.with_failures(more)
    says = f"{_fails(more, policy)} than the champion; {share(limit)} is allowed.{_far_off(far)}"
    if more.is_above(limit, alpha=policy.alpha / LIMITS):
        is_far = far is not None and far.more.is_above(limit, alpha=policy.alpha / LIMITS)
        if not is_far and not _is_its_own(known, known.learned, policy):
            says += " Whether the version or its surroundings failed is not settled yet."
            return Limit("errors", "undecided", says)
        return Limit("errors", "broken", says)
    if more.is_below(limit, alpha=policy.alpha):
        return Limit("errors", "kept", says)
    return Limit("errors", "undecided", says, _needed(more, limit, policy))


def _far_off(far: FarOff | None) -> str:
    """Say how many answers count as failures since they lie far from the champion's."""
    if far is None or far.reach is None or not far.own:
        return ""
    return f" Among them are {counted(far.own, 'answer')} further than {number(far.reach)} from the champion's."


def _fails(more: MeanSequence, policy: Policy) -> str:
    """Say on how many more requests it fails, by the very bounds that the limit is judged by."""
    _, high = more.interval(2 * policy.alpha)  # either end is one-sided at half of it
    low, _ = more.interval(2 * policy.alpha / LIMITS)
    if high < 0:
        return f"It fails on at least {share(-high)} of requests less"
    if low > 0:
        return f"It fails on between {share(low)} and {share(high)} of requests more"
    return f"It fails on at most {share(high)} of requests more"


def _is_its_own(known: Facts, learned: Learned, policy: Policy) -> bool:
    """Whether failures are the version's own, as far as lanes may find out."""
    stands = standing(known, learned, ERROR, policy, alpha=ERROR_RATE.alpha(policy))
    return stands.is_proven or not stands.rescored or bool(learned.failures.poison)


def _needed(seen: MeanSequence, limit: float, policy: Policy) -> int | None:
    """Return how many more requests prove the limit kept or broken, whichever it looks like."""
    broken = seen.mean > limit
    return seen.needed(limit, alpha=policy.alpha / LIMITS if broken else policy.alpha)


def _latency(known: Facts, policy: Policy) -> Limit:
    """Judge what callers would wait: the model's time with the server's, and never less than 1 ms."""
    paired = known.paired
    if not known.deployment.control:
        return Limit(
            "latency", "undecided", "Without a control lane times cannot be compared fairly."
        )
    if paired.n_bursts == 0:
        return Limit(
            "latency", "undecided", "No request has been timed by both challenger and control yet."
        )
    found = paired.interval(policy.alpha, alpha_low=policy.alpha / LIMITS)
    needed = paired.needed(alpha=policy.alpha, alpha_low=policy.alpha / LIMITS)
    more = _requests(known, needed)
    if not found.n_bursts:
        says = (
            f"{paired.n_bursts} bursts of requests were timed by both; {STRETCHES} are the least."
        )
        return Limit("latency", "undecided", says, more)
    says = waited(paired, found)
    if found.high < 1 + paired.margin:
        return Limit("latency", "kept", says)
    if found.low > 1 + paired.margin and known.in_turn:
        return Limit("latency", "broken", says)
    if found.low > 1 + paired.margin:
        return Limit("latency", "undecided", f"{says} {SLOW_PROCESS}")
    return Limit("latency", "undecided", says, more)


def _requests(known: Facts, n_bursts: int | None) -> int | None:
    """Return how many more requests bring so many bursts, at the rate at which they came so far."""
    if n_bursts is None or known.learned is None or not known.paired.n_bursts:
        return None
    return ceil(n_bursts * known.learned.requests / known.paired.n_bursts)
