"""Findings on a lane's processes that ended although every request was answered in the end."""

from __future__ import annotations

from collections.abc import Iterator

from shadowserve.judgement.facts import Facts
from shadowserve.judgement.findings.failures import POISON_REQUEST
from shadowserve.judgement.findings.finding import Effect, Finding, Severity
from shadowserve.judgement.findings.kind import finds
from shadowserve.settings.policy import Policy

_WAYS = {
    "deadline": "past the deadline",
    "memory": "beyond its memory",
    "crash": "by itself",
}
_TRIES = 2
"""Deaths that each request of the finding on poison accounts for."""


@finds(POISON_REQUEST)
def look(known: Facts, _policy: Policy) -> Iterator[Finding]:
    """Yield one finding on deaths that no fatal request explains."""
    ends = known.lane.ends
    by_way = {way: ends.ended.get(cause, 0) for cause, way in _WAYS.items()}
    n = sum(by_way.values())
    fatal = 0 if known.learned is None else len(known.learned.failures.poison)
    if n <= _TRIES * fatal:
        return
    ways = ", ".join(f"{times} {way}" for way, times in by_way.items() if times)
    last = (ends.last or {}).get("positions") or ()
    yield Finding(
        kind=POISON_REQUEST.told,
        severity=Severity.NOTE,
        message=(
            f"{known.name}'s process ended {n} time{'s' * (n != 1)} ({ways}) and was started again. What "
            "it had in hand was tried once more. In production each would take a worker down, with "
            "everybody who waits. The lane's log says where it was."
        ),
        effect=Effect("process_ends", float(n), None, None, "processes", 0.0, "champion"),
        since=last[0] if last else None,
        examples=tuple(last),
    )
