"""What an MLflow run says of the lane it belongs to: its name, tags and parameters."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

from shadowserve.evidence.links import VIEW
from shadowserve.records import Role
from shadowserve.scorer import parity
from shadowserve.state.deployment import Deployment, LaneName
from shadowserve.versions.training import TrainingData
from shadowserve.versions.version import Version

CHANGED = "shadowserve.changed."
"""Begins the tag of a parameter that a later start of the same deployment gave another value."""
MOST_CHARACTERS = 5_000
TABLES = ("slow_requests.json", "worst_requests.json")
_COLUMNS = (
    "metrics.`total/requests`",
    "metrics.`total/compared`",
    "metrics.`total/disagreement`",
    "tags.`shadowserve.verdict`",
)
VIEWS = {f"mlflow.sharedViewState.{VIEW}": json.dumps({"selectedColumns": _COLUMNS})}
"""An experiment's tag that MLflow's run table reads: which columns a link of ours shows."""


def experiment_name(deployment: Deployment) -> str:
    """Return the experiment that holds a model's lanes."""
    return f"shadowserve/{deployment.model}"


def run_name(deployment: Deployment, lane: LaneName) -> str:
    """Return ``v3 vs v4``, ``v3 vs v4-2`` when v4 came again, or ``v3 vs v3 control``."""
    suffix = " control" if lane.role is Role.CONTROL else ""
    again = f"-{lane.stay}" if lane.stay > 1 else ""
    return f"v{deployment.champion.number} vs {deployment.label_of(lane)}{again}{suffix}"


def models(deployment: Deployment, lane: LaneName) -> list[str]:
    """Return the ids of the logged models that a lane compares, as far as versions have one."""
    versions = (deployment.champion, deployment.version_of(lane))
    return list(dict.fromkeys(one.model_id for one in versions if one.model_id))


def key(deployment: Deployment, lane: LaneName) -> str:
    """Return what finds the run again: a digest of deployment and lane, hexadecimal."""
    return hashlib.sha256(f"{deployment.id}\n{lane}".encode()).hexdigest()[:32]


def params(deployment: Deployment, lane: LaneName) -> dict[str, str]:
    """Return the run's parameters: who was compared, and every option that shapes the evidence."""
    return {
        "role": lane.role.value,
        "champion": f"v{deployment.champion.number}",
        "challenger": deployment.label_of(lane),
        "control": "on" if deployment.control else "off",
        **{name: _short(value) for name, value in _flat(deployment.options.to_dict())},
    }


def changed(
    wanted: Mapping[str, str], kept: Mapping[str, str], tags: Mapping[str, str]
) -> dict[str, str]:
    """Return tags for parameters that a later start gave another value, which a run's cannot take.

    Parameters
    ----------
    wanted, kept : mapping of name to text
        Parameters as they are now, and as the run has them.
    tags : mapping of name to text
        The run's tags: a value that was changed back is told too.
    """
    differ = {
        name: value
        for name, value in wanted.items()
        if name in kept and (kept[name] != value or f"{CHANGED}{name}" in tags)
    }
    return {f"{CHANGED}{name}": value for name, value in differ.items()}


def _flat(options: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield options by name; a table's keys stand behind its own, with a dot."""
    for name, value in sorted(options.items()):
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _short(value: Any) -> str:
    """Write an option as people do, within MLflow's limits."""
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, list | tuple):
        value = ", ".join(map(str, value)) or "none"
    return ("none" if value is None else str(value))[:MOST_CHARACTERS]


def tags(deployment: Deployment, lane: LaneName) -> dict[str, str]:
    """Return the run's tags: who was compared, and what each was trained on and with."""
    tables = [{"path": name, "type": "table"} for name in TABLES]
    return {
        "shadowserve.deployment": deployment.id,
        "shadowserve.lane": str(lane),
        "shadowserve.role": lane.role.value,
        "shadowserve.model": deployment.model,
        **({"shadowserve.rescored": deployment.rescored} if deployment.rescored else {}),
        "mlflow.source.name": "shadowserve",
        "mlflow.loggedArtifacts": json.dumps(tables),
        **dict(_told("champion", deployment.champion)),
        **dict(_told(lane.role.value, deployment.version_of(lane))),
        **_typing(deployment, lane),
    }


def _typing(deployment: Deployment, lane: LaneName) -> dict[str, str]:
    """Tell where one of the two has no signature, so that both are typed by one rule."""
    told = parity.said(deployment.champion, deployment.version_of(lane))
    return {"shadowserve.typing": told} if told else {}


def _told(role: str, version: Version) -> Iterator[tuple[str, str]]:
    facts = {
        "model": version.model,
        "version": str(version.number),
        "digest": version.digest,
        "model_id": version.model_id,
        "run_id": version.run_id,
        "training_data": "; ".join(_data(one) for one in version.training_data),
        "training_data.digest": ", ".join(d.digest for d in version.training_data if d.digest),
        "libraries": ", ".join(f"{name} {number}" for name, number in version.libraries.items()),
    }
    for name, value in facts.items():
        if value:
            yield f"shadowserve.{role}.{name}", value


def _data(one: TrainingData) -> str:
    rows = f"{one.rows} rows" if one.rows is not None else None
    time = f"{one.since or '…'} to {one.until or '…'}" if one.since or one.until else None
    return ", ".join(part for part in (one.name, rows, time) if part)
