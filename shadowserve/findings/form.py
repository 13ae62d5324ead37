"""Answers of another form than the champion's, or that are none at all."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from shadowserve.findings.finding import Effect, Finding, Severity, Where, share
from shadowserve.known import Known
from shadowserve.lane.outputs import Outputs
from shadowserve.policy import Policy


def look(known: Known, policy: Policy) -> Iterator[Finding]:
    """Yield answers that a caller cannot read, or that say nothing."""
    if known.learned is None or known.learned.outputs.tally is None:
        return
    for part in (_structure, _nonfinite):
        yield from part(known, known.learned.outputs, policy)


def _structure(known: Known, outputs: Outputs, _policy: Policy) -> Iterator[Finding]:
    told = outputs.tally.summary()["agreement"] if outputs.tally else {}
    n_rows = told.get("structure") or 0
    if not n_rows:
        return
    most = next(iter(told.get("types") or []), None)
    types = f"{most['champion']} becomes {most['lane']}" if most else "type or shape differs"
    rate = n_rows / max(1, told.get("n", n_rows))
    yield Finding(
        kind="structure_change",
        severity=Severity.CRITICAL,
        message=(
            f"{known.name} answers in another form for {share(rate)} of rows: {types}. "
            "Callers that parse the champion's answers may fail on it."
        ),
        where=Where(output=types),
        effect=Effect("share_of_rows", rate, None, None, "share", 0.0, "champion"),
        since=outputs.first_differing,
        examples=tuple(row["position"] for row in outputs.worst.rows()[:5]),
    )


def _nonfinite(known: Known, outputs: Outputs, policy: Policy) -> Iterator[Finding]:
    alpha = policy.alarm_alpha("nonfinite_output") / 2  # that there are more, and where
    more = outputs.more_nonfinite
    low, high = more.interval(alpha)
    if not (low > 0 or more.mean * more.n >= policy.min_examples):
        return
    search = outputs.nonfinite_slices
    slices = search.findings(alpha, show=policy.shown(search.names)) if search else []
    columns = tuple(map(str, slices[0].columns)) if slices else _columns(search)
    where = f" It happens where {slices[0].describe}." if slices else ""
    yield Finding(
        kind="nonfinite_output",
        severity=Severity.CRITICAL,
        message=(
            f"{known.name} answers NaN, infinity or null for {share(outputs.nonfinite.mean)} of requests, "
            f"the champion for {share(outputs.champion_nonfinite.mean)}.{where}"
        ),
        where=Where(columns=columns, slice=slices[0].describe if slices else None),
        effect=Effect(
            "rate",
            outputs.nonfinite.mean,
            low,
            high,
            "share of requests",
            outputs.champion_nonfinite.mean,
            "champion",
        ),
    )


def _columns(search: Any) -> tuple[str, ...]:
    return tuple(str(c) for c, part in search.explaining()[:1] if part > 0.2) if search else ()
