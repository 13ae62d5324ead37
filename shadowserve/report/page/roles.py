"""Champion and challenger as services: rate, errors, latency over time, restarts, and what each could serve."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import ceil
from typing import Any

from shadowserve.report.page.html import Html, element, section, table
from shadowserve.report.page.trend import quantiles_over_time
from shadowserve.report.wording import percent, short, spaced

Report = Mapping[str, Any]
_TROUBLES = ("failed", "rejected", "overloaded", "timed_out", "client_gone", "turned_away", "lost")
_FAILURES = ("challenger_error", "timed_out", "crashed", "both_error")


def roles(report: Report) -> Html | None:
    """Return each role as a service of its own."""
    if "ledger" not in report:
        return None
    return section("versions", "Champion and challenger", list(_roles(report)))


def _roles(report: Report) -> Iterator[Html]:
    ledger, told = report["ledger"], report.get("over_time") or {}
    latency = report.get("latency") or {}
    yield element("h3", element("span.champion.role", f"Champion v{ledger['champion']['version']}"))
    yield _champion(ledger["champion"])
    own = told.get("challenger") or {}
    yield quantiles_over_time(
        told,
        [
            (own, "response_p50_ms", "champion", "whole answer, median"),
            (own, "response_p99_ms", "champion.faint", "whole answer, p99"),
            (own, "champion_p50_ms", "control", "of which the model, median"),
        ],
        about="Champion's latency over time",
    )
    for lane in ledger["lanes"]:
        if lane["role"] == "challenger" and lane["version"] == report.get("challenger"):
            yield element("h3", element("span.challenger.role", f"Challenger v{lane['version']}"))
            yield _lane(lane)
    yield quantiles_over_time(
        told,
        [
            (own, "lane_p50_ms", "challenger", "challenger, median"),
            (own, "lane_p99_ms", "challenger.faint", "challenger, p99"),
            (told.get("control") or {}, "lane_p50_ms", "control", "control, median"),
            (told.get("control") or {}, "lane_p99_ms", "control.faint", "control, p99"),
        ],
        about="Challenger's latency over time",
    )
    yield from _times(latency)
    yield from _capacity(report.get("capacity"))


def _champion(champion: Mapping[str, Any]) -> Html:
    told = [f"{champion['answered']:,} answered"]
    told += [f"{champion[name]:,} {spaced(name)}" for name in _TROUBLES if champion.get(name)]
    return element("p", ", ".join(told), ". ", _ends(champion))


def _lane(lane: Mapping[str, Any]) -> Html:
    failed = sum(lane.get(name, 0) for name in _FAILURES)
    whole = lane["both_ok"] + lane["champion_error"] + failed
    told = f"{failed:,} of {whole:,} requests failed" + (
        f" ({percent(failed / whole)})" if whole else ""
    )
    return element("p", told, ". ", _ends(lane))


def _ends(one: Mapping[str, Any]) -> Html:
    n, last = one.get("restarts") or 0, one.get("last_end")
    if not n:
        return element("span.note", "No process of it has ended.")
    when = f"; the last at {last['at']}, cause {last['cause']}" if last else ""
    return element("span.warning-line", f"Processes ended {n:,} times{when}.")


def _times(latency: Mapping[str, Any]) -> Iterator[Html]:
    timed = [(role, latency.get(role)) for role in ("champion", "control", "challenger")]
    rows = [
        (
            element(f"span.{role}", role),
            f"{one['n']:,}",
            *(short(one[name]) for name in ("p50_ms", "p90_ms", "p99_ms", "max_ms")),
        )
        for role, one in timed
        if one and one["n"]
    ]
    if rows:
        yield table(("role", "timed alone", "p50 ms", "p90 ms", "p99 ms", "max ms"), rows)
        yield element("p.note", "A p99 is shown from 1,000 effective timings on.")


def _capacity(told: Mapping[str, Any] | None) -> Iterator[Html]:
    """Yield how many processes this traffic takes, and twice of it."""
    if not told or not told["per_process"]:
        return
    rows = [
        (
            element(f"span.{role}", role),
            f"{one['n']:,}",
            short(one["mean_ms"]),
            short(one["sustainable_per_s"]),
            *(
                str(_needed(told[load], told["headroom"], one))
                for load in ("traffic_per_s", "peak_per_s")
            ),
        )
        for role, one in told["per_process"].items()
    ]
    yield element("h3", "Capacity")
    now, peak = short(told["traffic_per_s"]), short(told["peak_per_s"])
    head = (
        "role",
        "timed",
        "mean ms",
        "requests/s a process",
        f"processes at {now}/s",
        f"at twice, {peak}/s",
    )
    yield table(head, rows)
    yield element(
        "p.note",
        f"Traffic is the mean so far. A process may be busy {percent(told['headroom'])} of its time; "
        "requests one by one, with no shared calls.",
    )


def _needed(load: float, headroom: float, one: Mapping[str, Any]) -> int:
    return max(ceil(load / (headroom * float(one["sustainable_per_s"]))), 1)
