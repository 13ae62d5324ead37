"""A deployment of small versions in a state directory, with everything a lane needs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rig.scoring import version
from shadowserve.records import Role
from shadowserve.settings.options import Options
from shadowserve.state.deployment import Deployment, LaneName
from shadowserve.state.places import Places

CHALLENGER = LaneName(Role.CHALLENGER, 4)
CONTROL = LaneName(Role.CONTROL, 3)
OPTIONS = {"method": "predict", "output_kind": None, "rescore": True, "log_inputs": "none"}


def deployment(**changes: Any) -> Deployment:
    fields = {
        "id": "films-20260101T000000Z-abc",
        "champion": version(3),
        "challengers": (version(4),),
        "control": True,
        "files": {3: "/models/3", 4: "/models/4"},
        "started": "2026-01-01T00:00:00+00:00",
        "start": "now",
        "salt": "salt",
        "tracking_uri": "sqlite:///mlflow.db",
    }
    options = changes.get("options", OPTIONS)
    options = options if isinstance(options, Options) else Options.of(options)
    return Deployment(**{**fields, **changes, "options": options})


def made(root: Path, *lanes: LaneName) -> Places:
    """Return a state directory with its directories, those of some lanes too."""
    places = Places(root)
    places.make()
    for name in lanes:
        places.lane(name.role, name.version).parts.mkdir(parents=True)
    return places
