"""What callers would meet who ask the promoted version what they asked the champion: as recorded, and asked again.

The lane has scored all that it could, and its ledger knows every request that the version did not answer.
What the journal and the lane still hold of requests is asked again, of the files that will serve.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from shadowserve import withheld
from shadowserve.check.trying import within
from shadowserve.judgement.findings.error_rate import ERROR_RATE
from shadowserve.judgement.findings.structure_change import STRUCTURE_CHANGE
from shadowserve.promotion import replaying
from shadowserve.promotion.grounds import Objection
from shadowserve.promotion.replaying import Replayed, told
from shadowserve.state.deployment import Deployment
from shadowserve.state.places import Places

_FAILED = ("challenger_error", "timed_out", "crashed")


def as_recorded(report: Mapping[str, Any]) -> Iterator[Objection]:
    """Yield what the lane has seen of it: requests without an answer, and answers in another form.

    What the team has accepted, and what has not outgrown that, is left out.
    """
    label = f"v{report['challenger']}"
    lane = next(
        one
        for one in report["ledger"]["lanes"]
        if (one["role"], one["version"]) == ("challenger", report["challenger"])
    )
    failed = {name: lane[name] for name in _FAILED if lane[name]}
    if failed and not _accepted(report, ERROR_RATE.name):
        counts = ", ".join(f"{n:,} {name.replace('_', ' ')}" for name, n in failed.items())
        yield Objection(
            "refused",
            f"{label} did not answer requests that the champion answered: {counts}. Callers would get errors; "
            f"'shadowserve report --challenger {label}' says which.",
        )
    changed = [one["message"] for one in report["findings"] if one["kind"] == STRUCTURE_CHANGE.name]
    if changed and not _accepted(report, STRUCTURE_CHANGE.name):
        yield Objection("form", " ".join(changed))


def _accepted(report: Mapping[str, Any], kind: str) -> bool:
    found = [one["accepted"] for one in report["findings"] if one["kind"] == kind]
    return bool(found) and all(one is not None and one["holds"] for one in found)


def asked_again(places: Places, deployment: Deployment, number: int) -> Replayed:
    """Ask a challenger what is still known of callers' requests, in a process of its own."""
    if not deployment.options.rescore or deployment.options.probe == "none":
        return Replayed(
            skipped="its calls may leave a trace (--no-rescore or --probe none), so what the lane recorded counts"
        )
    path = Path(deployment.files[number])
    if not path.is_dir():
        return Replayed(failure=f"its files are no longer in {path.parent}")
    asked = {"state": str(places.root), "deployment": deployment.to_json(), "number": number}
    said = within(
        "shadowserve.promotion",
        path,
        json.dumps(asked),
        environment=withheld.for_models(os.environ),
    )
    if said.late:
        return Replayed(failure="it was not done within minutes; does it wait for something?")
    if said.ended is not None:
        return Replayed(failure=f"its process ended ({said.ended})")
    return replaying.of(json.loads(said.answer))


def as_asked(found: Replayed, number: int) -> Iterator[Objection]:
    """Yield what asking again has brought to light."""
    label = f"v{number}"
    if found.failure is not None:
        yield Objection(
            "replay",
            f"Recorded requests could not be asked of {label} again: {found.failure.removesuffix('.')}. "
            "'shadowserve check' tries it out.",
        )
    if found.refused:
        yield Objection(
            "refused",
            f"Asked again, {label} failed on {sum(found.refused.values())} of {found.n} recorded requests that the "
            f"champion had answered: {told(found.refused)}. Callers would get errors.",
        )
    if found.changed:
        yield Objection(
            "form",
            f"Asked again, {label} answered in another form for {sum(found.changed.values())} rows: "
            f"{told(found.changed)}. Callers that parse the champion's answers may fail on it.",
        )
