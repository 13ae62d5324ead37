"""What labels say of a limit, and how much a disagreement weighs beside them."""

from __future__ import annotations

from shadowserve.judgement.facts import Facts
from shadowserve.judgement.findings import gains
from shadowserve.judgement.findings.finding import Severity
from shadowserve.judgement.findings.gains import LIMITS
from shadowserve.settings.policy import Policy


def by_labels(known: Facts, policy: Policy) -> str | None:
    """Return what labels say of the limit on loss: ``kept``, ``broken`` or ``undecided``.

    None where there are too few of them, so that disagreement decides.
    """
    losses = known.losses
    if losses is None or losses.decisive is None or losses.judging < policy.min_labels:
        return None
    return losses.decisive.standing(alpha=policy.alpha, broken_alpha=policy.alpha / LIMITS)


def weighed(known: Facts, policy: Policy, severity: Severity) -> tuple[Severity, str]:
    """Return the severity of a disagreement in the light of labels, and what to add to its story.

    Labels proving that the challenger is not worse make it a note: it disagrees because it is right.
    """
    standing = by_labels(known, policy)
    if standing == "kept" and known.losses is not None:
        return Severity.NOTE, f" {gains.kept(known.losses, policy)}"
    if standing == "broken":
        return Severity.CRITICAL, " Labels show that its answers are worse."
    if standing == "undecided":
        return Severity.WARNING, " Labels do not tell yet which of the two is right."
    return severity, ""
