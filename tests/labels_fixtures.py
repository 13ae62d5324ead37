"""A state directory whose lanes have compared requests, for labels to be joined with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from evidence_fixtures import CHALLENGER, CONTROL, comparison, deployment, state_directory

from shadowserve.deployment import Deployment, LaneName
from shadowserve.divergence import Kind
from shadowserve.lane import windows
from shadowserve.lane.learned import Learned
from shadowserve.lane.state import LaneState, Progress, Window
from shadowserve.places import Places

__all__ = ["CHALLENGER", "CONTROL", "Kind", "answers", "serve", "work"]

SIGNATURE = {"inputs": [], "outputs": [{"type": "long"}], "params": None}


def serve(folder: Path, **changes: Any) -> tuple[Places, Deployment]:
    """Make a state directory with a challenger and a control."""
    served = deployment(
        "sqlite:///unused.db", control=True, options={"method": "predict"}, **changes
    )
    return state_directory(folder, served), served


def work(places: Places, lane: LaneName, rows: list[dict[str, Any]], *, part: bool) -> None:
    """Let a lane compare requests; they end in a Parquet part, or stay in the open window."""
    own = places.lane(lane.role, lane.version)
    state = LaneState(own.state)
    number = state.next_window()
    encoded = [windows.encode(comparison(row.pop("position"), number, **row)) for row in rows]
    places_ = [json.loads(text)["position"] for text in encoded]
    state.commit(
        Progress(
            cursor={0: max(places_)},
            comparisons=[(p, number, text) for p, text in zip(places_, encoded, strict=True)],
            summaries=Learned({}, {}).state(),
        )
    )
    if part:
        state.close_window(Window(number, 1, 2, len(rows), b"{}", None))
        state.part_written(number, windows.write_part(own.parts, encoded))
    state.close()


def answers(n: int, *, first: int = 1, seed: int = 0, better: float = 0.0) -> tuple[list, list]:
    """Return truth and rows: the champion is right for 70 %, the challenger for `better` more."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 2, n)
    luck = rng.random(n)
    champion = np.where(luck < 0.7, truth, 1 - truth)
    challenger = np.where(luck < 0.7 + better, truth, 1 - truth)
    rows = [
        {"position": first + i, "champion": [int(champion[i])], "lane": [int(challenger[i])]}
        for i in range(n)
    ]
    return truth.tolist(), rows
