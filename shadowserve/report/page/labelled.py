"""What labels say: the losses that decide, and what describes: by class, and by part of the traffic."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from shadowserve.report.page.html import Html, element, folded, named, section, table
from shadowserve.report.page.plot import dots, legend, plot, polyline
from shadowserve.report.page.scales import Linear
from shadowserve.report.wording import percent, short, spaced

SIDES = ("champion", "challenger")
HEIGHT = 220
_SHOWN = ("recall", "average precision", "calibration error")


def labels(report: Mapping[str, Any]) -> Html | None:
    """Return what came out of the requests, where somebody has said so."""
    told = report.get("labels")
    return section("labels", "Labels", list(_labels(told))) if told else None


def _labels(told: Mapping[str, Any]) -> Iterator[Html]:
    counted = ("joined", "late", "repeated", "duplicate", "conflicting", "ambiguous", "unknown")
    yield element("p", ", ".join(f"{told[name]:,} {name}" for name in counted), ".")
    losses = [loss for loss in (told["loss"], *told["others"]) if loss]
    numbers = ("champion", "challenger", "difference", "low", "high")
    yield table(
        ("loss", "labels", *numbers),
        [
            (loss["measure"], f"{loss['n']:,}", *(short(loss[name]) for name in numbers))
            for loss in losses
        ],
    )
    yield from by_class(told.get("by_class"))
    yield from by_slice(told.get("by_slice"))


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
        named(one["label"]),
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
    yield element("h3", "Average precision of ", named(one["label"]), " over time")
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
    yield element("h3", "Probability of ", named(one["label"]), " and what came true")
    axis = Linear(0.0, 1.0, 0.25, "%")
    sides = {side: one["calibration"][side]["bins"] for side in SIDES}
    yield legend([(side, side) for side in SIDES])
    points = {
        side: [(bin_["mean"], bin_["share"]) for bin_ in bins] for side, bins in sides.items()
    }
    yield element(
        "div.square",
        plot(
            axis,
            axis,
            polyline(axis, axis, [(0.0, 0.0), (1.0, 1.0)], css="same", height=HEIGHT),
            [
                polyline(axis, axis, own, css=side, height=HEIGHT)
                for side, own in points.items()
                if own
            ],
            [dots(axis, axis, own, css=side, height=HEIGHT) for side, own in points.items()],
            told=f"Calibration of {one['label']}: probability across, share that came true up",
            height=HEIGHT,
        ),
    )
    yield element(
        "p.note",
        "Across: the probability that was answered. Up: the share that came true. On the line both agree.",
    )
    yield folded("Calibration in numbers", _bins(sides))


def _bins(sides: Mapping[str, Any]) -> Html:
    return table(
        ("version", "probability", "labels", "mean probability", "came true"),
        [
            (
                element(f"span.{side}", side),
                f"{part['low']:.1f} to {part['high']:.1f}",
                f"{part['n']:,}",
                percent(part["mean"]),
                percent(part["share"]),
            )
            for side, bins in sides.items()
            for part in bins
        ],
    )
