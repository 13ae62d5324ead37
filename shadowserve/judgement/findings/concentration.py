"""A collapse of the answers: few items, one label, nearly one number for everybody."""

from __future__ import annotations

from collections.abc import Iterator

from shadowserve.comparison.few_items import FEW_ITEMS, FewItems
from shadowserve.comparison.outputs import Outputs
from shadowserve.comparison.stillness import Stillness
from shadowserve.divergence import KindTally
from shadowserve.judgement.facts import Facts
from shadowserve.judgement.findings.finding import Effect, Finding, Severity, Where
from shadowserve.judgement.findings.kind import FindingKind, Needs, finds
from shadowserve.legible import share
from shadowserve.settings.policy import ALARM_SHARE, Policy

CONCENTRATION = FindingKind(
    "concentration",
    fires="The challenger answers few items, one item, one label or one number to nearly everybody.",
    share=ALARM_SHARE,
)

CONCENTRATED = 0.2
"""Share of places by which the ten commonest items must exceed the champion's ten: an absolute margin, so
that a small catalogue, which is concentrated by itself, raises none."""
IN_MOST = 0.8
"""Lists of the challenger that hold its commonest item: four of five."""
IN_FEW = 0.2
"""And of the champion at most one of five: a best seller that all show is nobody's fault."""
STILL = 0.5
"""By how much more of all requests the challenger's answer is its usual one than the champion's is its own."""
LABEL_MORE = 0.05
"""For labels the margin is small, since two shares below ask for nearly all and for a champion that varies."""
NEARLY_ALL = 0.98
"""Answers that are one label; below it a rare class is still told apart now and then."""
USUAL = 0.9
"""The champion's commonest label must be rarer: where nearly all are alike by right, nothing has collapsed."""


@finds(CONCENTRATION, needs=Needs.ANSWERS)
def look(known: Facts, policy: Policy) -> Iterator[Finding]:
    """Yield a collapse onto little."""
    outputs = known.seen.outputs
    watched = outputs.collapses.by_path
    alpha = CONCENTRATION.alpha(policy) / max(1, len(watched))
    for path, one in watched.items():
        output = path or str(outputs.kind)
        if isinstance(one, FewItems):
            part = dict(known.tally.leaves()).get(path)
            if part is not None:
                # Few items and one item are two tests of one output.
                yield from _few(known, outputs, part, one, output=output, alpha=alpha / 2)
        else:
            yield from _still(known, one, output=output, alpha=alpha)


def _few(
    known: Facts, outputs: Outputs, tally: KindTally, seen: FewItems, *, output: str, alpha: float
) -> Iterator[Finding]:
    """Yield a collapse onto few items: every page recommends the same."""
    shown = seen.shown()
    if shown is None:
        return
    # Chosen on every second list and measured on the others: chosen where measured, they look too
    # common.
    names = tuple(str(one["item"]) for one in tally.parts["lane"].top(FEW_ITEMS))
    concentrated = seen.more.is_above(CONCENTRATED, alpha=alpha)
    if not concentrated or shown.own < 2 * shown.theirs:
        in_most = seen.everywhere.is_above(STILL, alpha=alpha)
        if in_most and shown.reach >= IN_MOST and shown.their_reach <= IN_FEW:
            yield _everywhere(known, names[0], shown.reach, shown.their_reach, output=output)
        return
    yield Finding(
        kind=CONCENTRATION.told,
        severity=Severity.CRITICAL,
        message=(
            f"{known.name} shows nearly everybody the same: {len(names)} items fill {share(shown.own)} of all "
            f"places, {share(shown.theirs)} with the champion. The first is {names[0]}. "
            "Check what the new version was trained on."
        ),
        where=Where(items=names, output=output),
        aspect=output,
        effect=Effect(
            "share_of_top_items",
            shown.own,
            None,
            None,
            "share of places",
            shown.theirs,
            "champion",
        ),
        since=outputs.first_differing,
        examples=tuple(row["position"] for row in outputs.worst.rows()[:5]),
    )


def _everywhere(known: Facts, item: str, own: float, theirs: float, *, output: str) -> Finding:
    """Tell of one item that is now in nearly every list."""
    return Finding(
        kind=CONCENTRATION.told,
        severity=Severity.WARNING,
        message=(
            f"{known.name} shows one item in {share(own)} of its lists, {item}, which the champion "
            f"shows in {share(theirs)}. Check what the new version was trained on."
        ),
        where=Where(items=(item,), output=output),
        aspect=output,
        effect=Effect("reach_of_top_item", own, None, None, "share of lists", theirs, "champion"),
    )


def _still(known: Facts, seen: Stillness, *, output: str, alpha: float) -> Iterator[Finding]:
    """Yield an output that has all but stopped to vary while the champion's still does."""
    n = seen.more.n
    if not n:
        return
    after, before = seen.own / n, seen.theirs / n
    is_label = seen.usual.is_label
    if is_label and not (after > NEARLY_ALL and before < USUAL):
        return
    if not seen.more.is_above(LABEL_MORE if is_label else STILL, alpha=alpha):
        return
    # Two-sided at twice alpha is one-sided at alpha, which is the end that was tested.
    low, high = seen.more.interval(2 * alpha)
    how = (
        f"one label is {share(after)} of its answers, the champion's commonest {share(before)}"
        if is_label
        else f"{share(after)} of its {seen.usual.told} lie within one hundredth of the champion's usual "
        f"range, {share(before)} of the champion's"
    )
    yield Finding(
        kind=CONCENTRATION.told,
        severity=Severity.CRITICAL,
        message=f"{known.name} answers nearly the same to everything: {how}. Is a feature missing?",
        where=Where(output=output),
        aspect=output,
        effect=Effect(
            "share_at_usual_answer",
            after - before,
            low,
            high,
            "share of requests",
            before,
            "champion",
        ),
    )
