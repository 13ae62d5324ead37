"""The report of one challenger: what its lane and the control have learnt, judged."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from math import isfinite
from typing import Any

from shadowserve.errors import SettingsError
from shadowserve.host.instant import Instant
from shadowserve.judgement.facts import Facts, gather
from shadowserve.judgement.findings import Finding, look
from shadowserve.judgement.findings.accepted import Accepted, Ended
from shadowserve.judgement.findings.gains import LIMITS
from shadowserve.judgement.findings.slice_divergence import SLICE_DIVERGENCE
from shadowserve.judgement.verdict import judge
from shadowserve.labels.losses import by_request
from shadowserve.legible import counted
from shadowserve.report import cause, quiet, times
from shadowserve.report.joint import joint
from shadowserve.report.memory import Memory
from shadowserve.report.over_time import over_time
from shadowserve.report.recorded import latest_answers
from shadowserve.settings.adapting import adapter_of
from shadowserve.settings.policy import Policy
from shadowserve.state import switches
from shadowserve.state.deployment import Deployment
from shadowserve.state.places import Places
from shadowserve.versions import pins

SCHEMA = "shadowserve/report/1"


def number_of(deployment: Deployment, given: str | None) -> int:
    """Return the challenger's lane number that was asked for, also of one that has left; by default the first's.

    Raises
    ------
    SettingsError
        If there is no such challenger.
    """
    numbers = deployment.numbers
    if given is None and numbers:
        return numbers[0]
    wanted = deployment.number_named(pins.parse(given)) if given is not None else None
    if wanted is None:
        known = ", ".join(map(deployment.name_of, numbers)) or "none"
        raise SettingsError(f"No such challenger in this deployment. Its challengers: {known}.")
    return wanted


def policy_of(deployment: Deployment, challenger: int) -> Policy:
    """Return the policy that was frozen when the deployment started, with a challenger's share of alpha.

    Parameters
    ----------
    challenger : int
        Version number. The k-th one against this champion spends ``alpha / (k (k + 1))`` on each limit.
    """
    options = deployment.options
    policy = Policy.of(options.verdict, log_inputs=options.log_inputs)
    return policy.of_challenger(deployment.place_of(challenger))


def build(
    places: Places, deployment: Deployment, *, challenger: int, memory: Memory | None = None
) -> dict[str, Any]:
    """Return the contract's report of one challenger, as it stands now.

    Parameters
    ----------
    places : Places
        The state directory; nothing in it is written.
    deployment : Deployment
    challenger : int
        Version number.
    memory : Memory, optional
        Keeps what was read for the next report, for whoever asks often.
    """
    memory = memory or Memory()
    lanes = {*deployment.lanes, deployment.lane_of(challenger)}
    memory.keep([places.lane(one.role, one.version, one.stay).state for one in lanes])
    known = gather(places, deployment, challenger=challenger, lanes=memory.lanes)
    policy = policy_of(deployment, challenger)
    findings = look(known, policy)
    judgement = judge(known, findings, policy)
    switch = _switch(places, deployment, challenger)
    why = cause.found(places, deployment, challenger)
    told = {
        "schema": SCHEMA,
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "deployment": deployment.id,
        "model": deployment.model,
        "champion": deployment.champion.number,
        "challenger": challenger,
        "challenger_model": known.challenger.model,
        "challenger_version": known.challenger.number,
        "adapter": _adapter(deployment, challenger),
        "requests": known.lane.own,
        "compared": known.learned.outputs.disagreement.n if known.learned else 0,
        "rate_per_s": known.rate_per_s,
        "windows": known.windows,
        "latest": _latest(known),
        "switch": switch,
        "verdict": judgement.verdict.value,
        "judgement": judgement.to_dict(),
        "findings": [_dated(known, finding, why) for finding in findings],
        "cause": why,
        "acceptances": list(_acceptances(known, findings)),
        "labels": _labels(known, policy),
        "divergence": _divergence(known, places),
        "over_time": over_time(places, known, findings, memory.history),
        "rescored": deployment.rescored,
        # Of recorded requests nothing is timed, and zeros would be taken for times.
        "latency": {} if deployment.rescored else times.latency(known, policy),
        "features": [] if deployment.rescored else list(times.features(known)),
        "isolated": next(
            (one.to_dict() for one in known.ledger.isolated if one.version == challenger), None
        ),
        "notes": [*_notes(known), *([switch["says"]] if switch else [])],
        "unseen": list(_unseen(known)),
        "refused": _refused(known),
        "slices": _slices(known, policy),
        "slow_requests": known.learned.slow_requests()[:20] if known.learned else [],
        "worst_requests": known.learned.outputs.worst.rows()[:20] if known.learned else [],
        "capacity": times.capacity(known),
        "quiet": quiet.read(places, known),
        "evidence": known.ledger.arrival.to_dict(),
        "batching": [one.to_dict() for one in known.ledger.batching],
        "ledger": known.ledger.to_dict(),
    }
    plain: dict[str, Any] = _plain(told)
    return plain


def _latest(known: Facts) -> str | None:
    """Return when the last request arrived that this rests on."""
    latest = known.learned.milestones.latest_wall_ns if known.learned else None
    return None if latest is None else _time(latest)


def _adapter(deployment: Deployment, challenger: int) -> dict[str, str | None] | None:
    """Return the function that puts the challenger's answers into the champion's form; None where there is none."""
    name = adapter_of(deployment.options.adapt_output, deployment.version(challenger).number)
    if name is None:
        return None
    return {"name": name, "digest": deployment.options.adapters.get(name)}


def _switch(places: Places, deployment: Deployment, challenger: int) -> dict[str, Any] | None:
    """Return the last move of an alias that this deployment gave grounds to, of or from this challenger."""
    pin = deployment.version(challenger).pin
    own = [
        one
        for one in switches.read(places, deployment.id)
        if pin.model == deployment.model and pin.version in (one.successor, one.former)
    ]
    return {**own[-1].to_dict(), "says": own[-1].says} if own else None


def _labels(known: Facts, policy: Policy) -> dict[str, Any] | None:
    if known.losses is None:
        return None
    losses = known.losses
    search = known.learned.outputs.slices if known.learned else None
    return {
        # Any limit that is broken rejects, so each may spend its part of alpha only.
        **losses.to_dict(alpha=policy.alpha, broken_alpha=policy.alpha / LIMITS),
        "by_slice": losses.by_slice.to_dict(
            search,
            measure=by_request(losses.kind, losses.terms),
            show=policy.shown(search.names) if search else (),
        ),
    }


def _dated(known: Facts, finding: Finding, why: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return a finding as JSON, its positions also as people count them, and its cause."""
    moment = known.moment(finding.since)
    examples = [known.moment(place) for place in finding.examples]
    return {
        **finding.to_dict(),
        "cause": cause.of_finding(finding.kind, why),
        "since_request": moment.number if moment else None,
        "since_time": _time(moment.arrived_wall_ns) if moment else None,
        "example_requests": [one.number for one in examples if one is not None],
    }


