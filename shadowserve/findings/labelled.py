"""What labels say of a limit, and how much a disagreement weighs beside them."""

from __future__ import annotations

from shadowserve.findings.finding import Severity
from shadowserve.known import Known
from shadowserve.policy import Policy

LIMITS = 4
"""Among which a reject shares alpha."""


def by_labels(known: Known, policy: Policy) -> str | None:
    """Return what labels say of the limit on loss: ``kept``, ``broken`` or ``undecided``.

    None where there are too few of them, so that disagreement decides.
    """
    loss = known.losses.decisive if known.losses else None
    if loss is None or loss.n < policy.min_labels:
        return None
    return loss.standing(
        policy.allowed_loss, alpha=policy.alpha, broken_alpha=policy.alpha / LIMITS
    )


def weighed(known: Known, policy: Policy, severity: Severity) -> tuple[Severity, str]:
    """Return the severity of a disagreement in the light of labels, and what to add to its story.

    Labels proving that the challenger is not worse make it a note: it disagrees because it is right.
    """
    standing = by_labels(known, policy)
    if standing == "kept":
        return Severity.NOTE, " Labels show that its answers are no worse."
    if standing == "broken":
        return Severity.CRITICAL, " Labels show that its answers are worse."
    if standing == "undecided":
        return Severity.WARNING, " Labels do not tell yet which of the two is right."
    return severity, ""
