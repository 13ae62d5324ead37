"""The words and numbers of a report, the same for whoever tells it: terminal, verdict and page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from shadowserve.legible import counted, number
from shadowserve.records import Outcome

Told = Mapping[str, Any]

OUTCOMES = tuple(one.value for one in Outcome if not one.value.startswith("skipped_"))
"""What may become of a request in a lane; what was skipped is told as one."""

MOST_EXAMPLES = 5
SEVERITIES = ("critical", "warning", "note", "info")
"""The worst first."""


def spaced(name: str) -> str:
    """Write a key as words.

    Examples
    --------
    >>> spaced("both_ok")
    'both ok'
    """
    return name.replace("_", " ")


def short(value: float | None) -> str:
    """Write a number with three digits; empty if there is none.

    Examples
    --------
    >>> short(0.012345), short(1304.2), short(None)
    ('0.0123', '1,304', '')
    """
    return "" if value is None else number(value)


def percent(value: float | None) -> str:
    """Write a share as a percentage; empty if there is none.

    Examples
    --------
    >>> percent(0.123), percent(0.0004), percent(None)
    ('12.3 %', '0.04 %', '')
    """
    return "" if value is None else f"{100 * value:.3g} %"


def versions(report: Told) -> str:
    """Say which versions a report is of, as far as it has them."""
    roles = ("champion", "challenger")
    other = report.get("challenger_model", report.get("model")) != report.get("model")
    names = {role: f"v{report[role]}" for role in roles if role in report}
    if other and "challenger" in names:
        number = report.get("challenger_version", report["challenger"])
        names["challenger"] = f"{report['challenger_model']}:{number}"
    return ", ".join(f"{role} {name}" for role, name in names.items())


def compared(report: Told) -> str:
    """Say on how much of the traffic a report rests."""
    return f"{report['compared']:,} of {report['requests']:,} requests compared"


def headline(report: Told) -> str:
    """Say what a report is of, in a line.

    Examples
    --------
    >>> headline({"model": "films", "champion": 3, "challenger": 4, "compared": 2990, "requests": 3000})
    'films: champion v3, challenger v4; 2,990 of 3,000 requests compared'
    """
    return f"{report['model']}: {versions(report)}; {compared(report)}"


def nothing_found(report: Told) -> str:
    """Say that there are no findings: since all is well, or since nothing is known."""
    if report.get("compared", True):
        return "No findings."
    return "Nothing has been compared yet."


def tally(report: Told) -> str:
    """Say how many findings there are by severity, and how many of them the team has accepted.

    Examples
    --------
    >>> tally({"findings": [{"severity": "note"}, {"severity": "critical"}, {"severity": "note"}]})
    '3 findings: 1 critical, 2 note.'
    """
    found = report["findings"]
    if not found:
        return nothing_found(report)
    levels = [one["severity"] for one in found]
    by = ", ".join(f"{levels.count(one)} {one}" for one in SEVERITIES if one in levels)
    lived_with = sum(bool((one.get("accepted") or {}).get("holds")) for one in found)
    more = f"; {lived_with} accepted" if lived_with else ""
    return f"{counted(len(found), 'finding')}: {by}{more}."


def examples(numbers: Sequence[int]) -> str:
    """Name some requests by their numbers.

    Examples
    --------
    >>> examples([1203]), examples([1, 2, 3])
    ('request 1,203', 'requests 1, 2, 3')
    """
    shown = numbers[:MOST_EXAMPLES]
    return f"request{'s' if len(shown) > 1 else ''} {', '.join(f'{one:,}' for one in shown)}"


def place(where: Told) -> str:
    """Say where a finding is, as far as that tells it from others; begins with a blank.

    Examples
    --------
    >>> place({"role": "challenger", "step": "phrases", "columns": ["description"], "slice": None})
    " in step 'phrases', on description"
    >>> place({"role": "champion", "step": None, "columns": ["a"], "slice": "a below 3"})
    ' of the champion, where a below 3'
    """
    role = "" if where["role"] == "challenger" else f" of the {where['role']}"
    step = f" in step '{where['step']}'" if where["step"] else ""
    columns = f", on {', '.join(where['columns'])}" if where["columns"] else ""
    part = f", where {where['slice']}" if where["slice"] else columns
    return f"{role}{step}{part}"


def accepted(told: Told) -> str:
    """Say that a finding was accepted, by whom, when and why, and why that no longer holds if so.

    Parameters
    ----------
    told : mapping
        ``accepted`` of a report's finding, or one of its ``acceptances``.

    Examples
    --------
    >>> told = {"by": "ann@shop", "at": "2026-11-30T14:00:00+00:00", "until": None, "reason": "Meant so."}
    >>> accepted({**told, "holds": True})
    'Accepted by ann@shop on 2026-11-30: Meant so.'
    >>> accepted({**told, "holds": False, "ended": "grown", "value": 0.1})
    'Was accepted by ann@shop on 2026-11-30 (Meant so.) and decides again: it has outgrown the 0.1 that was accepted.'
    """
    who = f"ccepted by {told['by']} on {told['at'][:10]}"
    until = f"until {told['until'][:16].replace('T', ' ')} UTC" if told["until"] else ""
    if told["holds"]:
        return f"A{who}{until and f', {until}'}: {told['reason']}"
    why = {
        "over": f"that was to hold {until}.",
        "worse": f"it was {told.get('severity', 'milder')} then.",
        "grown": f"it has outgrown the {short(told.get('value'))} that was accepted.",
        "turned": "it points the other way now.",
    }
    return f"Was a{who} ({told['reason']}) and decides again: {why[told['ended']]}"


def mark(finding: Told) -> str:
    """Say what the team has said of a finding; empty where it has said nothing.

    A report of an earlier release says nothing of it.
    """
    return accepted(finding["accepted"]) if finding.get("accepted") else ""


def cause(finding: Told) -> str:
    """Say what a finding comes from; empty where nobody has asked `explain`, or it tells of no answers."""
    return f"cause: {finding['cause']}" if finding.get("cause") else ""


def stands_though(limit: Told) -> str:
    """Say that a limit does not decide, since the team has accepted what it tells; empty where it does."""
    return ", accepted" if limit.get("accepted") else ""


def agreed(agreement: Told) -> str:
    """Say on how many rows the answers are equal; empty where nothing was compared."""
    if agreement["share_exact"] is None:
        return ""
    return (
        f"Equal to the bit: {percent(agreement['share_exact'])} of rows; "
        f"within tolerance: {percent(agreement['share_tolerant'])}."
    )


def more(limit: Told) -> str:
    """Say what a limit still takes: labels, requests, or where a share is sampled how much traffic.

    Examples
    --------
    >>> more({"name": "latency", "more": 801, "more_traffic": 8010})
    '8,010 requests, of which 801 are sampled'
    >>> more({"name": "coverage", "more": 801, "more_traffic": 801})
    '801 requests'
    >>> more({"name": "coverage", "more": None})
    ''
    """
    if limit["more"] is None:
        return ""
    if limit["name"] == "loss":
        return counted(limit["more"], "label")
    traffic = limit.get("more_traffic") or limit["more"]
    sampled = f", of which {limit['more']:,} are sampled" if traffic > limit["more"] else ""
    return f"{counted(traffic, 'request')}{sampled}"


def cost_to_callers(cost: Told) -> str:
    """Say what lanes cost callers at one rank of their waiting times.

    Examples
    --------
    >>> cost_to_callers({"low": -0.02, "high": 0.04, "rank": "p99"})
    'Lanes cost callers between -2 % and +4 % at p99.'
    """
    low, high = (f"{100 * cost[end]:+.3g} %" for end in ("low", "high"))
    return f"Lanes cost callers between {low} and {high} at {cost['rank']}."


def alarm(finding: Told, challenger: int) -> str:
    """Say that something is wrong, and where, without a value and without a number of a request.

    The message of a finding may name values of columns that may be shown, and what a version answered.

    Examples
    --------
    >>> where = {"role": "challenger", "step": "phrases", "columns": [], "slice": "genre is noir"}
    >>> alarm({"kind": "memory_growth", "severity": "warning", "where": where}, 4)
    "v4: warning memory growth in step 'phrases'. 'shadowserve findings --challenger v4' says more."
    """
    told = place({**finding["where"], "slice": None})
    what = f"{finding['severity']} {spaced(finding['kind'])}{told}"
    return f"v{challenger}: {what}. {_more(f'findings --challenger v{challenger}')}"


def verdict_changed(challenger: int, before: str, now: str) -> str:
    """Say that a verdict is another one now.

    Examples
    --------
    >>> verdict_changed(4, "continue", "reject")
    "v4: the verdict is reject now, it was continue. 'shadowserve verdict --challenger v4' says why."
    """
    why = f"'shadowserve verdict --challenger v{challenger}' says why."
    return f"v{challenger}: the verdict is {now} now, it was {before}. {why}"


def lane_fails(lane: str, state: str) -> str:
    """Say that a lane scores no more.

    Examples
    --------
    >>> lane_fails("challenger v4", "degraded")
    "The lane of challenger v4 is degraded and scores nothing. 'shadowserve status' says more."
    """
    return f"The lane of {lane} is {state} and scores nothing. {_more('status')}"


def not_taken_over(version: int) -> str:
    """Say that a version was to take over and did not; why may quote the model, and stands in status.

    Examples
    --------
    >>> not_taken_over(4)
    'v4 did not take over. The former champion answers on; shadowserve status says why.'
    """
    return f"v{version} did not take over. The former champion answers on; shadowserve status says why."


def unarrived() -> str:
    """Say that evidence does not reach MLflow."""
    return f"Evidence does not arrive in MLflow; it waits on disk. {_more('status')}"


def _more(command: str) -> str:
    return f"'shadowserve {command}' says more."
