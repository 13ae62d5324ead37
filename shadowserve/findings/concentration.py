"""A collapse of the answers: few items, one label, nearly one number for everybody."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from shadowserve.divergence import Kind
from shadowserve.findings.finding import Effect, Finding, Severity, Where, share
from shadowserve.known import Known
from shadowserve.lane.outputs import Outputs
from shadowserve.policy import Policy

CONCENTRATED = 0.2
FEW_ITEMS = 10


def look(known: Known, policy: Policy) -> Iterator[Finding]:
    """Yield a collapse onto little."""
    if known.learned is None or known.learned.outputs.tally is None:
        return
    yield from _concentration(known, known.learned.outputs, policy)


def _concentration(known: Known, outputs: Outputs, policy: Policy) -> Iterator[Finding]:
    """Yield a collapse onto few items: every page recommends the same."""
    tally = outputs.tally
    if tally is None or outputs.disagreement.n < policy.min_examples:
        return
    if outputs.kind not in (Kind.RANKING, Kind.SET):
        yield from _constant(known, outputs)
        return
    champion, lane = tally.parts["champion"], tally.parts["lane"]
    top = lane.top(FEW_ITEMS)
    after = sum(one["share"] for one in top)
    own = sum(one["share"] for one in champion.top(FEW_ITEMS))
    shown = sum(champion.count(json.dumps(one["item"])) for one in top)
    before = shown / max(1, champion.total)
    if after < own + CONCENTRATED or after < 2 * before:
        return
    names = tuple(str(one["item"]) for one in top)
    yield Finding(
        kind="concentration",
        severity=Severity.CRITICAL,
        message=(
            f"{known.name} shows nearly everybody the same: {len(names)} items fill {share(after)} of all "
            f"places, {share(before)} with the champion. The first is {names[0]}. "
            "Check what the new version was trained on."
        ),
        where=Where(items=names, output=str(outputs.kind)),
        effect=Effect(
            "share_of_top_items", after, None, None, "share of places", before, "champion"
        ),
        since=outputs.first_differing,
        examples=tuple(row["position"] for row in outputs.worst.rows()[:5]),
    )


def _constant(known: Known, outputs: Outputs) -> Iterator[Finding]:
    """Yield an output that has all but stopped to vary while the champion's still does."""
    told = outputs.tally.summary() if outputs.tally else {}
    if outputs.kind is Kind.NUMBER:
        spreads = [_spread(told.get(side) or {}) for side in ("champion", "lane")]
        if spreads[0] > 0 and spreads[1] < 0.01 * spreads[0]:
            yield _collapsed(
                known, "its answers hardly vary", spreads[1], spreads[0], "standard deviation"
            )
    if outputs.kind is Kind.LABEL:
        before, after = (_top_share(told, side) for side in ("champion", "lane"))
        if after > 0.98 and before < 0.9:
            yield _collapsed(
                known,
                f"one label is {share(after)} of its answers",
                after,
                before,
                "share of top label",
            )


def _collapsed(known: Known, how: str, value: float, baseline: float, measure: str) -> Finding:
    return Finding(
        kind="concentration",
        severity=Severity.CRITICAL,
        message=f"{known.name} answers nearly the same to everything: {how}. Is a feature missing?",
        effect=Effect(measure, value, None, None, "", baseline, "champion"),
    )


def _spread(side: dict[str, Any]) -> float:
    return float(side.get("std") or 0.0)


def _top_share(told: dict[str, Any], side: str) -> float:
    shares = (told.get("confusion") or {}).get(side) or {}
    return float(max(shares.values(), default=0.0))
