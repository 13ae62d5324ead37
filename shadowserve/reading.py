"""The report as people read it in a terminal."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from shadowserve import arrival

_COLOURS = {"critical": "bold red", "warning": "yellow", "note": "cyan", "info": "dim"}
_VERDICTS = {"promote": "bold green", "continue": "yellow", "reject": "bold red"}


def print_report(told: dict[str, Any], out: Console) -> None:
    """Print a report: verdict and findings first, then divergence and time by feature."""
    out.print(
        f"{told['model']}: champion v{told['champion']}, challenger v{told['challenger']}; "
        f"{told['compared']} of {told['requests']} requests compared"
    )
    if (seen := arrival.of(told.get("evidence", {}))).troubled:
        out.print(escape(f"Evidence: {seen}"))
    verdict = told["verdict"]
    out.print(f"Verdict: [{_VERDICTS[verdict]}]{verdict}[/]")
    _print_findings(told, out)
    _print_divergence(told["divergence"], out)
    _print_features(told, out)
    for one in told.get("batching", ()):
        out.print(escape(f"{one['role']} v{one['version']} is scored {one['why']}."))
    _print_cost(told, out)
    if verdict == "continue":
        for limit in told["judgement"]["limits"]:
            more = f" (about {limit['more']} more requests)" if limit["more"] else ""
            out.print(f"  {limit['state']}: {escape(limit['says'])}{more}")


def _print_findings(told: dict[str, Any], out: Console) -> None:
    if not told["findings"]:
        out.print("No findings." if told["compared"] else "Nothing compared yet.")
    for finding in told["findings"]:
        colour = _COLOURS[finding["severity"]]
        out.print(
            f"[{colour}]{finding['severity']}[/] [bold]{finding['kind']}[/]: {escape(finding['message'])}"
        )
        if finding["examples"]:
            out.print(
                f"  [dim]for example requests {', '.join(map(str, finding['examples'][:5]))}[/]"
            )


def _print_divergence(told: dict[str, Any], out: Console) -> None:
    if not told:
        return
    agreement = told["agreement"]
    table = Table(
        "divergence", "mean", "max", title=f"Output: {told['kind']}", title_justify="left"
    )
    for name, measure in told["measures"].items():
        table.add_row(name, _short(measure["mean"]), _short(measure["max"]))
    out.print(table)
    exact, tolerant = agreement["share_exact"], agreement["share_tolerant"]
    if exact is not None:
        out.print(
            f"Equal to the bit: {100 * exact:.1f} %; within tolerance: {100 * tolerant:.1f} %."
        )


def _print_cost(told: dict[str, Any], out: Console) -> None:
    for cost in told["latency"].get("cost_to_callers", []):
        low, high = 100 * cost["low"], 100 * cost["high"]
        out.print(f"Lanes cost callers between {low:+.1f} % and {high:+.1f} % at {cost['rank']}.")


def _print_features(told: dict[str, Any], out: Console) -> None:
    table = Table(
        "role",
        "step",
        "columns",
        "n",
        "p50 ms",
        "p99 ms",
        "max ms",
        "share",
        "grows with",
        title="Time by step",
        title_justify="left",
    )
    for step in told["features"]:
        growth = step["growth"]
        grows = f"{growth['column']} ^ {growth['exponent']:.2f}" if growth else ""
        columns = ", ".join(step["columns"][:3]) + (" …" if len(step["columns"]) > 3 else "")
        share = f"{100 * step['share']:.0f} %" if step["share"] is not None else ""
        table.add_row(
            step["role"],
            step["step"],
            columns,
            str(step["n"]),
            _short(step["p50_ms"]),
            _short(step["p99_ms"]),
            _short(step["max_ms"]),
            share,
            grows,
        )
    if told["features"]:
        out.print(table)


def _short(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}"