def _acceptances(known: Facts, findings: Sequence[Finding]) -> Iterator[dict[str, Any]]:
    """Yield all that is accepted, also what is not found now: it may come back."""
    found = {finding.id: finding.accepted for finding in findings if finding.accepted}
    now = Instant.now()
    for said in known.acceptances.values():
        stands = found.get(said.finding)
        yield {
            **(stands or Accepted(said, Ended.OVER if said.is_over(now) else None)).to_dict(),
            "finding": said.finding,
            "kind": said.kind,
            "where": said.where,
            "found": stands is not None,
        }


def _time(wall_ns: int) -> str:
    return datetime.fromtimestamp(wall_ns / 1e9, UTC).isoformat(timespec="seconds")


def _divergence(known: Facts, places: Places) -> dict[str, Any]:
    if known.learned is None or known.learned.outputs.tally is None:
        return {}
    outputs = known.learned.outputs
    told = {**outputs.tally.summary()} if outputs.tally else {}
    # What the control disagrees in is what one version differs from itself.
    noise = known.control.outputs.disagreement if known.control else None
    told["noise_floor"] = noise.mean if noise is not None and noise.n else None
    if known.tally.of.of_numbers:
        # A lane keeps no pairs of numbers; what it recorded of the latest requests shows how they lie.
        name = known.lane.name
        told["joint"] = joint(latest_answers(places.lane(name.role, name.version, name.stay)))
    return told


