"""The grounds of a promotion: whether what is known of a version bears it, and what speaks against it.

A verdict is about one pair of versions, their files and the traffic of a time. Each of these is looked at
by itself, so that whoever overrules one knows which.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from shadowserve.errors import ShadowserveError
from shadowserve.judgement.findings.coverage import COVERAGE
from shadowserve.judgement.verdict import Verdict
from shadowserve.report import build
from shadowserve.settings.adapting import adapter_of
from shadowserve.state import arrival
from shadowserve.state import deployment as deployments
from shadowserve.state.deployment import Deployment
from shadowserve.state.places import Places
from shadowserve.versions.pins import Pin
from shadowserve.versions.version import Version

AHEAD_S = 3_600.0
"""By how much clocks of two machines may differ before a time in the future means that one is wrong."""
_OUTGROWN = ("grown", "worse", "turned")
_SAID = 3
"""Reasons that are quoted of a verdict."""


@dataclass(frozen=True, slots=True)
class Objection:
    """One thing that speaks against a promotion.

    Parameters
    ----------
    code : str
        Its name, for programs.
    says : str
        What is so, and what to do.
    """

    code: str
    says: str


@dataclass(frozen=True, slots=True)
class Grounds:
    """What a promotion rests on.

    Parameters
    ----------
    report : mapping or None
        Of this pair; None where there is none.
    deployment : Deployment or None
        That compared it.
    run_id : str or None
        Of its lane's evidence in MLflow.
    objections : tuple of Objection
    """

    report: Mapping[str, Any] | None
    deployment: Deployment | None
    run_id: str | None
    objections: tuple[Objection, ...]

    @property
    def reason(self) -> str:
        """Why, as the verdict says."""
        if self.report is None:
            return ""
        return f"verdict {self.report['verdict']} on {self.report['compared']:,} compared requests"


def grounds_of(
    places: Places,
    pin: Pin,
    *,
    alias: str,
    stands_for: int | None,
    known: Mapping[int, Version],
    max_age_s: float,
) -> Grounds:
    """Look at what the state directory knows of a version.

    Parameters
    ----------
    stands_for : int or None
        What the alias stands for now.
    known : mapping of number to Version
        The pin and the present champion, as the registry has them now.
    max_age_s : float
        How old the last request that the verdict rests on may be.
    """
    deployment = deployments.read(places)
    if deployment is not None and pin.model != deployment.model:
        told = (
            f"{pin} is of another model than {deployment.champion.pin}, and an alias stands for versions of its own "
            f"model. Register its files as a version of {deployment.model}, and compare that."
        )
        return Grounds(None, None, None, (Objection("model", told),))
    if deployment is None:
        told = (
            f"Nothing has been served from {places.root}, so there is no verdict on {pin}. Give --state-dir, or "
            "serve it beside the champion first."
        )
        return Grounds(None, None, None, (Objection("deployment", told),))
    version = next((one for one in deployment.challengers if one.pin == pin), None)
    if version is None:
        return Grounds(None, None, None, (_other_pair(places, deployment, pin),))
    lane = deployment.lane_of(deployment.number_of(version))
    report = build.build(places, deployment, challenger=lane.version)
    found = [
        *_registry(deployment, alias, stands_for),
        *_otherwise(deployment, version),
        *_digests(deployment, version, known),
        *_verdict(report, pin),
        *_age(report, pin, max_age_s),
        *_acceptances(report),
    ]
    return Grounds(report, deployment, arrival.run_ids(places.arrival).get(str(lane)), tuple(found))


def _other_pair(places: Places, deployment: Deployment, pin: Pin) -> Objection:
    pair = ", ".join(one.pin.label for one in deployment.challengers) or "nobody"
    told = f"{pin} is no challenger of {deployment.id}, which has compared {pair} with {deployment.champion.pin}."
    for shelf in reversed(places.shelves):
        try:
            other = deployments.read(Places(shelf))
        except ShadowserveError:
            continue
        if other is not None and any(one.pin == pin for one in other.challengers):
            told += (
                f" {other.id}, which is archived, compared it with {other.champion.pin}; what is served has changed "
                f"since, so its verdict does not count ('shadowserve report --deployment {other.id}')."
            )
            break
    return Objection("pair", f"{told} Serve it beside the champion first.")


def _registry(deployment: Deployment, alias: str, stands_for: int | None) -> Iterator[Objection]:
    champion = deployment.champion.number
    if stands_for is not None and stands_for != champion:
        yield Objection(
            "registry",
            f"@{alias} stands for v{stands_for}, and the verdict is about v{champion}: it was moved since. "
            f"Serve v{stands_for} as the champion, and compare with that.",
        )
    elif stands_for is None:
        yield Objection(
            "alias",
            f"Model {deployment.model!r} has no alias @{alias}. Name what is served first: 'shadowserve promote "
            f'v{champion} --force "is served"\', or give --alias the name that you use.',
        )


def _otherwise(deployment: Deployment, version: Version) -> Iterator[Objection]:
    """Yield in what the version was compared otherwise than a champion's worker would run it."""
    pin = version.pin
    if deployment.options.isolates(version):
        yield Objection(
            "isolated",
            f"{pin.label} was compared in an environment of its own (--isolate), and a champion runs with the server's "
            "libraries, with which nobody has compared it. Install its libraries where it is to serve, and compare it "
            "there without --isolate.",
        )
    if (adapter := adapter_of(deployment.options.adapt_output, pin.version)) is not None:
        yield Objection(
            "adapted",
            f"{pin.label} was compared as {adapter} puts its answers (--adapt-output), and a champion's callers get "
            "them as the model gives them. Register a version that does that itself, and compare it without an adapter.",
        )


