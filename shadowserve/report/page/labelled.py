"""The page's tables of what labels describe and do not decide: by class, and by part of the traffic."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from shadowserve.report.page.html import Html, element, table
from shadowserve.report.wording import percent, short, spaced

SIDES = ("champion", "challenger")
_SHOWN = ("recall", "average precision", "calibration error")


def by_class(told: Mapping[str, Any] | None) -> Iterator[Html]:
    """Yield recall, average precision and calibration by class, and where probabilities lie."""
    if not told:
        return
    yield element("h3", "By class")
    yield element(
        "p.note",
        f"{told['n']:,} labels, the rarest class first. It describes and does not decide. Calibration error: "
        "how far probabilities lie from what came true, on average.",
    )
    yield table(
        ("class", "labels", "share", *(f"{what}, {side}" for what in _SHOWN for side in SIDES)),
        [_row(one) for one in told["classes"]],
    )
    # Of the rarest class, of which an average over all labels says least.
    for one in told["classes"][:1]:
        yield from _over_time(one)
        yield from _reliability(one)


def by_slice(told: Mapping[str, Any] | None) -> Iterator[Html]:
    """Yield the loss of both versions in each part of the traffic, the challenger's worst first."""
    if not told or not told["slices"]:
        return
    yield element("h3", f"{spaced(told['measure'])} by part of the traffic")
    yield element(
        "p.note",
        f"{told['n']:,} labels; parts with {told['least']} or more. Parts overlap, and the worst of many is "
        "worse by chance: it describes and does not decide.",
    )
    yield table(
        ("part of the traffic", "labels", *SIDES, "difference"),
        [
            (one["slice"], f"{one['n']:,}", *(short(one[n]) for n in (*SIDES, "difference")))
            for one in ({**told, "slice": "all"}, *told["slices"])
        ],
    )


def _row(one: Mapping[str, Any]) -> tuple[object, ...]:
    ranked, calibrated = one["average_precision"], one["calibration"]
    return (
        element("code", str(one["label"])),
        f"{one['n']:,}",
        percent(one["share"]),
        *(percent(one["recall"][side]) for side in SIDES),
        *(short(ranked[side]) if ranked else "" for side in SIDES),
        *(short(calibrated[side]["error"]) if calibrated else "" for side in SIDES),
    )


def _over_time(one: Mapping[str, Any]) -> Iterator[Html]:
    """Yield one class's average precision by stretches of time."""
    blocks = (one["average_precision"] or {}).get("over_time")
    if not blocks:
        return
    yield element("h3", "Average precision of ", element("code", str(one["label"])), " over time")
    yield table(
        ("since", "labels", "of this class", *SIDES),
        [
            (
                block["since"].replace("T", " ").removesuffix("+00:00") + " UTC",
                f"{block['n']:,}",
                f"{block['own']:,}",
                *(short(block[side]) for side in SIDES),
            )
            for block in blocks
        ],
    )


def _reliability(one: Mapping[str, Any]) -> Iterator[Html]:
    """Yield the bins of one class: what was answered beside what came true."""
    if not one["calibration"]:
        return
    yield element(
        "h3", "Probability of ", element("code", str(one["label"])), " and what came true"
    )
    yield table(
        ("version", "probability", "labels", "mean probability", "came true"),
        [
            (
                element(f"span.{side}", side),
                f"{part['low']:.1f} to {part['high']:.1f}",
                f"{part['n']:,}",
                percent(part["mean"]),
                percent(part["share"]),
            )
            for side in SIDES
            for part in one["calibration"][side]["bins"]
        ],
    )