def _notes(known: Facts) -> list[str]:
    """Return what is not measured as one would expect: opaque steps, batches, library versions."""
    joined = [*_rescored(known), *_joined(known)]
    if known.learned is None:
        return joined
    noise = known.learned.noise
    proved = f"timed walk compared with the model's own path {counted(noise.proofs, 'time')}"
    broken = (
        f", {noise.broken_proofs} of them differed"
        if noise.broken_proofs
        else ", always equal to the bit"
    )
    revised = known.learned.outputs.revised
    behind = f"{known.name} is not up to date: {known.lane.behind}"
    return [
        *joined,
        *([behind] if known.lane.behind else []),
        *known.learned.notes,
        *revised,
        *([proved + broken] if noise.proofs else []),
    ]


def _rescored(known: Facts) -> Iterator[str]:
    """Say that nobody asked these requests just now."""
    if known.deployment.rescored:
        yield f"rescored from {known.deployment.rescored}: latency was not judged"


def _joined(known: Facts) -> Iterator[str]:
    """Say since when a newcomer takes part, and how many challengers this champion has had with it."""
    stay = known.deployment.stay_of(known.lane.name.version)
    if stay.joined is not None:
        k = known.deployment.place_of(known.lane.name.version)
        yield (
            f"{known.name} joined behind request {known.lane.before:,} ({stay.joined}): what is said here counts "
            f"what came since. With it this champion has had {counted(k, 'challenger')}, which share one alpha"
        )


def _refused(known: Facts) -> dict[str, Any]:
    """Return how many requests the champion refused, and how many of those kept the challenger takes."""
    seen = known.learned.refused if known.learned else None
    return {
        "requests": known.ledger.champion.rejected,
        "tried": seen.tried if seen else 0,
        # That none was taken can be said only where some were tried.
        "taken": seen.taken if seen and seen.tried else None,
    }


def _unseen(known: Facts) -> Iterator[dict[str, Any]]:
    """Yield how often a column brought a category that a version never met in training."""
    # The control scores with the champion's version, and so speaks for it.
    for role, learned in (("challenger", known.learned), ("champion", known.control)):
        for column, count in learned.unseen.columns.items() if learned is not None else ():
            yield {
                "role": role,
                "column": column,
                "rows": count.rows,
                "unseen": count.unseen,
                "share": count.share,
                "refuses": count.refuses,
            }


def _slices(known: Facts, policy: Policy) -> list[dict[str, Any]]:
    search = known.learned.outputs.slices if known.learned else None
    if search is None:
        return []
    return [
        {
            "columns": list(found.columns),
            "slice": found.describe,
            "n": found.n,
            "share": found.share,
            "disagreement": found.rate,
            "low": found.low,
            "high": found.high,
            "elsewhere": found.rate_outside,
        }
        for found in search.findings(
            SLICE_DIVERGENCE.alpha(policy), show=policy.shown(search.names)
        )
    ]


def _plain(value: Any) -> Any:
    """Return JSON-able values; numbers that are not finite are null."""
    if isinstance(value, Mapping):
        return {str(key): _plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    if hasattr(value, "item"):
        return _plain(value.item())
    if isinstance(value, float) and not isfinite(value):
        return None
    return value
