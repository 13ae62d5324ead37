"""The report as people read it in a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console

from shadowserve.cli.terminal import SEVERITIES, VERDICTS, grid, line, row
from shadowserve.legible import counted
from shadowserve.report.legend import PARTS, legend
from shadowserve.report.wording import (
    agreed,
    cause,
    cost_to_callers,
    examples,
    headline,
    mark,
    more,
    nothing_found,
    percent,
    short,
    spaced,
)
from shadowserve.state import arrival

WORST_TOLD = 5


def print_report(told: Mapping[str, Any], out: Console) -> None:
    """Print a report: verdict and findings first, then divergence, time by feature and notes."""
    line(out, headline(told))
    if (seen := arrival.of(told.get("evidence", {}))).troubled:
        line(out, f"Evidence: {seen}")
    if lacking := _refused(told):
        line(out, lacking)
    verdict = told["verdict"]
    line(out, "Verdict: ", (verdict, VERDICTS[verdict]))
    _print_findings(told, out)
    _print_divergence(told["divergence"], out)
    _print_worst(told, out)
    _print_features(told, out)
    for one in told.get("batching", ()):
        line(out, f"{one['role']} v{one['version']} is scored {one['why']}.")
    _print_cost(told, out)
    if verdict == "continue":
        for limit in told["judgement"]["limits"]:
            told_more = f" (about {more(limit)} more)" if limit["more"] else ""
            line(out, f"  {limit['state']}: {limit['says']}{told_more}")
    if told.get("notes"):
        line(out, ("Notes", "dim"))
        for note in told["notes"]:
            line(out, (f"  - {note}", "dim"))


def _refused(told: Mapping[str, Any]) -> str:
    """Say how many requests never came so far that a challenger could be compared."""
    counts = told.get("ledger", {}).get("champion", {})
    lacking = [
        f"{counted(counts[name], 'request')} {words}"
        for name, words in (
            ("rejected", "refused by the champion's signature"),
            ("failed", "failed in the champion"),
            ("overloaded", "turned away as too much at once"),
        )
        if counts.get(name)
    ]
    if not lacking:
        return ""
    seen = told.get("refused", {})
    taken = (
        f" Of {counted(seen['tried'], 'refused request')} that were kept, v{told['challenger']}'s signature "
        f"would have taken {seen['taken']:,}."
        if seen.get("tried")
        else ""
    )
    return f"Not among them: {', '.join(lacking)}.{taken}"


def _print_findings(told: Mapping[str, Any], out: Console) -> None:
    if not told["findings"]:
        line(out, nothing_found(told))
    for finding in told["findings"]:
        line(
            out,
            (finding["severity"], SEVERITIES[finding["severity"]]),
            " ",
            (finding["kind"], "bold"),
            f": {finding['message']}",
        )
        if told_of_it := mark(finding):
            line(out, (f"  {told_of_it}", "bold"))
        if why := cause(finding):
            line(out, f"  {why}")
        if numbers := finding.get("example_requests"):
            line(out, (f"  for example {examples(numbers)}", "dim"))


def _print_worst(told: Mapping[str, Any], out: Console) -> None:
    """Name the requests that differ most by the ids that callers know them by."""
    worst = [one for one in told.get("worst_requests", ()) if one["key"] > 0][:WORST_TOLD]
    if worst:
        ids = ", ".join(f"{one['payload']} ({short(one['key'])})" for one in worst)
        line(out, f"Most different by request id, with their disagreement: {ids}.")


def _print_divergence(told: Mapping[str, Any], out: Console) -> None:
    if not told:
        return
    table = grid("divergence", "mean", "max", title=f"Output: {told['kind']}")
    for name, measure in told["measures"].items():
        row(table, name, short(measure["mean"]), short(measure["max"]))
    out.print(table)
    for name, meaning in legend(told["measures"]).items():
        line(out, (f"  {spaced(name)}: {meaning}", "dim"))
    if equal := agreed(told["agreement"]):
        line(out, equal)


def _print_cost(told: Mapping[str, Any], out: Console) -> None:
    for cost in told["latency"].get("cost_to_callers", []):
        line(out, cost_to_callers(cost))


def _print_features(told: Mapping[str, Any], out: Console) -> None:
    table = grid(
        "role", "step", "columns", "n", "p50 ms", "p99 ms", "max ms", "share", "grows with",
        title="Time by step",
    )  # fmt: skip
    for step in told["features"]:
        growth = step["growth"]
        grows = f"{growth['column']} ^ {growth['exponent']:.2f}" if growth else ""
        columns = ", ".join(step["columns"][:3]) + (" …" if len(step["columns"]) > 3 else "")
        share = percent(step["share"])
        # In brackets, since it is counted in the step around it.
        share = f"({share})" if step.get("within") and share else share
        row(
            table,
            step["role"],
            step["step"],
            columns,
            step["n"],
            short(step["p50_ms"]),
            short(step["p99_ms"]),
            short(step["max_ms"]),
            share,
            grows,
        )
    if told["features"]:
        out.print(table)
    if any(step.get("within") for step in told["features"]):
        line(out, (f"  {PARTS}", "dim"))
