"""What is known of a challenger after its lane and the control have scored a journal."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rig.deployment import CHALLENGER, CONTROL, OPTIONS, deployment, made
from rig.lane import answer, records, work
from rig.scoring import double, opaque
from shadowserve.comparison.bursts import BURST_EVERY, BURST_WARMUP, burst_of
from shadowserve.comparison.pairing import Pairing
from shadowserve.judgement.facts import Facts, gather
from shadowserve.judgement.findings import Finding, look
from shadowserve.judgement.pairs import Pair
from shadowserve.records import position
from shadowserve.scorer.scorer import Scorer
from shadowserve.settings.policy import Policy
from shadowserve.state.deployment import Deployment
from shadowserve.state.places import Places

FEW = {"min_requests": 100}


def shadowed(
    root: Path,
    challenger: Scorer,
    *,
    champion: Scorer | None = None,
    sent: Sequence[Mapping[str, Any]] | None = None,
    n: int = 420,
    rescore: bool = False,
    **changes: Any,
) -> tuple[Places, Deployment]:
    """Answer requests with the champion, score them with challenger and control."""
    places = made(root, CHALLENGER, CONTROL)
    answer(places, sent if sent is not None else records(n), champion=champion)
    work(places, challenger, rescore=rescore)
    work(places, champion or opaque(double, number=3), name=CONTROL, rescore=rescore)
    return places, deployment(**{"options": {**OPTIONS, "verdict": FEW}, **changes})


def known_of(root: Path, challenger: Scorer, **options: Any) -> Facts:
    return gather(*shadowed(root, challenger, **options), challenger=4)


def timed(
    known: Facts, *, times: float = 1.0, n: int = 40, ms: float = 20.0, in_turn: bool = True
) -> Facts:
    """Put so many bursts of timings in: the challenger takes so many times the control's time."""
    noise = ms * np.random.default_rng(0).lognormal(0.0, 0.05, (n, 16, 2))
    if not in_turn or known.learned is None:
        pairs = tuple(
            Pair(place, float(times * a), float(b), (), (), None, None, arrived_ns=burst)
            for burst in range(n)
            for place, (a, b) in zip(warm_places(burst), noise[burst], strict=True)
        )
        return dataclasses.replace(untimed(known), pairs=pairs)
    pairing = Pairing()
    for burst in range(n):
        pairing.paired.add(burst, noise[burst, :, 1], times * noise[burst, :, 0])
    learned = copy.copy(known.learned)
    learned.pairing = pairing
    return dataclasses.replace(known, learned=learned)


def warm_places(burst: int) -> list[int]:
    """Return the positions of a worker's burst that are paired: those past its warm-up."""
    block = range(burst * BURST_EVERY + 1, (burst + 1) * BURST_EVERY + 1)
    places = [(position(0, n), burst_of(position(0, n))) for n in block]
    return [place for place, found in places if found and found[1] >= BURST_WARMUP]


def untimed(known: Facts) -> Facts:
    """Take all timings of bursts out."""
    learned = copy.copy(known.learned)
    if learned is not None:
        learned.pairing = Pairing()
    return dataclasses.replace(known, learned=learned, pairs=())


def policy(**limits: Any) -> Policy:
    return Policy.of({**FEW, **limits})


def found(known: Facts, **limits: Any) -> dict[str, Finding]:
    """Return the findings by kind."""
    return {one.kind: one for one in look(known, policy(**limits))}


def alarms(known: Facts) -> list[Finding]:
    return [one for one in look(known, policy()) if one.severity.is_alarm]


def slices(known: Facts) -> dict[str | None, Finding]:
    return {one.where.slice: one for one in look(known, policy()) if one.kind == "slice_divergence"}


def of_champion(known: Facts) -> list[Finding]:
    return [one for one in look(known, policy()) if one.where.role == "champion"]
