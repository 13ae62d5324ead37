"""Requests that a version does not survive, and ends of its process that no such request explains."""

from __future__ import annotations

from collections.abc import Iterator

from shadowserve.judgement.facts import Facts
from shadowserve.judgement.findings.finding import Effect, Finding, Severity, Where, request
from shadowserve.judgement.findings.kind import FindingKind, Needs, finds
from shadowserve.legible import number
from shadowserve.settings.policy import Policy

POISON_REQUEST = FindingKind(
    "poison_request", fires="A request ended the lane's process, or never returned, twice."
)

_WAYS = {
    "deadline": "past the deadline",
    "memory": "beyond its memory",
    "crash": "by itself",
}
_TRIES = 2
"""Deaths that each request of the finding on poison accounts for."""


@finds(POISON_REQUEST, needs=Needs.LEARNED)
def look(known: Facts, _policy: Policy) -> Iterator[Finding]:
    """Yield the requests that ended the process or never returned, twice each."""
    poison = known.seen.failures.poison
    if not poison:
        return
    first = poison[0]
    hung = [one for one in poison if one.cause == "deadline"]
    ways = []
    if hung:
        ways.append(
            f"{len(hung)} never returned within the deadline (≥ {number(hung[0].worked_ms)} ms)"
        )
    if len(poison) > len(hung):
        ways.append(
            f"{len(poison) - len(hung)} ended the process ({', '.join(sorted({p.cause for p in poison} - {'deadline'}))})"
        )
    column = max(first.sizes, key=lambda name: first.sizes[name], default=None)
    at = f" in step '{first.step}'" if first.step else ""
    size = f", with '{column}' of size {first.sizes[column]}" if column else ""
    yield Finding(
        kind=POISON_REQUEST.told,
        severity=Severity.CRITICAL,
        message=(
            f"{len(poison)} request{'s' if len(poison) > 1 else ''} {known.name} did not survive, twice each: "
            f"{'; '.join(ways)}. The first is {request(known.moment(first.position))}{at}{size}. "
            "In production each would take a worker down. The report's slow requests begin with them: their ids "
            "tell what to send again to a server of its own."
        ),
        where=Where(step=first.step, columns=(column,) if column else ()),
        effect=Effect("requests", float(len(poison)), None, None, "requests", 0.0, "champion"),
        since=first.position,
        examples=tuple(one.position for one in poison[:10]),
        explained=True,
    )


@finds(POISON_REQUEST)
def of_ends(known: Facts, _policy: Policy) -> Iterator[Finding]:
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
