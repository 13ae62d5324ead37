"""A deployment at a glance: a dozen lines for a terminal, and one line for a pipe."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from rich.text import Text

from shadowserve.cli.terminal import SEVERITIES, VERDICTS, Part
from shadowserve.legible import LONGEST_LINE, counted, legible
from shadowserve.report.wording import (
    compared,
    mark,
    more,
    nothing_found,
    place,
    short,
    stands_though,
    tally,
)
from shadowserve.state import arrival

STATES = {"running": "green", "starting": "yellow", "paused": "yellow", "stopped": "dim"}
LIMITS = {"kept": "green", "broken": "bold red", "undecided": "yellow"}
FEW_LINES = 3
"""Findings whose message is told, where there is room for it."""

Line = tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Glance:
    """What is known at one moment.

    Parameters
    ----------
    status : mapping
        The ledger, as `status --json` has it.
    report : mapping or None
        A challenger's; None where there is no challenger, or it cannot be read now.
    trouble : str
        Why it cannot be read; empty if it can.
    at : datetime
    """

    status: Mapping[str, Any]
    report: Mapping[str, Any] | None
    trouble: str
    at: datetime

    @property
    def served(self) -> bool:
        """Whether the deployment runs."""
        return bool(self.status["served"])

    def lines(self, *, findings: int, messages: bool = True) -> Iterator[Line]:
        """Yield all of it for people, the most important first.

        Parameters
        ----------
        findings : int
            How many there is room for.
        messages : bool
            Whether there is room for what the worst ones say.
        """
        yield from self._head()
        if self.report is not None:
            yield from _limits(self.report)
            yield from _findings(self.report, findings, messages=messages)
        yield from self._traffic()
        yield from self._lanes()
        yield (f"evidence  {arrival.of(self.status['evidence'])}",)

    def sign(self) -> tuple[object, ...]:
        """Return what is news for a reader of lines: all but the counts."""
        report = self.report or {}
        lanes = [(lane["role"], lane["version"], lane["state"]) for lane in self.status["lanes"]]
        found = [(one["id"], one["severity"], mark(one)) for one in report.get("findings", ())]
        evidence = arrival.of(self.status["evidence"]).troubled
        return (self.served, self.trouble, report.get("verdict"), found, lanes, evidence)

    def line(self) -> str:
        """Return all of it in a line, for pipes and logs."""
        parts = [f"{self.at:%Y-%m-%d %H:%M:%S} UTC", self._name()]
        if not self.served:
            parts.append("stopped")
        if self.report is not None:
            parts += [self.report["verdict"], compared(self.report), tally(self.report).rstrip(".")]
        if self.trouble:
            parts.append(self.trouble)
        parts += [f"{_lane(lane)} {lane['state']}, {_lag(lane)}" for lane in self.status["lanes"]]
        if arrival.of(self.status["evidence"]).troubled:
            parts.append("evidence waits")
        return "; ".join(legible(part, most=LONGEST_LINE) for part in parts)

    def _name(self) -> str:
        status, report = self.status, self.report
        beside = f" beside v{report['challenger']}" if report else ""
        return f"{status['model']} v{status['champion']['version']}{beside}"

    def _head(self) -> Iterator[Line]:
        verdict = self.report["verdict"] if self.report else None
        served: Part = "" if self.served else ("  stopped: this is how it was at the end", "bold")
        shown: Part = (verdict, VERDICTS[verdict]) if verdict else "no verdict"
        yield ((self._name(), "bold"), "  ", shown, served)
        if self.trouble:
            yield ((self.trouble, "bold red"),)
        elif self.report is None:
            yield ("No challenger is served.",)

    def _traffic(self) -> Iterator[Line]:
        champion = self.status["champion"]
        rate = self.report.get("rate_per_s") if self.report else None
        told = [counted(champion["answered"], "answer")]
        told += [f"{short(rate)} requests a second"] if rate else []
        names = ("failed", "rejected", "overloaded", "timed_out", "lost")
        told += [
            f"{champion[name]:,} {name.replace('_', ' ')}" for name in names if champion.get(name)
        ]
        yield (f"traffic   {', '.join(told)}",)
        if self.report is not None:
            yield (f"coverage  {compared(self.report)}",)

    def _lanes(self) -> Iterator[Line]:
        for lane in self.status["lanes"]:
            state = lane["state"]
            reason = f" ({lane['reason']})" if lane["reason"] else ""
            yield (
                f"lane      {_lane(lane)} ",
                (state, STATES.get(state, "bold red")),
                f", {_lag(lane)}{reason}",
            )


def _limits(report: Mapping[str, Any]) -> Iterator[Line]:
    for limit in report["judgement"]["limits"]:
        needs = f", about {more(limit)} more" if limit["more"] else ""
        yield (
            f"  {limit['name']:<12} ",
            (limit["state"], LIMITS[limit["state"]]),
            f"{stands_though(limit)}{needs}  ",
            (limit["says"], "dim"),
        )


def _findings(report: Mapping[str, Any], room: int, *, messages: bool) -> Iterator[Line]:
    found = report["findings"]
    yield (tally(report) if found else nothing_found(report),)
    for index, one in enumerate(found[:room]):
        yield (
            f"  {one['id']} ",
            (one["severity"], SEVERITIES[one["severity"]]),
            f" {one['kind']}{place(one['where'])}",
        )
        if messages and index < FEW_LINES:
            yield ((f"    {mark(one) or one['message']}", "dim"),)
    if len(found) > room:
        yield ((f"  and {len(found) - room} more: 'shadowserve findings'", "dim"),)


def texts(lines: Sequence[Line]) -> list[Text]:
    """Return lines as a terminal shows them, each cut at its width; nothing in them is markup."""
    made = []
    for parts in lines:
        text = Text(no_wrap=True, overflow="ellipsis")
        for part in parts:
            words, style = (part, "") if isinstance(part, str) else part
            text.append(legible(words, most=LONGEST_LINE), style=style or None)
        made.append(text)
    return made


def now() -> datetime:
    """Return this moment, UTC."""
    return datetime.now(UTC)


def _lane(lane: Mapping[str, Any]) -> str:
    return f"{lane['role']} v{lane['version']}"


def _lag(lane: Mapping[str, Any]) -> str:
    return f"{lane['pending']:,} pending, {lane['lag_seconds']:.1f} s behind"
