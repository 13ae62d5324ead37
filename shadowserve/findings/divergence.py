"""Findings on outputs: how far they lie apart above the noise, where, in what, and since when."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np

from shadowserve.divergence import Kind
from shadowserve.findings.finding import Effect, Finding, Severity, Where, number, share
from shadowserve.known import Known
from shadowserve.lane.outputs import Outputs
from shadowserve.policy import Policy
from shadowserve.sequential import difference, log_e_difference, paired_mean

SCORE_CLIP = 0.25
MIN_SHIFT = 0.02
CONCENTRATED = 0.2
FEW_ITEMS = 10
LIMITS = 4
"""Among which a reject shares alpha."""

_ALARMS = (Severity.INFO, Severity.NOTE, Severity.WARNING, Severity.CRITICAL)


def look(known: Known, policy: Policy) -> Iterator[Finding]:
    """Yield what the outputs show."""
    if known.learned is None or known.learned.outputs.tally is None:
        return
    outputs = known.learned.outputs
    for part in (_apart, _scores, _slices, _concentration, _structure, _nonfinite, _change):
        yield from part(known, outputs, policy)


def above_noise(known: Known, outputs: Outputs, *, alpha: float) -> tuple[float, float]:
    """Return the interval of the challenger's disagreement above the control's.

    The control is the champion scored again: what it disagrees on is noise. Without a control the
    noise is taken to be none.
    """
    if known.control is None or known.control.outputs.judged.n == 0:
        return outputs.judged.interval(alpha)
    return difference(outputs.judged, known.control.outputs.judged, alpha=alpha)


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


def _weighed(known: Known, policy: Policy, severity: Severity) -> tuple[Severity, str]:
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


def _apart(known: Known, outputs: Outputs, policy: Policy) -> Iterator[Finding]:
    noise = 0.0
    if known.control is not None and known.control.outputs.disagreement.n:
        noise = known.control.outputs.disagreement.mean
    alpha = policy.alarm_alpha("prediction_divergence") / 2  # two ways to raise it
    if not _may_be_apart(known, outputs, policy, alpha=alpha):
        return
    low, high = above_noise(known, outputs, alpha=alpha)
    if low <= policy.min_disagreement and _is_more_often(known, outputs, alpha=alpha):
        low, high = (bound - noise for bound in outputs.judged.interval(alpha))
    if low <= policy.min_disagreement:
        return
    rate = outputs.intolerant.mean
    broken = low > policy.max_disagreement
    measured, story = _how(outputs, rate, known.name)
    severity, labels = _weighed(known, policy, Severity.CRITICAL if broken else Severity.WARNING)
    floor = f" The champion disagrees with itself on {share(noise)}." if noise else ""
    yield Finding(
        kind="prediction_divergence",
        severity=severity,
        message=f"{story}{floor}{labels} Look at the worst requests before switching.",
        where=Where(output=str(outputs.kind), columns=_explaining(outputs)),
        effect=Effect("disagreement", outputs.judged.mean, low, high, measured, noise, "control"),
        since=outputs.first_differing,
        examples=tuple(row["position"] for row in outputs.worst.rows()[:5]),
    )


def _may_be_apart(known: Known, outputs: Outputs, policy: Policy, *, alpha: float) -> bool:
    """Whether either way can be proven, asked by evidence alone: an interval costs a hundred times more."""
    if known.control is None or known.control.outputs.judged.n == 0:
        return True
    theirs, needed = known.control.outputs, np.log(2 / alpha)
    return bool(
        log_e_difference(outputs.judged, theirs.judged, policy.min_disagreement) >= needed
        or log_e_difference(outputs.judged_intolerant, theirs.judged_intolerant) >= needed
    )


def _is_more_often(known: Known, outputs: Outputs, *, alpha: float) -> bool:
    """Whether the challenger differs on proven more requests than the champion from itself.

    Sharper than sizes where the champion is the same every time and the challenger a little off on
    nearly everything: then what is seen on the control's few requests settles that it is no noise.
    """
    if known.control is None or not known.control.outputs.judged_intolerant.n:
        return False
    theirs = known.control.outputs.judged_intolerant
    return difference(outputs.judged_intolerant, theirs, alpha=alpha)[0] > 0


def _how(outputs: Outputs, rate: float, name: str) -> tuple[str, str]:
    """Return unit and story of a divergence in the words of its kind."""
    told = outputs.tally.summary() if outputs.tally else {}
    if outputs.kind in (Kind.RANKING, Kind.SET):
        overlap = told.get("rank_biased_overlap")
        same = (
            f"; rank-biased overlap is {number(overlap, 2)} (1 is the same list)"
            if overlap is not None
            else ""
        )
        return (
            "rank-biased distance",
            f"{name} answers another list for {share(rate)} of requests{same}.",
        )
    if outputs.kind is Kind.LABEL:
        kappa = told.get("kappa")
        agreed = f", kappa {number(kappa, 2)}" if kappa is not None else ""
        return (
            "share of requests",
            f"{name} gives another label for {share(rate)} of requests{agreed}{_swap(told)}.",
        )
    if outputs.kind is Kind.NUMBER:
        return (
            "relative difference",
            f"{name} answers another number for {share(rate)} of requests{_bias(told)}.",
        )
    if outputs.kind is Kind.PROBABILITY:
        return "total variation", f"{name} gives other probabilities for {share(rate)} of requests."
    return str(outputs.kind), f"{name} answers differently for {share(rate)} of requests."


def _bias(told: dict[str, Any]) -> str:
    bias = told.get("bias")
    if bias is None:
        return ""
    direction = "higher" if bias > 0 else "lower"
    usual = (told.get("champion") or {}).get("mean")
    relative = f" ({share(abs(bias / usual))} of the champion's mean)" if usual else ""
    return f"; on average {number(abs(bias))} {direction}{relative}"


def _swap(told: dict[str, Any]) -> str:
    """Say so where two labels have simply changed places."""
    cells = (told.get("confusion") or {}).get("cells") or []
    wrong = [cell for cell in cells if cell["champion"] != cell["lane"]]
    total = sum(cell["n"] for cell in cells)
    if total and len(wrong) == 2 and sum(cell["n"] for cell in wrong) > 0.8 * total:
        return "; the two labels look swapped"
    return ""


def _explaining(outputs: Outputs) -> tuple[str, ...]:
    """Return the columns whose values explain a good part of the disagreement."""
    if outputs.slices is None:
        return ()
    return tuple(str(column) for column, part in outputs.slices.explaining()[:3] if part > 0.05)


def _scores(known: Known, outputs: Outputs, policy: Policy) -> Iterator[Finding]:
    """Yield a shift of the probabilities, which may hide behind equal labels."""
    apart = known.score_differences()
    if not apart.size:
        return
    classes = apart.shape[1]
    for column in [1] if classes == 2 else range(classes):
        shift = paired_mean(SCORE_CLIP)
        shift.add(apart[:, column])
        low, high = shift.interval(
            policy.alarm_alpha("score_shift") / (1 if classes == 2 else classes)
        )
        least = max(low, -high)
        if least > MIN_SHIFT:
            direction = "higher" if low > 0 else "lower"
            flips = share(outputs.intolerant.mean)
            severity, labels = _weighed(known, policy, Severity.WARNING)
            yield Finding(
                kind="score_shift",
                severity=min(severity, Severity.WARNING, key=_ALARMS.index),
                message=(
                    f"{known.name}'s probabilities are {number(abs(shift.mean), 2)} {direction} than the "
                    f"champion's on the same requests, while labels differ on {flips}. "
                    f"A threshold tuned for the champion will not fit.{labels}"
                ),
                where=Where(output=f"probability of class {column}"),
                effect=Effect("shift", shift.mean, low, high, "probability", 0.0, "control"),
            )
            return


def _slices(known: Known, outputs: Outputs, policy: Policy) -> Iterator[Finding]:
    if outputs.slices is None:
        return
    for found in outputs.slices.findings(
        policy.alarm_alpha("slice_divergence"), show=policy.shown(outputs.slices.names)
    ):
        if found.rate - found.rate_outside < policy.min_disagreement:
            continue
        severity, labels = _weighed(known, policy, Severity.WARNING)
        severity = min(severity, Severity.WARNING, key=_ALARMS.index)
        yield Finding(
            kind="slice_divergence",
            severity=Severity.NOTE if _is_noise(known, policy) else severity,
            message=(
                f"Where {found.describe} ({share(found.share)} of traffic), {known.name} disagrees by "
                f"{share(found.rate)}, elsewhere by {share(found.rate_outside)}. "
                f"Ask what that part of the data met in training.{labels}"
            ),
            where=Where(columns=tuple(map(str, found.columns)), slice=found.describe),
            effect=Effect(
                "disagreement",
                found.rate,
                found.low,
                found.high,
                "share",
                found.rate_outside,
                "challenger",
            ),
        )


def _is_noise(known: Known, policy: Policy) -> bool:
    """Whether the version disagrees with itself about as often as with the champion.

    Noise flips the close calls, so where many are close it looks like a slice.
    """
    if known.learned is None or not known.learned.noise.again.n:
        return False
    again, apart = known.learned.noise.again, known.learned.outputs.intolerant
    return again.mean * again.n >= policy.min_examples and again.mean >= 0.5 * apart.mean


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


def _change(known: Known, outputs: Outputs, policy: Policy) -> Iterator[Finding]:
    change = outputs.change.change()
    if change is None or abs(change.after - change.before) < policy.min_disagreement:
        return
    theirs = known.control.outputs.change.change() if known.control else None
    if theirs is not None and np.sign(theirs.after - theirs.before) == np.sign(
        change.after - change.before
    ):
        return  # the champion changed against itself too: it is the traffic
    yield Finding(
        kind="change_point",
        severity=Severity.WARNING,
        message=(
            f"Since request {change.position} {known.name} disagrees by {share(change.after)}, before by "
            f"{share(change.before)}. Something it depends on changed: a feed, a table, a clock?"
        ),
        effect=Effect(
            "disagreement", change.after, None, None, "share", change.before, "challenger"
        ),
        since=change.position,
        examples=(change.position,),
    )
