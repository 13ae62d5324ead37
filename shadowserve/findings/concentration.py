"""A collapse of the answers: few items, one label, nearly one number for everybody."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from math import log
from typing import Any

from shadowserve.divergence import Kind, KindTally
from shadowserve.findings.finding import Effect, Finding, Severity, Where, share
from shadowserve.known import Known
from shadowserve.lane.outputs import Outputs
from shadowserve.policy import Policy
from shadowserve.sequential import two_rates
from shadowserve.tally import Items, Quantiles

CONCENTRATED = 0.2
FEW_ITEMS = 10
MIN_LISTS = 30
IN_MOST = 0.8
IN_FEW = 0.2
LITTLE = 0.01
WIDE = 0.05
CORRELATED = 0.5
NEARLY_ALL = 0.98
USUAL = 0.9


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
        for name, part in tally.leaves():
            yield from _constant(known, part, name or str(outputs.kind), policy)
        return
    if outputs.disagreement.n < MIN_LISTS:
        return
    champion, lane = tally.parts["champion"], tally.parts["lane"]
    top = lane.top(FEW_ITEMS)
    after = sum(one["share"] for one in top)
    own = sum(one["share"] for one in champion.top(FEW_ITEMS))
    shown = sum(champion.count(json.dumps(one["item"])) for one in top)
    before = shown / max(1, champion.total)
    if after < own + CONCENTRATED or after < 2 * before:
        yield from _everywhere(known, champion, lane, str(outputs.kind))
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


def _everywhere(known: Known, champion: Items, lane: Items, output: str) -> Iterator[Finding]:
    """Yield one item that is now in nearly every list."""
    top = next(iter(lane.top(1)), None)
    if top is None:
        return
    before = champion.reach(champion.count(json.dumps(top["item"])))
    if top["reach"] < IN_MOST or before > IN_FEW:
        return
    yield Finding(
        kind="concentration",
        severity=Severity.WARNING,
        message=(
            f"{known.name} shows one item in {share(top['reach'])} of its lists, {top['item']}, which the champion "
            f"shows in {share(before)}. Check what the new version was trained on."
        ),
        where=Where(items=(str(top["item"]),), output=output),
        effect=Effect(
            "reach_of_top_item", top["reach"], None, None, "share of lists", before, "champion"
        ),
    )


def _constant(known: Known, tally: KindTally, output: str, policy: Policy) -> Iterator[Finding]:
    """Yield an output that has all but stopped to vary while the champion's still does."""
    told = tally.summary()
    if tally.kind is Kind.NUMBER:
        champion, lane = (told.get(side) or {} for side in ("champion", "lane"))
        before, after = _of(champion, "std"), _of(lane, "std")
        if _of(lane, "n") < policy.min_examples:
            return
        if after < LITTLE * before and not _is_scaled(told):
            how = "its answers hardly vary"
            yield _collapsed(known, how, after, before, "standard deviation", output)
    if tally.kind is Kind.PROBABILITY:
        before, after = (_range(tally.parts[side]) for side in ("champion", "lane"))
        if before > WIDE and after < LITTLE * before:
            how = "its probabilities hardly vary"
            yield _collapsed(known, how, after, before, "range of p10 to p90", output)
    if tally.kind is Kind.LABEL:
        before, after = (_top_share(told, side) for side in ("champion", "lane"))
        n = told["agreement"]["n"]
        proven = two_rates(n, before * n, n, after * n) >= -log(policy.alarm_alpha("concentration"))
        if after > NEARLY_ALL and before < USUAL and proven:
            how = f"one label is {share(after)} of its answers"
            yield _collapsed(known, how, after, before, "share of top label", output)


def _is_scaled(told: Mapping[str, Any]) -> bool:
    """Whether numbers vary as the champion's do, only in another unit: grams for kilograms."""
    champion, lane = (told.get(side) or {} for side in ("champion", "lane"))
    before, after = (_of(side, "std") / max(abs(_of(side, "mean")), 1e-300) for side in (champion, lane))  # fmt: skip
    return (told.get("correlation") or 0.0) > CORRELATED and after >= LITTLE * before


def _collapsed(
    known: Known, how: str, value: float, baseline: float, measure: str, output: str
) -> Finding:
    return Finding(
        kind="concentration",
        severity=Severity.CRITICAL,
        message=f"{known.name} answers nearly the same to everything: {how}. Is a feature missing?",
        where=Where(output=output),
        effect=Effect(measure, value, None, None, "", baseline, "champion"),
    )


def _of(side: Mapping[str, Any], figure: str) -> float:
    return float(side.get(figure) or 0.0)


def _range(side: Quantiles) -> float:
    return side.quantile(0.9) - side.quantile(0.1) if side.n else 0.0


def _top_share(told: Mapping[str, Any], side: str) -> float:
    shares = (told.get("confusion") or {}).get(side) or {}
    return float(max(shares.values(), default=0.0))
