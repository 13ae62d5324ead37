"""A state directory with lanes that have worked, and a real MLflow store to carry it to."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import orjson

from shadowserve.comparison.learned import Learned
from shadowserve.lane import windows
from shadowserve.records import Comparison, Outcome, Role
from shadowserve.schema.disclosure import Disclosure
from shadowserve.settings.options import Options
from shadowserve.state import deployment as deployments
from shadowserve.state.deployment import Deployment, LaneName
from shadowserve.state.lane_file import LaneState, Progress, Window
from shadowserve.state.places import Places
from shadowserve.versions.training import TrainingData
from shadowserve.versions.version import Version

CHALLENGER = LaneName(Role.CHALLENGER, 4)
CONTROL = LaneName(Role.CONTROL, 3)
SECRET = "s3cret-value"


def client(uri: str):
    from mlflow import MlflowClient

    return MlflowClient(uri)


def version(number: int) -> Version:
    return Version(
        model="it's films",
        number=number,
        created="2026-01-01T00:00:00+00:00",
        digest=f"{number}" * 64,
        model_id=f"m-{number}",
        run_id=f"{number}" * 32,
        libraries={"python": "3.11.4", "scikit-learn": "1.9.0"},
        training_data=(
            TrainingData("events", digest=f"data{number}", rows=100, since="2020-04-01"),
        ),
    )


def deployment(uri: str, *, control: bool = False, **changes) -> Deployment:
    fields = {
        "id": "it's films-20260101T000000Z-abc",
        "champion": version(3),
        "challengers": (version(4),),
        "control": control,
        "files": {},
        "started": "2026-01-01T00:00:00+00:00",
        "start": "this start",
        "salt": "salt",
        "tracking_uri": uri,
    }
    options = Options.of(changes.pop("options", {}))
    return Deployment(**{**fields, **changes}, options=options)


def state_directory(folder: Path, served: Deployment) -> Places:
    """Make a state directory with the deployment's file and its lanes' directories."""
    places = Places(folder / "state")
    places.make()
    for lane in served.lanes:
        places.lane(lane.role, lane.version).parts.mkdir(parents=True, exist_ok=True)
    deployments.write(places, served)
    return places


def comparison(position: int, window: int, **changes) -> Comparison:
    slow = position % 10 == 7
    fields = {
        "position": position,
        "request_id": f"request-{position}",
        "arrived_wall_ns": time.time_ns(),
        "n_rows": 1,
        "window": window,
        "outcome": Outcome.BOTH_OK,
        "disagreement": 0.5 if position % 10 == 3 else 0.0,
        "exact": position % 10 != 3,
        "tolerant": position % 10 != 3,
        "values": {"top_k": 0.5},
        "champion": ["a"],
        "lane": ["b"],
        "champion_ms": 1.0,
        "lane_ms": 40.0 if slow else 2.0,
        "response_ms": 1.5,
        "champion_steps": {"description": 0.8, "estimator": 0.2},
        "lane_steps": {"description": 39.0 if slow else 1.0, "estimator": 1.0},
        "sizes": {"text": 9_000 if slow else 40},
    }
    return Comparison(**{**fields, **changes})


def close_windows(
    places: Places,
    lane: LaneName,
    n_windows: int,
    *,
    n: int = 10,
    metrics: Mapping[str, float] | None = None,
) -> list[Window]:
    """Let a lane work through some more windows, as `Lane` does, and return them as closed."""
    own = places.lane(lane.role, lane.version, lane.stay)
    state = LaneState(own.state)
    known = state.summaries()
    learned = Learned.from_state(known) if known else Learned(_STEPS, _STEPS)
    first = state.next_window()
    for number in range(first, first + n_windows):
        rows = [comparison(number * n + i + 1, number) for i in range(n)]
        learned.add(
            rows,
            scorings=[],
            side=None,
            divergence=None,
            champion_columns=_STEPS,
            inner={},
            disclosure=Disclosure(b"salt"),
        )
        found = [c.disagreement for c in rows]
        learned.outputs.worst.add(
            np.asarray(found), np.asarray([c.position for c in rows]), [c.request_id for c in rows]
        )
        encoded = [windows.encode(row) for row in rows]
        progress = Progress(
            outcomes={Outcome.BOTH_OK: n},
            cursor={0: rows[-1].position},
            comparisons=[(c.position, number, text) for c, text in zip(rows, encoded, strict=True)],
            summaries=learned.state(),
        )
        figures = windows.metrics([orjson.loads(text) for text in encoded], role=lane.role.value)
        text = json.dumps({**figures, **(metrics or {})}).encode()
        closed_ns = time.time_ns()
        state.commit(progress)
        state.close_window(Window(number, closed_ns - 10**9, closed_ns, n, text, None))
        state.part_written(number, windows.write_part(own.parts, encoded))
    state.close()
    from shadowserve.state.lane_reading import closed_windows

    return closed_windows(own.state, after=first - 1)


_STEPS = {"description": ["text"], "estimator": []}
