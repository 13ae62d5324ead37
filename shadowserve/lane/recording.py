"""Turning what was scored into records: one comparison a request, and what bursts pair later."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from shadowserve.comparison.bursts import BurstRecord, burst_of
from shadowserve.comparison.by_name import ByName
from shadowserve.comparison.comparing import Scoring, Side
from shadowserve.comparison.comparisons import Comparisons
from shadowserve.comparison.pairing import server_ms
from shadowserve.journal.reader import JournalReader
from shadowserve.lane.unpacked import Unpacked
from shadowserve.records import Observation, Outcome, Request, Times, worker_of
from shadowserve.scorer.scorer import Scorer
from shadowserve.state.classes import MAX_CLASSES, by_class, class_texts
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
    ) -> Comparisons:
        """Make one comparison for each scoring, in the journal's order; each is asked for once."""
        requests = [one.request for one in scorings]
        seen = [one.observation for one in scorings]
        ever, lately = units.first([one.unit for one in scorings])
        outcome = [one.outcome for one in scorings]
        told = self._compared(side, outcome)
        return Comparisons(
            position=_whole([one.position for one in requests]),
            request_id=[one.request_id for one in requests],
            arrived_wall_ns=_whole([one.arrived_wall_ns for one in requests]),
            n_rows=_whole([one.n_rows for one in requests]),
            window=np.full(len(scorings), self.window, dtype=np.int64),
            outcome=outcome,
            starved_ms=_whole([one.starved_ns for one in seen]) / 1e6,
            alone=np.array([one.alone for one in scorings], dtype=np.bool_),
            warmup=np.array([one.warmup for one in scorings], dtype=np.bool_),
            inclusion=np.array([one.inclusion for one in scorings], dtype=np.float64),
            share=np.array([one.share for one in scorings], dtype=np.float64),
            sizes=ByName.of([one.sizes for one in scorings]),
            nonfinite=_whole([one.nonfinite for one in seen]),
            lane_scores=self._scores(seen, told["lane"]),
            fault=[one.fault for one in seen],
            first=ever,
            lately=lately,
            **self._champion_times(requests),
            **self._lane_times(scorings),
            **told,
        )

    def _compared(self, side: Side | None, outcome: Sequence[Outcome]) -> dict[str, Any]:
        """Return what the comparison says of each request; nothing of those that one side failed on."""
        n = len(outcome)
        compared = np.zeros(n, dtype=np.bool_)
        if side is not None:
            compared[:] = [one is Outcome.BOTH_OK for one in outcome]
        told: dict[str, Any] = {
            "compared": compared,
            "disagreement": np.full(n, np.nan),
            **{name: np.zeros(n, dtype=np.bool_) for name in ("exact", "tolerant", "structure")},
            "values": ByName.none(n),
            "champion": [None] * n,
            "lane": [None] * n,
        }
        if side is None:
            return told
        told["disagreement"][compared] = side.mean(side.compared.disagreement())
        told["exact"][compared] = ~side.any(~side.compared.exact)
        told["tolerant"][compared] = ~side.any(~side.compared.tolerant)
        told["structure"][compared] = side.any(side.compared.structure)
        names = tuple(side.compared.values)
        values = np.full((n, len(names)), np.nan)
        for at, each in enumerate(side.compared.values.values()):
            values[compared, at] = side.mean(each)
        told["values"] = ByName(names, values, np.isfinite(values))
        for place, outputs in zip(np.flatnonzero(compared).tolist(), side.outputs, strict=True):
            told["champion"][place], told["lane"][place] = outputs.champion, outputs.lane
        return told

    def _scores(self, seen: Sequence[Observation], served: Sequence[Any]) -> ByName:
        """Return the probabilities of requests of one row, by class."""
        classes = self.scorer.loaded.classes
        if classes is None or len(classes) > MAX_CLASSES:
            return ByName.none(len(seen))
        shape, names = (1, len(classes)), class_texts(classes)
        there = [one.scores for one in seen if one.scores is not None]
        if len(there) == len(seen) and all(
            one.shape == shape and one.dtype == np.float64 for one in there
        ):
            scores = np.concatenate(there)
            if len(set(names)) == len(names):
                return ByName(names, scores, scores == scores)
        both = zip(seen, served, strict=True)
        return ByName.of([by_class(one.scores, own, classes) for one, own in both], order=names)

    def _champion_times(self, requests: Sequence[Request]) -> dict[str, Any]:
        """Return the champion's recorded times; its own work only where it was scored alone."""
        n = len(requests)
        ok = np.array([one.status == 200 for one in requests], dtype=np.bool_)
        times = Unpacked.of([one.times for one in requests])
        work_ms = times.work_ns / 1e6
        alone = ok & (times.batch_requests == 1)
        steps = ByName.none(n)
        workers = worker_of(_whole([one.position for one in requests]))
        for worker in np.unique(workers[alone]).tolist():
            names = tuple(name for name, _ in self.tail.steps(worker))
            own = alone & (workers == worker) & (times.n_steps == len(names))
            if names and own.any():
                wall_ms = np.full((n, len(names)), np.nan)
                wall_ms[own] = times.wall_ns(own) / 1e6
                steps = steps.joined(ByName(names, wall_ms, np.repeat(own[:, None], len(names), 1)))
        return {
            "response_ms": times.total_ns / 1e6,
            "champion_work_ms": np.where(ok, work_ms, np.nan),
            "champion_ms": np.where(alone, work_ms, np.nan),
            "champion_steps": steps,
        }

    def _lane_times(self, scorings: Sequence[Scoring]) -> dict[str, Any]:
        n, none = len(scorings), ByName.none(len(scorings))
        times = [one.observation.times for one in scorings]
        lag_ns = [0 if one is None else one.phases_ns[0] for one in times]
        told: dict[str, Any] = {"lag_ms": _whole(lag_ns) / 1e6, "lane_ms": np.full(n, np.nan)}
        alone = [at for at, one in enumerate(scorings) if one.alone and times[at] is not None]
        if not alone:
            return {**told, "lane_steps": none, "lane_cpu": none}
        names = [name for name, _ in self.scorer.step_names]
        steps: list[dict[str, float]] = [{} for _ in scorings]
        spent: list[dict[str, float]] = [{} for _ in scorings]
        for at in alone:
            if (own := times[at]) is not None:
                told["lane_ms"][at] = work_ms(own)
                inner = _inner_ms(scorings[at].observation)
                steps[at] = {**_by_step(names, own.wall_ns), **inner}
                spent[at] = _by_step(names, own.cpu_ns)
        return {**told, "lane_steps": ByName.of(steps), "lane_cpu": ByName.of(spent)}


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


def _whole(values: Sequence[int]) -> np.ndarray:
    return np.array(values, dtype=np.int64)


def _by_step(names: Sequence[str], wall_ns: Sequence[int]) -> dict[str, float]:
    if len(names) != len(wall_ns):
        return {}
    return {name: ns / 1e6 for name, ns in zip(names, wall_ns, strict=True)}


def _inner_ms(seen: Observation) -> dict[str, float]:
    return {name: wall_ns / 1e6 for name, _, wall_ns, _ in seen.inner}
