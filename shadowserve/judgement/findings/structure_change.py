"""Answers of another form than the champion's."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from shadowserve.comparison.outputs import Outputs
from shadowserve.judgement.facts import Facts
from shadowserve.judgement.findings.finding import Effect, Finding, Severity, Where
from shadowserve.judgement.findings.kind import FindingKind, Needs, finds
from shadowserve.judgement.findings.nondeterminism import is_above
from shadowserve.legible import share
from shadowserve.settings.policy import Policy

STRUCTURE_CHANGE = FindingKind(
    "structure_change", fires="An answer has another type, shape, set of keys or order of classes."
)


@finds(STRUCTURE_CHANGE, needs=Needs.ANSWERS)
def look(known: Facts, policy: Policy) -> Iterator[Finding]:
    """Yield answers that a caller cannot read."""
    yield from _structure(known, known.seen.outputs, policy)
    yield from _classes(known)


def _structure(known: Facts, outputs: Outputs, policy: Policy) -> Iterator[Finding]:
    told = _agreement(outputs)
    n_rows = told.get("structure") or 0
    if not n_rows:
        return
    chance = _comes_by_chance(known, outputs, policy)
    most = next(iter(told.get("types") or []), None)
    types = f"{most['champion']} becomes {most['lane']}" if most else "type or shape differs"
    rate = n_rows / max(1, told.get("n", n_rows))
    yield Finding(
        kind=STRUCTURE_CHANGE.told,
        severity=Severity.NOTE if chance else Severity.CRITICAL,
        message=(
            f"{known.name} answers in another form for {share(rate)} of rows: {types}. "
            + (
                "For all that is known the champion's form varies alike."
                if chance
                else "Callers that parse the champion's answers may fail on it."
            )
        ),
        where=Where(output=types),
        effect=Effect("share_of_rows", rate, None, None, "share", 0.0, "champion"),
        since=outputs.first_differing,
        examples=tuple(row["position"] for row in outputs.worst.rows()[:5]),
    )


def _classes(known: Facts) -> Iterator[Finding]:
    """Yield classes that only one version knows, and another order of them where it is served.

    Probabilities are compared by class, and a class that a version lacks has probability 0: so this is
    said once, and not at every request.
    """
    own, theirs = (side.classes if side else None for side in (known.learned, known.control))
    if not own or not theirs or own == theirs or not set(own) & set(theirs):
        return
    lacking, new = [c for c in theirs if c not in own], [c for c in own if c not in theirs]
    # The order of classes reaches a caller only where the answer is the row of probabilities.
    served = known.deployment.options.by_probability
    if not (lacking or new or served):
        return
    told = [f"does not know {len(lacking)} of the champion's {len(theirs)} classes"] * bool(lacking)
    told += [f"knows {len(new)} that the champion does not"] * bool(new)
    told += ["answers its probabilities in another order of classes"] * served
    severity = Severity.CRITICAL if served else Severity.WARNING if lacking else Severity.NOTE
    advice = "Callers that go by position read the wrong class." if served else "They count as probability 0."  # fmt: skip
    yield Finding(
        kind=STRUCTURE_CHANGE.told,
        severity=severity,
        message=f"{known.name} {', '.join(told)}. {advice}",
        where=Where(items=tuple(map(str, (*lacking, *new))), output="classes"),
    )


def _agreement(outputs: Outputs) -> dict[str, Any]:
    return dict(outputs.tally.summary()["agreement"]) if outputs.tally else {}


def _comes_by_chance(known: Facts, outputs: Outputs, policy: Policy) -> bool:
    """Whether either version's form varies from call to call, and the challenger's not proven more."""
    if known.control is None:
        return False
    own, theirs = (
        (told.get("n") or 0, float(told.get("structure") or 0))
        for told in map(_agreement, (outputs, known.control.outputs))
    )
    wandering = known.seen.noise.wandering
    # Wandering answers may wander in form as well, so they too excuse what is not proven more
    # frequent.
    varies = theirs[1] > 0 or (wandering.n > 0 and wandering.mean > 0)
    return varies and not is_above(own, theirs, policy)
