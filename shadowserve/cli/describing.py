"""What labels describe, for a terminal: losses side by side, and each class, and part of the traffic."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console

from shadowserve.cli.report_text import grid, line, row

SIDES = ("champion", "challenger")


def print_labels(told: Mapping[str, Any] | None, out: Console) -> None:
    """Print what a report's labels say: the losses, then what describes and does not decide."""
    if not told or told["loss"] is None:
        return
    table = grid("loss", "labels", *SIDES, "constant answer", title="Labels: smaller is better")
    for loss in (told["loss"], *told["others"]):
        means = (_short(loss[name]) for name in (*SIDES, "constant"))
        row(table, loss["measure"].replace("_", " "), f"{loss['n']:,}", *means)
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
            _percent(one["share"]),
            _both(one["recall"], _percent),
            _both(ranked, _short) if ranked else "",
            _both({s: calibrated[s]["error"] for s in SIDES}, _short) if calibrated else "",
        )
    out.print(table)
    line(out, ("  It describes and does not decide.", "dim"))


def print_slices(told: Mapping[str, Any] | None, out: Console) -> None:
    """Print the loss by part of the traffic, the challenger's worst first."""
    if not told or not told["slices"]:
        return
    measure = told["measure"].replace("_", " ")
    table = grid(
        "part of the traffic", "labels", *SIDES, "difference", title=f"By slice: {measure}"
    )
    for one in ({**told, "slice": "all"}, *told["slices"]):
        means = (_short(one[name]) for name in (*SIDES, "difference"))
        row(table, one["slice"], f"{one['n']:,}", *means)
    out.print(table)
    line(out, ("  It describes and does not decide: the worst of many is worse by chance.", "dim"))


def _both(told: Mapping[str, Any], written: Any) -> str:
    return " / ".join(written(told[side]) for side in SIDES)


def _short(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}"


def _percent(value: float) -> str:
    return f"{100 * value:.3g} %"
