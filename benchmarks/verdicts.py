"""Whom labels promote: forty useless challengers and twenty as good as the champion or better.

    python -m benchmarks.verdicts

Labels and answers go through the product's own joining, losses, findings and verdict, without HTTP, 250 at a
time. All else is beyond reproach: an A/A pair is fed through the lane code, and both versions take a tenth of a
millisecond. A version of a latent normal model is right as far as it knows the signal; a useless one does not.
"""

from __future__ import annotations

import argparse
import copy
import dataclasses
import json
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy.special import expit, logit
from scipy.stats import norm

from benchmarks.detection import fed
from rig import fed_lane
from shadowserve.comparison.pairing import Pairing
from shadowserve.divergence import Kind
from shadowserve.judgement.facts import Facts
from shadowserve.judgement.findings import look
from shadowserve.judgement.findings.labelled import by_labels
from shadowserve.judgement.verdict import judge
from shadowserve.labels import Losses
from shadowserve.labels.pairs import Pair
from shadowserve.labels.terms import Terms
from shadowserve.settings.policy import Policy

N_LABELS, AT_ONCE, SIGNAL, FAST_MS = 8_000, 250, 0.75, 0.1
USELESS = ("no", "base rate", "shuffled", "hardly any signal", "worse order at equal Brier")
RARE, ALL = (0.005, 0.02, 0.062, 0.10), (0.02, 0.062, 0.10, 0.20, 0.30)


@dataclass(frozen=True, slots=True)
class Planted:
    """One challenger of one run."""

    kind: str
    rate: float
    loss: str
    seed: int


def plan() -> Iterator[Planted]:
    """Yield forty useless ones, then twenty that are equal or better."""
    for place, kind in enumerate(USELESS):
        for rate in RARE:
            for loss in ("brier", "rank"):
                yield Planted(kind, rate, loss, place)
    for rate in ALL:
        for kind in ("equal", "better"):
            for seed in (10, 11):
                yield Planted(kind, rate, "rank" if rate <= 0.1 else "brier", seed)


def knowing(
    signal: np.ndarray, quality: float, rate: float, rng: np.random.Generator
) -> np.ndarray:
    """Return calibrated probabilities of a version that sees so much of the signal."""
    seen = quality * signal + np.sqrt(1 - quality**2) * rng.standard_normal(signal.size)
    known = SIGNAL * quality
    return np.asarray(norm.cdf((known * seen - norm.ppf(1 - rate)) / np.sqrt(1 - known**2)))


def world(one: Planted) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return labels, and the champion's and the challenger's probabilities."""
    rng = np.random.default_rng(1_000 * one.seed + int(1_000 * one.rate))
    signal = rng.standard_normal(N_LABELS)
    luck = np.sqrt(1 - SIGNAL**2) * rng.standard_normal(N_LABELS)
    truth = SIGNAL * signal + luck > norm.ppf(1 - one.rate)
    champion = knowing(signal, 0.95, one.rate, rng)
    if one.kind == "worse order at equal Brier":
        champion = overconfident(champion, one.rate)
    challenger = {
        "no": lambda: np.full(N_LABELS, 0.0),
        "base rate": lambda: np.full(N_LABELS, one.rate),
        "shuffled": lambda: rng.permutation(champion),
        "hardly any signal": lambda: knowing(signal, 0.1, one.rate, rng),
        "worse order at equal Brier": lambda: knowing(signal, 0.1, one.rate, rng),
        "equal": lambda: knowing(signal, 0.95, one.rate, rng),
        "better": lambda: knowing(signal, 1.0, one.rate, rng),
    }[one.kind]()
    return truth.astype(int), champion, challenger


def overconfident(chances: np.ndarray, rate: float) -> np.ndarray:
    """Stretch log odds until the Brier score is no better than the base rate's; the order stays."""
    for stretch in np.arange(1.0, 6.0, 0.1):
        stretched = np.asarray(expit(stretch * (logit(chances) - logit(rate)) + logit(rate)))
        if np.mean((stretched - chances) ** 2) >= np.var(chances):
            return stretched
    return stretched


def pairs(
    truth: np.ndarray, champion: np.ndarray, challenger: np.ndarray
) -> Iterator[Sequence[Pair]]:
    """Yield labels with both answers, some at a time, as the labels' file has them."""
    for first in range(0, truth.size, AT_ONCE):
        at = slice(first, first + AT_ONCE)
        yield [
            _pair(int(y), float(a), float(b))
            for y, a, b in zip(truth[at], champion[at], challenger[at], strict=True)
        ]


def _pair(label: int, a: float, b: float) -> Pair:
    scores = [json.dumps({"0": 1 - p, "1": p}) for p in (a, b)]
    answers = [json.dumps([[1 - p, p]]) for p in (a, b)]
    return Pair(
        label=str(label), received_ns=2, arrived_ns=1, champion=answers[0], challenger=answers[1],
        challenger_scores=scores[1], of_first=True, champion_scores=scores[0], is_first=True, n_alike=1,
    )  # fmt: skip


@cache
def beyond_reproach() -> Facts:
    """Return what is known of an A/A pair whose every limit but the loss is kept."""
    pool, rng, policy = fed.Pool.scored(), np.random.default_rng(0), Policy()
    lanes = (
        fed_lane.FedLane(fed_lane.CHALLENGER, policy),
        fed_lane.FedLane(fed_lane.CONTROL, policy),
    )
    for first in range(0, 4_000, fed.PORTION):
        requests = list(fed._requests(first, pool, rng, 0.0))
        for lane in lanes:
            if scored := fed._scored(requests, pool, rng, 0.0, lane.name.role):
                lane.take(scored)
    known = fed_lane.known_of(*lanes)
    learned, pairing = copy.copy(lanes[0].learned), Pairing()
    for burst in range(40):
        both = FAST_MS * rng.lognormal(0.0, 0.05, (2, 16))
        pairing.paired.add(burst, both[0], both[1])
    learned.pairing = pairing
    return dataclasses.replace(known, learned=learned, pairs=())


def play(one: Planted) -> tuple[Planted, int | None, str]:
    """Return after how many labels a challenger was ever promoted, and how the loss stood at the end."""
    policy = Policy.of({"loss": one.loss}).of_challenger(1)
    losses = Losses(Kind.PROBABILITY, Terms.of(policy))
    n, promoted = 0, None
    for chunk in pairs(*world(one)):
        losses.add(chunk)
        n += len(chunk)
        known = dataclasses.replace(beyond_reproach(), losses=losses)
        if promoted is None and by_labels(known, policy) == "kept":
            judgement = judge(known, look(known, policy), policy)
            promoted = n if judgement.verdict == "promote" else None
            if promoted is None:
                return one, None, f"kept, but {judgement.verdict}: {judgement.reasons}"
            if one.kind not in USELESS:
                break
    known = dataclasses.replace(beyond_reproach(), losses=losses)
    (limit,) = [each for each in judge(known, [], policy).limits if each.name == "loss"]
    return one, promoted, f"{limit.state}: {limit.says}"


def main() -> None:
    """Play all of them and print whom labels promoted, and after how many."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    parser.add_argument("--says", action="store_true", help="print what the verdict says, too")
    options = parser.parse_args()
    with ProcessPoolExecutor(options.processes) as pool:
        for one, promoted, says in pool.map(play, plan()):
            when = "never" if promoted is None else f"after {promoted:,} labels"
            print(f"| {one.kind} | {100 * one.rate:g} % | {one.loss} | {when} |", flush=True)
            if options.says:
                print(f"    {says}", flush=True)


if __name__ == "__main__":
    main()
