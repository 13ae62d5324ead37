"""A process that loads one version and scores one journaled request again, every step's output told.

python -m shadowserve.runs.replaying challenger v4 162 <descriptor>

It writes one JSON object to the descriptor that it inherits, and ends. The request is read where it lies and goes
nowhere else.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson

from shadowserve import ambience, wire
from shadowserve.errors import ShadowserveError
from shadowserve.faults import fault_of
from shadowserve.host.private_log import silence_others
from shadowserve.lane.observing import Observer
from shadowserve.records import Request, Role
from shadowserve.report.one_request import held
from shadowserve.runs.intermediate import described, intermediate
from shadowserve.scorer import scoring
from shadowserve.scorer.scorer import Scorer
from shadowserve.state import deployment as deployments
from shadowserve.state.deployment import Deployment, LaneName
from shadowserve.state.places import Places
from shadowserve.versions import copies
from shadowserve.wire.protocols import protocols

TIMES = 5
"""A request is scored so often; the fastest counts, since a first call is cold."""


def main(arguments: Sequence[str]) -> int:
    """Score a request, and return the exit code."""
    role, version, position, descriptor = arguments
    ambience.claim()
    silence_others()
    places = Places(Path(os.environ["SHADOWSERVE_STATE_DIR"]))
    deployment = deployments.read(places)
    name = LaneName(Role(role), int(version.removeprefix("v")))
    with os.fdopen(int(descriptor), "wb") as out:
        try:
            told = _told(name, places, deployment, int(position))
        except BaseException as error:  # a model may raise anything; an exit is one of them
            known = isinstance(error, ShadowserveError)
            fault = fault_of(error)
            told = {"failed": str(error) if known else f"{fault.type} at {fault.frame}"}
        out.write(orjson.dumps(told, option=orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS))
    return 0


def _told(
    name: LaneName, places: Places, deployment: Deployment | None, position: int
) -> dict[str, Any]:
    if deployment is None:
        return {"failed": "nothing is deployed here"}
    request = held(places, places.lane(*_kept_by(deployment, name)), position)
    if request is None:
        return {"failed": "the request has gone meanwhile"}
    with tempfile.TemporaryDirectory(prefix="shadowserve-replay-") as folder:
        scorer = opened(name, deployment, Path(folder))
        return _replayed(scorer, deployment, request)


def _kept_by(deployment: Deployment, name: LaneName) -> tuple[Role, int]:
    """Return the lane that keeps old requests: a challenger's, also where the champion scores."""
    if name.role is Role.CHALLENGER:
        return name.role, name.version
    return Role.CHALLENGER, int(os.environ.get("SHADOWSERVE_BESIDE", deployment.numbers[0]))


def opened(name: LaneName, deployment: Deployment, folder: Path) -> Scorer:
    """Load one of a deployment's versions from a copy of its files below a folder, and warm it.

    Raises
    ------
    ModelError
        If it cannot be loaded.
    """
    version = deployment.version(name.version)
    own = copies.own(Path(deployment.files[name.version]), folder / str(name.version))
    champion = deployment.champion if name.role is Role.CHALLENGER else None
    return scoring.warm(
        scoring.open_version(version, own, options=deployment.options, champion=champion)
    )


def _replayed(scorer: Scorer, deployment: Deployment, request: Request) -> dict[str, Any]:
    table = dict(protocols(deployment.model, deployment.champion.number))
    typed = Observer(scorer, table, mark=[0]).typed(request)
    if typed.rows is None:
        fault = typed.refusal.fault if typed.refusal is not None else None
        return {"failed": f"it cannot be typed: {fault.type}" if fault else "it cannot be typed"}
    scored = [scorer.score(typed.rows) for _ in range(TIMES)]
    best = min(scored, key=lambda one: sum(one.wall_ns) or one.inference_ns)
    names = [step for step, _ in scorer.step_names]
    answer = table[request.protocol].encode(best.output, echo=typed.echo)
    kinds = {} if scorer.plan is None else {one.name: one.kind for one in scorer.plan.steps}
    return {
        "answer": orjson.loads(wire.answer(best.output)),
        "as_answered": answer == request.answer,
        "steps": [
            {"step": step, "columns": list(columns), "kind": kinds.get(step, "estimator")}
            for step, columns in scorer.step_names
        ],
        "ms": {step: ns / 1e6 for step, ns in zip(names, best.wall_ns, strict=False)},
        "whole_ms": (best.featurization_ns + best.inference_ns) / 1e6,
        # A version that is called as a whole has one step, and its output is the answer.
        "outputs": intermediate(scorer, typed.rows) or {names[-1]: described(best.output)},
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
