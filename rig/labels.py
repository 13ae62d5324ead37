"""A state directory whose lanes have compared requests, for labels to be joined with."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from rig.evidence import CHALLENGER, CONTROL, comparison, deployment, state_directory
from shadowserve.comparison.comparing import Outputs, Side
from shadowserve.comparison.learned import Learned
from shadowserve.comparison.outputs import kind_compared
from shadowserve.divergence import Kind, divergence_of
from shadowserve.labels import Owner
from shadowserve.labels.owner import owning
from shadowserve.lane import windows
from shadowserve.records import Comparison, Outcome
from shadowserve.schema.disclosure import Disclosure
from shadowserve.state.deployment import Deployment, LaneName
from shadowserve.state.lane_file import LaneState, Progress, Window
from shadowserve.state.places import Places

__all__ = ["CHALLENGER", "CONTROL", "Kind", "Running", "answers", "serve", "wait_for_owner", "work"]

SIGNATURE = {"inputs": [], "outputs": [{"type": "long"}], "params": None}


def serve(folder: Path, **changes: Any) -> tuple[Places, Deployment]:
    """Make a state directory with a challenger and a control."""
    options = changes.pop("options", {"method": "predict"})
    served = deployment("sqlite:///unused.db", control=True, options=options, **changes)
    return state_directory(folder, served), served


def work(places: Places, lane: LaneName, rows: list[dict[str, Any]], *, part: bool) -> None:
    """Let a lane compare requests; they end in a Parquet part, or stay in the open window."""
    own = places.lane(lane.role, lane.version)
    state = LaneState(own.state)
    number = state.next_window()
    made = [comparison(row.pop("position"), number, **row) for row in rows]
    encoded = [windows.encode(one) for one in made]
    places_ = [json.loads(text)["position"] for text in encoded]
    state.commit(
        Progress(
            cursor={0: max(places_)},
            comparisons=[(p, number, text) for p, text in zip(places_, encoded, strict=True)],
            summaries=_learned(made).state(),
        )
    )
    if part:
        state.close_window(Window(number, 1, 2, len(rows), b"{}", None))
        state.part_written(number, windows.write_part(own.parts, encoded))
    state.close()


def _learned(made: list[Comparison]) -> Learned:
    """Learn what a lane learns of the outputs, labels all."""
    learned = Learned({}, {})
    both = [one for one in made if one.outcome == Outcome.BOTH_OK and len(one.champion) == 1]
    if both:
        divergence = divergence_of(Kind.LABEL)
        champion, lane = ([getattr(c, side)[0] for c in both] for side in ("champion", "lane"))
        compared = divergence.compare(champion, lane)
        apart = [
            replace(c, disagreement=float(d), tolerant=d == 0)
            for c, d in zip(both, compared.disagreement(), strict=True)
        ]
        outputs = [Outputs(one.champion, one.lane) for one in both]
        side = Side([], outputs, compared, np.arange(len(both)))
        learned.outputs.add(side, apart, divergence, disclosure=Disclosure(b"salt"))
    return learned


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


class Running:
    """An owner at work in a thread, as in the evidence writer's process."""

    def __init__(self, places: Places, served: Deployment) -> None:
        self.stop = threading.Event()
        owner = Owner(places, served, kind_compared)
        self.thread = threading.Thread(target=owner.run, args=(self.stop,))

    def __enter__(self) -> None:
        self.thread.start()

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        self.thread.join()


def wait_for_owner(places: Places) -> None:
    """Until the lock is held, whoever asks for it has it for a moment."""
    while True:
        with owning(places) as is_ours:
            if not is_ours:
                return
