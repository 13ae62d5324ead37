"""What an MLflow run says of the lane it belongs to: its name, tags and parameters."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator

from shadowserve import parity
from shadowserve.deployment import Deployment, LaneName
from shadowserve.records import Role
from shadowserve.training import TrainingData
from shadowserve.version import Version

TABLES = ("slow_requests.json", "worst_requests.json")


def experiment_name(deployment: Deployment) -> str:
    """Return the experiment that holds a model's lanes."""
    return f"shadowserve/{deployment.model}"


def run_name(deployment: Deployment, lane: LaneName) -> str:
    """Return ``v3 vs v4``, or ``v3 vs v3 control``."""
    suffix = " control" if lane.role is Role.CONTROL else ""
    return f"v{deployment.champion.number} vs v{lane.version}{suffix}"


def key(deployment: Deployment, lane: LaneName) -> str:
    """Return what finds the run again: a digest of deployment and lane, hexadecimal."""
    return hashlib.sha256(f"{deployment.id}\n{lane}".encode()).hexdigest()[:32]


def params(deployment: Deployment, lane: LaneName) -> dict[str, str]:
    """Return the run's parameters: short, and the same for as long as the deployment lives."""
    return {
        "role": lane.role.value,
        "champion": f"v{deployment.champion.number}",
        "challenger": f"v{lane.version}",
    }


def tags(deployment: Deployment, lane: LaneName) -> dict[str, str]:
    """Return the run's tags: who was compared, and what each was trained on and with."""
    tables = [{"path": name, "type": "table"} for name in TABLES]
    return {
        "shadowserve.deployment": deployment.id,
        "shadowserve.lane": str(lane),
        "shadowserve.role": lane.role.value,
        "shadowserve.model": deployment.model,
        "mlflow.source.name": "shadowserve",
        "mlflow.loggedArtifacts": json.dumps(tables),
        **dict(_told("champion", deployment.champion)),
        **dict(_told(lane.role.value, deployment.version(lane.version))),
        **_typing(deployment, lane),
    }


def _typing(deployment: Deployment, lane: LaneName) -> dict[str, str]:
    """Tell where one of the two has no signature, so that both are typed by one rule."""
    told = parity.said(deployment.champion, deployment.version(lane.version))
    return {"shadowserve.typing": told} if told else {}


def _told(role: str, version: Version) -> Iterator[tuple[str, str]]:
    facts = {
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
