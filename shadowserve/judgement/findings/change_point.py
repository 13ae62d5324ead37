"""Since when: the request from which on the answers lie apart, and whether the version changed or the traffic."""

from __future__ import annotations

from collections.abc import Iterator

from shadowserve.comparison.learned import Learned
from shadowserve.comparison.replayed import MAX_MS, Told
from shadowserve.judgement.facts import Facts
from shadowserve.judgement.findings.finding import Effect, Finding, Severity, request
from shadowserve.judgement.findings.kind import FindingKind, Needs, finds
from shadowserve.legible import number
from shadowserve.settings.policy import ALARM_SHARE, Policy
from shadowserve.statistics.changepoint import Change

CHANGE_POINT = FindingKind(
    "change_point",
    fires="The disagreement jumped at some request, and stays where it jumped to.",
    share=ALARM_SHARE,
)

ENOUGH = 13
"""Fewer old requests could prove nothing."""


@finds(CHANGE_POINT, needs=Needs.ANSWERS)
def look(known: Facts, policy: Policy) -> Iterator[Finding]:
    """Yield a lasting change of the disagreement."""
    learned = known.seen
    replayed, screened = learned.replayed, learned.outputs.change.change()
    if replayed.proven is not None:
        # The screen begins anew after each change, so by now it may have forgotten what replays
        # proved.
        change = screened or replayed.proven.change
        told = f"{_asked(known, replayed.proven)} Something it depends on changed: a feed, a table, a clock?"
        yield _finding(known, change, Severity.WARNING, told)
    elif replayed.trial is not None:
        n = len(replayed.trial.seen)
        told = f"Requests of before are being scored again, {n} so far, to tell whether the version changed."
        yield from _note(known, replayed.trial.change, told, policy)
    elif screened is not None:
        yield from _note(known, screened, _why_not(known, learned), policy)
    elif replayed.traffic is not None:
        yield from _note(known, replayed.traffic.change, _traffic(known, replayed.traffic), policy)


def _note(known: Facts, change: Change, told: str, policy: Policy) -> Iterator[Finding]:
    # A jump may be real and still too small to matter; only a proven one is told whatever its size.
    if abs(change.after - change.before) >= policy.min_disagreement:
        yield _finding(known, change, Severity.NOTE, told)


def _finding(known: Facts, change: Change, severity: Severity, told: str) -> Finding:
    return Finding(
        kind=CHANGE_POINT.told,
        severity=severity,
        message=(
            f"Since {request(known.moment(change.position))} {known.name} "
            f"{_apart(known, change)}. {told}"
        ),
        effect=Effect(
            "disagreement", change.after, None, None, "share", change.before, "challenger"
        ),
        since=change.position,
        examples=(change.position,),
    )


def _apart(known: Facts, change: Change) -> str:
    return known.tally.of.tell_apart(change.after, change.before, where="before")


def _asked(known: Facts, told: Told) -> str:
    champion = known.champion.pin.label
    beyond = f", which {champion} does not" if known.control else ""
    return (
        f"Of {told.replayed} requests of before that were scored again it answers {told.changed} otherwise than "
        f"it did then{beyond}."
    )


def _traffic(known: Facts, told: Told) -> str:
    # Half a bet that all requests changed, at 2 to 1 against the control, needs 13 to reach 2 /
    # alpha.
    if told.replayed < ENOUGH:
        return (
            f"Only {told.replayed} requests of before could be scored again, too few to tell why."
        )
    if told.changed < ENOUGH:
        return (
            f"The traffic changed: on {told.replayed} requests of before, scored again, {known.name} answers as "
            f"before{f' but on {told.changed}' if told.changed else ''}."
        )
    return (
        f"Of {told.replayed} requests of before, scored again, it answers {told.changed} otherwise; that is not "
        f"proven to be more than chance and {known.champion.pin.label}."
    )


def _why_not(known: Facts, learned: Learned) -> str:
    """Say why it is not known whether the version changed or the traffic."""
    options, open_ = (
        known.deployment.options,
        "so the traffic may have changed, and not the version.",
    )
    if not options.rescore:
        return f"Lanes may not score requests again (--no-rescore), {open_}"
    # The order is that of what can be mended: first what a team has asked for, last what the
    # version is.
    if options.hash_inputs or options.drop_inputs:
        return f"No old requests are kept, since some columns are hashed or dropped, {open_}"
    if learned.usual_ms() > MAX_MS:
        return f"Versions that take longer than {number(MAX_MS)} ms are not asked old requests again, {open_}"
    return "Requests of before are about to be scored again, to tell whether the version changed."
