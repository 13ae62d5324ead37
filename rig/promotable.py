"""A registry whose films:3 serves, and a state directory in which films:4 has earned the verdict promote."""

from __future__ import annotations

import shutil
import sqlite3
import warnings
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlflow
import mlflow.sklearn
import numpy as np
import orjson
import pandas as pd
import sklearn
from mlflow import MlflowClient
from mlflow.models import infer_signature

from rig.deployment import CHALLENGER, CONTROL, OPTIONS, deployment, made
from rig.lane import answer, work
from rig.scoring import native, pipeline, record
from shadowserve.comparison.pairing import Pairing
from shadowserve.state import deployment as deployments
from shadowserve.state.deployment import Deployment
from shadowserve.state.places import Places
from shadowserve.versions.mlmodel import read_manifest
from shadowserve.versions.pins import Pin
from shadowserve.versions.registry import Registry
from shadowserve.versions.stores import Uris
from shadowserve.versions.version import Version, with_manifest

EASY = {"min_requests": 100, "max_error_rate": 0.05, "latency_margin": 10.0}
"""A policy that 420 requests without an error, scored by one and the same model, can prove."""
N = 420
LAST = 6
"""films:1 to films:6 are registered; from films:5 on they answer otherwise."""


@dataclass(frozen=True)
class Promotable:
    """The registry, and the state directory."""

    uri: str
    client: MlflowClient
    places: Places

    @property
    def registry(self) -> Registry:
        """A registry of its own for each who asks."""
        return Registry(Uris(self.uri, self.uri))

    def champion(self, alias: str = "champion") -> int | None:
        """What the alias stands for."""
        found = self.client.get_registered_model("films").aliases.get(alias)
        return None if found is None else int(found)

    def tags(self, number: int) -> dict[str, str]:
        """A version's tags."""
        return dict(self.client.get_model_version("films", str(number)).tags)

    def names(self) -> list[str]:
        """All that is registered."""
        return sorted(one.name for one in self.client.search_registered_models())


def registered(root: Path, *, uri: str | None = None) -> str:
    """Make the registry, by default in a new file; return its address."""
    uri = uri or f"sqlite:///{root}/mlflow.db"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # MLflow's own, on first use
        client = MlflowClient(uri, uri)
        client.create_registered_model("films")
        for number in range(1, LAST + 1):
            source = _saved(root, weight=2.0 if number <= 4 else 3.0)
            own = root / f"v{number}"
            shutil.copytree(source, own)
            client.create_model_version("films", str(own))
    client.set_registered_model_alias("films", "champion", "3")
    return uri


def _saved(root: Path, *, weight: float) -> Path:
    path = root / f"weight-{weight:g}"
    if not path.exists():
        frame = pd.DataFrame([record(n) for n in range(8)])
        model = pipeline(weight=weight)
        mlflow.sklearn.save_model(
            model,
            str(path),
            signature=infer_signature(frame, model.predict(frame)),
            input_example=frame[:2],
            serialization_format="cloudpickle",
            pip_requirements=[f"scikit-learn=={sklearn.__version__}"],
        )
    return path


def whole(registry: Registry, number: int) -> Version:
    """Return a version as a deployment records it."""
    found = registry.identified(Pin("films", number))
    return with_manifest(found, read_manifest(_path(found), pin=found.pin))


def _path(found: Version) -> Path:
    return Path(str(found.source).removeprefix("file://"))


def compared(root: Path, registry: Registry, **changes: Any) -> Deployment:
    """Let films:4 be compared with films:3 in a state directory."""
    places = made(root, CHALLENGER, CONTROL)
    answer(places, [record(n) for n in range(N)], champion=native(pipeline()))
    work(places, native(pipeline(), number=4))
    work(places, native(pipeline()), name=CONTROL)
    _time(places)
    versions = {number: whole(registry, number) for number in (3, 4)}
    served = deployment(
        champion=versions[3],
        challengers=(versions[4],),
        files={number: str(_path(one)) for number, one in versions.items()},
        options={**OPTIONS, "verdict": EASY},
        **changes,
    )
    deployments.write(places, served)
    return served


def _time(places: Places) -> None:
    """Let the lane remember bursts in which it took as long as the control."""
    pairing, steady = Pairing(margin=10.0), np.full(16, 20.0)
    for burst in range(40):
        pairing.paired.add(burst, steady, steady)
    with closing(sqlite3.connect(places.lane(CHALLENGER.role, 4).state)) as lane, lane:
        changed = lane.execute(
            "UPDATE summary SET state = ? WHERE name = 'pairing'", (orjson.dumps(pairing.state()),)
        )
    assert changed.rowcount == 1


def promotable(root: Path) -> Promotable:
    """Make both."""
    store = root / "store"
    store.mkdir(parents=True)
    uri = registered(store)
    here = Promotable(uri, MlflowClient(uri, uri), Places(root / "state"))
    compared(here.places.root, here.registry)
    return here


def copied(made_before: Promotable, root: Path) -> Promotable:
    """Copy what was made, so that a test may change it; the files of the versions stay where they are."""
    root.mkdir(parents=True, exist_ok=True)
    source = Path(made_before.uri.removeprefix("sqlite:///"))
    shutil.copyfile(source, root / "mlflow.db")
    shutil.copytree(made_before.places.root, root / "state")
    uri = f"sqlite:///{root}/mlflow.db"
    return Promotable(uri, MlflowClient(uri, uri), Places(root / "state"))
