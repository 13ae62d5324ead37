"""The table and the plot of what was measured."""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

COLOURS = (
    "#1b6ca8", "#5aa9e6", "#c0392b", "#e67e22", "#27854a", "#8e44ad", "#b9770e", "#777777",
)  # fmt: skip
Found = Sequence[dict[str, Any]]
Load = tuple[str, int, int]


def loads(found: Found) -> dict[Load, dict[str, list[dict[str, Any]]]]:
    """Return blocks by load (model, rows a request, clients) and by server, in the order they came."""
    told: dict[Load, dict[str, list[dict[str, Any]]]] = defaultdict(lambda: defaultdict(list))
    for one in found:
        if "rps" in one:
            told[one["model"], one["rows"], one["clients"]][one["server"]].append(one)
    return {
        key: dict(sorted(told[key].items(), key=lambda pair: _rank(pair[1])))
        for key in sorted(told)
    }


def _rank(blocks: Found) -> tuple[int, float]:
    order = ("ours", "peer", "limit").index(blocks[0]["kind"])
    return order, -statistics.median(one["rps"] for one in blocks)


def table(found: Found) -> str:
    """Return Markdown: a table of loads, the limits of `predict`, versions, and who is left out."""
    lines = [
        "| model | rows | clients | server | requests/s | p50 ms | p99 ms | errors | ÷ best peer | lane scores |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for (model, rows, clients), servers in loads(found).items():
        best = best_peer(servers)
        for name, blocks in servers.items():
            rps = sorted(one["rps"] for one in blocks)
            p50, p99 = (_median(blocks, key) for key in ("p50_ms", "p99_ms"))
            errors = sum(one["errors"] for one in blocks)
            ratio = f"{_median(blocks, 'rps') / best:.2f}" if best else ""
            shares = [one["lane_share"] for one in blocks if "lane_share" in one]
            lines.append(
                f"| {model} | {rows} | {clients} | {name} | {_median(blocks, 'rps'):,.0f} "
                f"({rps[0]:,.0f} to {rps[-1]:,.0f}) | {p50:,.1f} | {p99:,.0f} | {errors} "
                f"| {ratio} | {f'{statistics.median(shares):.2f}' if shares else ''} |"
            )
    return "\n".join([*lines, *_limits(found), *_notes(found)])


def best_peer(servers: dict[str, list[dict[str, Any]]]) -> float:
    """Return the requests per second of the best peer; 0 without one."""
    peers = [_median(blocks, "rps") for blocks in servers.values() if blocks[0]["kind"] == "peer"]
    return max(peers, default=0.0)


def _median(blocks: Found, key: str) -> float:
    return statistics.median(one[key] for one in blocks)


def _limits(found: Found) -> list[str]:
    told = defaultdict(list)
    for one in found:
        if "rows_per_second" in one:
            told[one["model"], one["rows"]].append(one["rows_per_second"])
    if not told:
        return []
    lines = ["", "| model | bare `predict` of | rows/s |", "|---|---|---|"]
    for (model, size), rates in sorted(told.items()):
        lines.append(
            f"| {model} | {size} | {statistics.median(rates):,.0f} ({min(rates):,.0f} to {max(rates):,.0f}) |"
        )
    return lines


def _notes(found: Found) -> list[str]:
    lines = []
    cost = [one["client_us"] for one in found if "client_us" in one and one["rows"] == 1]
    if cost:
        fair = [
            one["least"] / one["most"] for one in found if one.get("most") and one["errors"] == 0
        ]
        lines += ["", f"Client: {statistics.median(cost):.0f} µs of its core a request of one row; the "
                  f"connection that got least got {statistics.median(fair or [math.nan]):.2f} of what "
                  "the one that got most got (median over blocks)."]  # fmt: skip
    versions = {
        f"{package} {number}"
        for one in found
        for package, number in one.get("versions", {}).items()
    }
    if versions:
        lines += ["", f"Versions: {', '.join(sorted(versions))}."]
    left = {(one["left_out"], one["reason"]) for one in found if "left_out" in one}
    lines += [f"\nLeft out: {name}: {reason}" for name, reason in sorted(left)]
    return lines


def plot(path: Path, found: Found) -> None:
    """Write requests per second over clients as SVG: a panel a model, both axes logarithmic."""
    by_load = {key: servers for key, servers in loads(found).items() if key[1] == 1}
    models = sorted({key[0] for key in by_load}, reverse=True)
    names = sorted({name for servers in by_load.values() for name in servers}, key=_place(by_load))
    width = 60 + 270 * len(models) + 190
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} 330" font-family="sans-serif" font-size="12">'
    ]
    for at, model in enumerate(models):
        parts += _panel(model, 50 + 270 * at, by_load, names)
    for at, name in enumerate(names):
        parts.append(
            f'<text x="{width - 185}" y="{40 + 18 * at}" fill="{COLOURS[at % len(COLOURS)]}">{name}</text>'
        )
    parts.append('<text x="4" y="14">requests/s</text></svg>')
    path.write_text("\n".join(parts) + "\n")


def _place(by_load: dict[Load, dict[str, list[dict[str, Any]]]]) -> Any:
    """Order servers by kind, then by what they reached anywhere."""

    def place(name: str) -> tuple[int, float]:
        return min(_rank(servers[name]) for servers in by_load.values() if name in servers)

    return place


def _panel(model: str, left: int, by_load: Any, names: Sequence[str]) -> list[str]:
    clients = sorted({key[2] for key in by_load if key[0] == model})
    rates = [
        _median(blocks, "rps")
        for key, each in by_load.items()
        if key[0] == model
        for blocks in each.values()
    ]
    low = 10 ** math.floor(math.log10(max(1.0, min(rate for rate in rates if rate > 0))))
    high = max(10 ** math.ceil(math.log10(max(rates))), 10 * low)

    def y(rate: float) -> float:
        return 290 - 260 * (math.log10(max(rate, low)) - math.log10(low)) / math.log10(high / low)

    steps = max(len(clients) - 1, 1)
    x = {n: left + 15 + 200 * i / steps for i, n in enumerate(clients)}
    parts = [f'<text x="{left + 60}" y="22" font-weight="bold">{model}</text>',
             f'<path d="M{left} 30V290H{left + 230}" fill="none" stroke="#333"/>']  # fmt: skip
    rate = low
    while rate <= high:
        parts.append(
            f'<text x="{left - 4}" y="{y(rate) + 4:.0f}" text-anchor="end">{rate:,}</text>'
        )
        parts.append(f'<path d="M{left} {y(rate):.0f}h230" stroke="#ddd"/>')
        rate *= 10
    parts += [f'<text x="{x[n]:.0f}" y="306" text-anchor="middle">{n}</text>' for n in clients]
    parts.append(f'<text x="{left + 115}" y="323" text-anchor="middle">clients</text>')
    for at, name in enumerate(names):
        points = " ".join(
            f"{x[n]:.0f},{y(_median(by_load[model, 1, n][name], 'rps')):.1f}"
            for n in clients
            if name in by_load[model, 1, n]
        )
        if points:
            parts.append(
                f'<polyline points="{points}" fill="none" stroke="{COLOURS[at % len(COLOURS)]}" stroke-width="2"/>'
            )
    return parts
