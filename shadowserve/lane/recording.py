"""Turning what was scored into records: one comparison a request, and what bursts pair later."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from shadowserve.comparison.bursts import BurstRecord, burst_of
from shadowserve.comparison.comparing import Scoring, Side
from shadowserve.comparison.pairing import server_ms
from shadowserve.journal.reader import JournalReader
from shadowserve.records import Comparison, Observation, Times, worker_of
from shadowserve.scorer.scorer import Scorer
from shadowserve.state.classes import by_class
from shadowserve.statistics.units import Units

BurstRow = tuple[int, int, int, bytes]


@dataclass(frozen=True, slots=True)
class Recorder:
    """Makes comparisons of one flush.

    Parameters
    ----------
    scorer : Scorer
        The lane's version; names its steps and classes.
    tail : JournalReader
        Names the champion's steps.
    window : int
        The open window.
    """

    scorer: Scorer
    tail: JournalReader
    window: int

    def comparisons(
        self, scorings: Sequence[Scoring], side: Side | None, units: Units
    ) -> list[Comparison]:
        """Make one comparison for each scoring, in the journal's order; each is asked for once."""
        compared = {} if side is None else _by_position(side)
        ever, lately = units.first([one.unit for one in scorings])
        return [
            self._comparison(
                one, {"first": a, "lately": b, **compared.get(one.request.position, {})}
            )
            for one, a, b in zip(scorings, ever.tolist(), lately.tolist(), strict=True)
        ]

    def _comparison(self, scoring: Scoring, compared: Mapping[str, Any]) -> Comparison:
        request, seen = scoring.request, scoring.observation
        return Comparison(
            position=request.position,
            request_id=request.request_id,
            arrived_wall_ns=request.arrived_wall_ns,
            n_rows=request.n_rows,
            window=self.window,
            outcome=scoring.outcome,
            starved_ms=seen.starved_ns / 1e6,
            alone=scoring.alone,
            warmup=scoring.warmup,
            inclusion=scoring.inclusion,
            share=scoring.share,
            sizes=scoring.sizes,
            nonfinite=seen.nonfinite,
            lane_scores=by_class(seen.scores, compared.get("lane"), self.scorer.loaded.classes),
            fault=seen.fault,
            **self._champion_times(scoring),
            **self._lane_times(scoring),
            **compared,
        )

    def _champion_times(self, scoring: Scoring) -> dict[str, Any]:
        """Return the champion's recorded times; its own work only where it was scored alone."""
        request = scoring.request
        times = Times.unpack(request.times)
        told: dict[str, Any] = {"response_ms": times.total_ns / 1e6}
        if request.status == 200:
            told["champion_work_ms"] = work_ms(times)
        if times.batch_requests == 1 and request.status == 200:
            steps = [name for name, _ in self.tail.steps(worker_of(request.position))]
            told["champion_ms"] = work_ms(times)
            told["champion_steps"] = _by_step(steps, times.wall_ns)
        return told

    def _lane_times(self, scoring: Scoring) -> dict[str, Any]:
        seen, times = scoring.observation, scoring.observation.times
        if times is None:
            return {}
        told: dict[str, Any] = {"lag_ms": times.phases_ns[0] / 1e6}
        if scoring.alone:
            steps = [name for name, _ in self.scorer.step_names]
            told["lane_ms"] = work_ms(times)
            told["lane_steps"] = {**_by_step(steps, times.wall_ns), **_inner_ms(seen)}
            told["lane_cpu"] = _by_step(steps, times.cpu_ns)
        return told


def burst_row(scoring: Scoring) -> BurstRow | None:
    """Return what challenger and control both keep of a burst's request; None between bursts."""
    burst = burst_of(scoring.request.position)
    times = scoring.observation.times
    if burst is None or times is None:
        return None
    scores = scoring.observation.scores
    # Only while both run warm are the times of two processes alike.
    paired = scoring.alone and scoring.warm and not scoring.warmup
    record = BurstRecord(
        ms=work_ms(times) if paired else None,
        steps=[ns / 1e6 for ns in times.wall_ns] if paired else [],
        scores=None if scores is None else scores.mean(axis=0).tolist(),
        unit=scoring.unit,
        at=scoring.request.arrived_wall_ns,
        server_ms=server_ms(scoring.request),
    )
    return (scoring.request.position, *burst, record.encode())


def work_ms(times: Times) -> float:
    """Return featurization and inference together."""
    return times.work_ns / 1e6


def _by_position(side: Side) -> dict[int, dict[str, Any]]:
    """Return what the comparison says of each request, by position."""
    disagreement = side.mean(side.compared.disagreement())
    exact = ~side.any(~side.compared.exact)
    tolerant = ~side.any(~side.compared.tolerant)
    structure = side.any(side.compared.structure)
    values = {name: side.mean(each) for name, each in side.compared.values.items()}
    return {
        scoring.request.position: {
            "disagreement": float(disagreement[i]),
            "exact": bool(exact[i]),
            "tolerant": bool(tolerant[i]),
            "structure": bool(structure[i]),
            "values": {name: float(v[i]) for name, v in values.items() if np.isfinite(v[i])},
            "champion": outputs.champion,
            "lane": outputs.lane,
        }
        for i, (scoring, outputs) in enumerate(zip(side.scorings, side.outputs, strict=True))
    }


def _by_step(names: Sequence[str], wall_ns: Sequence[int]) -> dict[str, float]:
    if len(names) != len(wall_ns):
        return {}
    return {name: ns / 1e6 for name, ns in zip(names, wall_ns, strict=True)}


def _inner_ms(seen: Observation) -> dict[str, float]:
    return {name: wall_ns / 1e6 for name, _, wall_ns, _ in seen.inner}
