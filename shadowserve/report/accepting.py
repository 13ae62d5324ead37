"""Accepting a finding of a report, and taking that back: which one is meant, and what is remembered of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Any

from shadowserve.errors import SettingsError
from shadowserve.host.instant import Instant
from shadowserve.judgement.findings import kinds
from shadowserve.judgement.findings.finding import ID_DIGITS
from shadowserve.legible import quoted
from shadowserve.report import build
from shadowserve.report.wording import place
from shadowserve.state import acceptances
from shadowserve.state.acceptances import Acceptance
from shadowserve.state.deployment import Deployment
from shadowserve.state.places import Places

_LISTED = 10
"""Findings that a refusal lists."""

Told = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which finding is meant: by its id, or by its kind and as much of its place as tells it from others.

    Parameters
    ----------
    name : str
        A kind, or an id.
    step : str, optional
    columns : tuple of str
        All of them, in whatever order; empty: whatever they are.
    """

    name: str
    step: str | None = None
    columns: tuple[str, ...] = ()

    def means(self, finding: str, told: Told) -> bool:
        """Tell whether a finding, or what was accepted as one, is meant.

        Parameters
        ----------
        finding : str
            Its id.
        told : mapping
            With ``kind`` and ``where`` as a report has them.
        """
        where = told["where"]
        return (
            self.name in (finding, told["kind"])
            and self.step in (None, where["step"])
            and (not self.columns or set(self.columns) == set(where["columns"]))
        )


class AmbiguousError(SettingsError):
    """Several findings are meant by what was given."""


class NotFoundError(SettingsError):
    """No finding is meant by what was given."""


def accept(
    places: Places,
    deployment: Deployment,
    wanted: Wanted,
    *,
    challenger: int,
    reason: str,
    by: str,
    lasts_s: float | None = None,
    report: Told | None = None,
) -> Acceptance:
    """Accept one finding as it stands now, and return what is remembered of it.

    Parameters
    ----------
    challenger : int
        Version number.
    by : str
        Who says so.
    lasts_s : float, optional
        For how long; without it until it is withdrawn, or the finding outgrows it.
    report : mapping, optional
        Where a report has just been built.

    Raises
    ------
    NotFoundError, AmbiguousError
        If it is not exactly one finding that is meant.
    SettingsError
        If the reason says nothing or too much, or too many are accepted already.
    """
    reason = acceptances.checked(reason)
    if report is None:
        report = build.build(places, deployment, challenger=challenger)
    found = _the_one(report["findings"], wanted, what=f"finding of v{challenger}")
    effect = found["effect"] or {}
    said = Acceptance(
        challenger=challenger,
        finding=found["id"],
        kind=found["kind"],
        severity=found["severity"],
        where={**found["where"], "slice": None, "items": [], "output": None},
        measure=effect.get("measure"),
        value=effect.get("value"),
        reason=reason,
        by=acceptances.named(by),
        lasts_s=acceptances.limited(lasts_s),
    )
    acceptances.add(places, deployment.id, said)
    return said


def withdraw(
    places: Places,
    deployment: Deployment,
    wanted: Wanted,
    *,
    challenger: int,
    by: str,
    reason: str = "",
) -> Acceptance:
    """Take an acceptance back, whether its finding is found now or not, and return what is remembered.

    Raises
    ------
    NotFoundError, AmbiguousError
        If it is not exactly one accepted finding that is meant.
    SettingsError
        If the reason is too long.
    """
    said = acceptances.standing(acceptances.read(places, deployment.id), challenger)
    listed = [{"id": one.finding, **one.to_dict()} for one in said.values()]
    found = said[_the_one(listed, wanted, what=f"accepted finding of v{challenger}")["id"]]
    taken_back = replace(
        found,
        reason=acceptances.checked(reason) if reason.strip() else "",
        by=acceptances.named(by),
        at=Instant.now(),
        lasts_s=None,
        withdrawn=True,
    )
    acceptances.add(places, deployment.id, taken_back)
    return taken_back


def told(said: Acceptance) -> dict[str, Any]:
    """Return what was just said as programs get it."""
    return {
        "finding": said.finding,
        "kind": said.kind,
        "where": said.where,
        "challenger": said.challenger,
        "withdrawn": said.withdrawn,
        "by": said.by,
        "at": said.at_utc,
        "until": said.until_utc,
        "reason": said.reason,
        "severity": said.severity,
        "measure": said.measure,
        "value": said.value,
    }


def _the_one(found: Sequence[Told], wanted: Wanted, *, what: str) -> Told:
    meant = [one for one in found if wanted.means(one["id"], one)]
    if len(meant) == 1:
        return meant[0]
    if meant:
        many = what.replace("finding", "findings")
        raise AmbiguousError(
            f"{len(meant)} {many} are meant by that. Name one by its id:\n{_list(meant)}"
        )
    if not found:
        raise NotFoundError(f"There is no {what} now.{_near(wanted.name)}")
    raise NotFoundError(f"No such {what}.{_near(wanted.name)} There are:\n{_list(found)}")


def _near(name: str) -> str:
    """Say what a misspelt kind may have meant."""
    known = sorted({kind.told for kind in kinds()})
    if name in known or _is_id(name):
        return ""
    near = get_close_matches(name, known, n=1)
    hint = f"Did you mean {near[0]}?" if near else f"Kinds are {', '.join(known)}."
    return f" {quoted(name)} is no kind of finding. {hint}"


def _is_id(name: str) -> bool:
    return len(name) == ID_DIGITS and set(name) <= set("0123456789abcdef")


def _list(found: Sequence[Told]) -> str:
    lines = [
        f"  {one['id']}  {one['severity']} {one['kind']}{place(one['where'])}" for one in found
    ]
    more = [f"  and {len(lines) - _LISTED} more"] if len(lines) > _LISTED else []
    return "\n".join([*lines[:_LISTED], *more])
