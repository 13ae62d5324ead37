"""What labels describe, for a terminal: losses side by side, and each class, and part of the traffic."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console

from shadowserve.cli.terminal import grid, line, row
from shadowserve.report.wording import percent, short, spaced

SIDES = ("champion", "challenger")


def print_labels(told: Mapping[str, Any] | None, out: Console) -> None:
    """Print what a report's labels say: the losses, then what describes and does not decide."""
    if not told or told["loss"] is None:
        return
    table = grid("loss", "labels", *SIDES, "constant answer", title="Labels: smaller is better")
    for loss in (told["loss"], *told["others"]):
        means = (short(loss[name]) for name in (*SIDES, "constant"))
        row(table, spaced(loss["measure"]), f"{loss['n']:,}", *means)
    out.print(table)
    line(out, ("  The first one decides.", "dim"))
    print_classes(told["by_class"], out)
    print_slices(told["by_slice"], out)


def print_classes(told: Mapping[str, Any] | None, out: Console) -> None:
    """Print recall, average precision and calibration by class, champion / challenger."""
    if not told:
        return
    table = grid(
        "class", "labels", "share", "recall", "average precision", "calibration error",
        title="By class: champion / challenger",
    )  # fmt: skip
    for one in told["classes"]:
        ranked, calibrated = one["average_precision"], one["calibration"]
        row(
            table,
            one["label"],
            f"{one['n']:,}",
            percent(one["share"]),
            _both(one["recall"], percent),
            _both(ranked, short) if ranked else "",
            _both({s: calibrated[s]["error"] for s in SIDES}, short) if calibrated else "",
        )
    out.print(table)
    line(out, ("  It describes and does not decide.", "dim"))


def print_slices(told: Mapping[str, Any] | None, out: Console) -> None:
    """Print the loss by part of the traffic, the challenger's worst first."""
    if not told or not told["slices"]:
        return
    measure = spaced(told["measure"])
    table = grid(
        "part of the traffic", "labels", *SIDES, "difference", title=f"By slice: {measure}"
    )
    for one in ({**told, "slice": "all"}, *told["slices"]):
        means = (short(one[name]) for name in (*SIDES, "difference"))
        row(table, one["slice"], f"{one['n']:,}", *means)
    out.print(table)
    line(out, ("  It describes and does not decide: the worst of many is worse by chance.", "dim"))


def _both(told: Mapping[str, Any], written: Any) -> str:
    return " / ".join(written(told[side]) for side in SIDES)