def _digests(
    deployment: Deployment, version: Version, known: Mapping[int, Version]
) -> Iterator[Objection]:
    for compared in (version, deployment.champion):
        now = known.get(compared.number)
        if now is not None and (reason := changed(compared, now)):
            yield Objection(
                "digest",
                f"{compared.pin} is not what was compared: {reason}. Serve what is registered now, and compare that.",
            )


def changed(before: Version, now: Version) -> str | None:
    """Say in what a registered version is another one than before; None where it is the same."""
    for name, own, other in (
        ("registered at", before.created, now.created),
        ("made by run", before.run_id, now.run_id),
        ("files' digest", before.digest, now.digest),
    ):
        # What one side does not know cannot differ.
        if own is not None and other is not None and own != other:
            return f"{name} {own[:19]} then and {other[:19]} now"
    return None


def _verdict(report: Mapping[str, Any], pin: Pin) -> Iterator[Objection]:
    label, verdict = pin.label, report["verdict"]
    reasons: Sequence[str] = report["judgement"]["reasons"]
    if verdict != Verdict.PROMOTE.value:
        why = " ".join(reasons[:_SAID])
        yield Objection(
            "verdict",
            f"The verdict on {label} is {verdict}: {why} 'shadowserve verdict --challenger {label}' says what is missing.",
        )
    covering = [one for one in report["judgement"]["limits"] if one["name"] == COVERAGE.name]
    found = [one["message"] for one in report["findings"] if one["kind"] == COVERAGE.name]
    lacking = [one["says"] for one in covering if one["state"] != "kept"]
    if not covering or lacking or found:
        told = " ".join([*lacking, *found]) or "nothing is known of it"
        yield Objection(
            "coverage", f"Too little of the traffic was compared for {label}: {told} Wait for more."
        )


def _age(report: Mapping[str, Any], pin: Pin, max_age_s: float) -> Iterator[Objection]:
    if report["latest"] is None:
        return
    then = datetime.fromisoformat(report["latest"])
    age_s = (datetime.now(UTC) - then).total_seconds()
    if age_s > max_age_s:
        days = f"{age_s / 86_400:.1f} days" if age_s >= 86_400 else f"{age_s / 60:.0f} minutes"
        yield Objection(
            "age",
            f"What is known of {pin.label} rests on requests of {days} ago at the latest (--max-age). Serve it "
            "beside the champion for a while.",
        )
    elif age_s < -AHEAD_S:
        yield Objection(
            "age",
            f"The last request that {pin.label} was compared on is of {report['latest']}, which lies ahead. Set the "
            "clock of this machine right.",
        )


def _acceptances(report: Mapping[str, Any]) -> Iterator[Objection]:
    for one in report["acceptances"]:
        if one["found"] and one["ended"] in _OUTGROWN:
            yield Objection(
                "accepted",
                f"Finding {one['finding']} ({one['kind']}) was accepted by {one['by']} and has {one['ended']} since. "
                "Look at it again, and accept it as it is or wait: 'shadowserve findings'.",
            )
