"""Traffic on which nothing is wrong and much looks so: what the hostile nulls of `calibration` play.

A `World` says what a version answers to a request at a moment, how long it takes and whether it fails;
both lanes are played through the product's own code. Every null is one where champion and challenger
are alike, or differ on some requests in the same way from the first to the last.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import orjson
from scipy.signal import lfilter

from rig import fed_lane
from shadowserve.comparison.comparing import Comparer, Scoring
from shadowserve.judgement.findings import look
from shadowserve.judgement.verdict import Verdict, judge
from shadowserve.lane import again, replays
from shadowserve.lane.intake import turn
from shadowserve.lane.kept import MOST, Kept
from shadowserve.lane.observing import Typed
from shadowserve.lane.rescoring import Rescorer
from shadowserve.records import Fault, Observation, Request, Role, Times
from shadowserve.schema.rows import Rows
from shadowserve.settings.policy import Policy
from shadowserve.statistics.measuring import Plan
from shadowserve.wire.protocols import protocols

N_REQUESTS = 10_000
PORTION = 100
LOOK_EVERY = 500
CHAMPION, CHALLENGER = 0, 1
APART = ("prediction_divergence", "score_shift", "slice_divergence", "tapped")
TABLE = dict(protocols("likes", 3))
FAULT = Fault("ConnectionError", "features", "client.py:12 call", "0123456789ab")


@dataclass(slots=True)
class World:
    """What both versions do; arrays are of shape (n,) by request or by moment, (2, n) by version too.

    Parameters
    ----------
    apart : by request
        Whether the challenger answers it otherwise, always.
    close : by request
        Probability that a call turns its answer over, of either version.
    flaky, down, holes : by version and moment
        Probability that a call turns the answer over, raises, answers null.
    pace : by version and moment
        Logarithm of what slows a call down.
    stale : by request
        Whether the challenger answers it otherwise from the moment `begins` on.
    bad : by request
        Whether the challenger always fails on it.
    values, items : by request
        Answers that are numbers or lists; labels where both are None.
    absurd : set of int
        Requests to which the champion answered something absurd, once.
    means : tuple of str
        Kinds of finding that are true of it.
    """

    n: int
    apart: np.ndarray = field(default_factory=lambda: np.zeros(0, bool))
    close: np.ndarray = field(default_factory=lambda: np.zeros(0))
    flaky: np.ndarray = field(default_factory=lambda: np.zeros((2, 0)))
    down: np.ndarray = field(default_factory=lambda: np.zeros((2, 0)))
    holes: np.ndarray = field(default_factory=lambda: np.zeros((2, 0)))
    pace: np.ndarray = field(default_factory=lambda: np.zeros((2, 0)))
    stale: np.ndarray = field(default_factory=lambda: np.zeros(0, bool))
    bad: np.ndarray = field(default_factory=lambda: np.zeros(0, bool))
    gaps_ns: np.ndarray = field(default_factory=lambda: np.zeros(0))
    values: np.ndarray | None = None
    items: np.ndarray | None = None
    scatter: float = 0.0
    absurd: frozenset[int] = frozenset()
    begins: int = 2**60
    means: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Fill in what was not given."""
        for name in ("apart", "stale", "bad"):
            if not getattr(self, name).size:
                setattr(self, name, np.zeros(self.n, bool))
        for name in ("flaky", "down", "holes", "pace"):
            if not getattr(self, name).size:
                setattr(self, name, np.zeros((2, self.n)))
        if not self.close.size:
            self.close = np.zeros(self.n)
        if not self.gaps_ns.size:
            self.gaps_ns = np.full(self.n, 5e7)

    def call(self, who: int, i: int, now: int, rng: np.random.Generator) -> Observation:
        """Return what a version does with request `i` at a moment."""
        now = min(now, self.n - 1)
        times = _times(rng, self.pace[who, now])
        if rng.random() < self.down[who, now] or (who and self.bad[i]):
            return Observation(fault=FAULT, times=times)
        if rng.random() < self.holes[who, now]:
            return Observation(answer=b'{"predictions": [null]}', times=times, nonfinite=1)
        other = bool(who and (self.apart[i] or (self.stale[i] and now >= self.begins)))
        other ^= bool(rng.random() < self.close[i] + self.flaky[who, now])
        return Observation(answer=self._answer(who, i, other=other), times=times)

    def _answer(self, who: int, i: int, *, other: bool) -> bytes:
        if self.values is not None:
            value = float(self.values[i])
            if who == CHAMPION and i in self.absurd:
                value = 1e6
            elif other:
                value += 1.0
            if who == CHALLENGER and self.scatter:
                value += self.scatter * _fixed(i)
            return orjson.dumps({"predictions": [value]})
        if self.items is not None:
            shown = self.items[i] if not other else self.items[i][::-1]
            return orjson.dumps({"predictions": [[f"item {k}" for k in shown.tolist()]]})
        return fed_lane.ANSWERS[int(_fixed(i) > 0.3) ^ other]


def _fixed(i: int) -> float:
    return float(np.random.default_rng(i).standard_normal())


def _times(rng: np.random.Generator, pace: float) -> Times:
    ms = np.exp(1.4 + 0.15 * rng.standard_normal() + pace)
    wall = (int(0.8e6 * ms), int(0.2e6 * ms))
    return Times(phases_ns=(10**5, 10**5, 0, *wall, 10**5), wall_ns=wall, cpu_ns=wall)


@dataclass(slots=True)
class FedObserver:
    """Scores what a world says; the moment is set from outside."""

    world: World
    who: int
    rng: np.random.Generator
    now: int = 0
    scorer: Any = field(default_factory=lambda: SimpleNamespace(
        batched=True, sharing=SimpleNamespace(able=True), loaded=SimpleNamespace(classes=None), step_names=fed_lane.STEPS, plan=None, notes=(),
    ))  # fmt: skip

    def typed(self, request: Request) -> Typed:
        """Type a request: its body is its number and its two columns."""
        i, x, c = json.loads(request.body or b"[0, 0.0, 0]")
        rows = Rows({"x": np.asarray([x]), "c": np.asarray([f"c{c}"], dtype=object)}, 1)
        del i
        return Typed(request, rows, None, 0)

    def alone(self, typed: Typed) -> Observation:
        """Score one request now."""
        return self.world.call(self.who, _number(typed.request), self.now, self.rng)

    def together(self, batch: list[Typed]) -> list[Observation]:
        """Score several now."""
        return [self.alone(typed) for typed in batch]

    def prove(self, _typed: Typed) -> bool:
        """Nothing is timed."""
        return True


def _number(request: Request) -> int:
    return int(json.loads(request.body or b"[0]")[0])


class KeptInMemory:
    """Old requests as `lane.kept` keeps them, without the file."""

    def __init__(self) -> None:
        self._kept: dict[int, Kept] = {}
        self._apart = 1
        self._offered = 0

    def keep(self, request: Request, lane_answer: bytes) -> None:
        """Keep a request, if it is its turn."""
        self._offered += 1
        if self._offered % self._apart:
            return
        self._kept[request.position] = Kept(request, lane_answer)
        if len(self._kept) > MOST:
            self._kept = dict(list(self._kept.items())[::2])
            self._apart *= 2

    def before(self, arrived_wall_ns: int) -> list[int]:
        """Return the positions of those that arrived before a moment."""
        kept = self._kept.items()
        return [place for place, one in kept if one.request.arrived_wall_ns < arrived_wall_ns]

    def begin(self, _position: int, _trial: int) -> bool:
        """Nothing dies here."""
        return True

    def read(self, positions: list[int]) -> list[Kept]:
        """Read some."""
        return [self._kept[place] for place in positions if place in self._kept]


class PlayedLane(fed_lane.FedLane):
    """A fed lane that scores some requests again, as a lane does."""

    def __init__(self, name: Any, policy: Policy, world: World, rng: np.random.Generator) -> None:
        super().__init__(name, policy)
        self.role = name.role
        labelled = world.values is None and world.items is None
        classes = [0, 1] if labelled else None
        self.comparer = Comparer(TABLE, classes=classes)
        who = CHALLENGER if name.role is Role.CHALLENGER else CHAMPION
        self.observer = FedObserver(world, who, rng)
        self.learned.classes = classes
        self.rescorer = Rescorer(cast(Any, self.observer), TABLE, comparer=self.comparer)
        self.kept = KeptInMemory()
        self.seconds: list[Any] = []

    def beside(self, other: PlayedLane) -> None:
        """Put together what scores some requests again, as `lane.seconds` does, by what memory holds."""
        if self.role is Role.CONTROL:
            kept, theirs = other.kept, other.learned
            self.seconds = [
                again.AgainForOthers(
                    cast(Any, self.observer), lambda: self.learned.answers,
                    lambda: frozenset(theirs.lasting.asked),
                ),
                replays.ReplaysForOthers(
                    lambda: self.learned, cast(Any, self.observer), self.rescorer.differ,
                    lambda: {4: list(theirs.replayed.trial.seen) if theirs.replayed.trial else []},
                    lambda _, positions: kept.read(positions),
                ),
            ]  # fmt: skip
            return
        asked = replays.Replays(
            lambda: self.learned, cast(Any, self.observer), self.rescorer.differ, cast(Any, self.kept),
            self.kept.read, lambda: other.learned.replayed.answers.get(4, {}),
        )  # fmt: skip
        self.rescorer.steady = asked.keep
        tried = again.Again(cast(Any, self.observer), lambda: self.learned.lasting, TABLE)
        self.seconds = [tried, asked]

    def score_again(self, requests: list[Request]) -> None:
        """Score a second time what is due for it."""
        self.observer.now = _number(requests[-1])
        for one in self.seconds:
            one.read(requests)
            one.due()

    def score(self, requests: list[Request]) -> list[Scoring]:
        """Score those requests that are this lane's turn."""
        made = []
        for request in requests:
            what = turn(request.position, role=self.role, large=False, plan=Plan(), batched=True)
            if not what.score:
                continue
            typed = self.observer.typed(request)
            self.observer.now = _number(request)
            seen = self.observer.alone(typed)
            made.append(
                Scoring(
                    request, seen, typed.rows, {}, alone=what.timed, warmup=request.position <= 20,
                    inclusion=what.inclusion, warm=what.timed,
                )
            )  # fmt: skip
            for one in self.seconds:
                one.take(made[-1])
            if seen.fault is None:
                self.rescorer.offer(typed, seen, self.learned.noise)
        return made


@dataclass(slots=True)
class Played:
    """Which alarms were ever raised in a run, and after how many requests first."""

    alarms: dict[str, int] = field(default_factory=dict)
    notes: dict[str, int] = field(default_factory=dict)
    rejected: int | None = None


def play(world: World, seed: int) -> Played:
    """Play a run through both lanes, looking at all findings as it goes."""
    rng, policy, one = np.random.default_rng(seed), Policy(), Played()
    lanes = [
        PlayedLane(name, policy, world, rng) for name in (fed_lane.CHALLENGER, fed_lane.CONTROL)
    ]
    for lane, other in (lanes, lanes[::-1]):
        lane.beside(other)
    arrived = 1_700_000_000 * 10**9 + np.cumsum(world.gaps_ns).astype(np.int64)
    x, c = rng.random(world.n), rng.integers(0, 5, world.n)
    for first in range(0, world.n, PORTION):
        requests = list(_requests(world, range(first, first + PORTION), rng, arrived, x, c))
        for lane in lanes:
            scored = lane.score(requests)
            if scored:
                lane.take(scored)
            lane.score_again(requests)
        sent = first + PORTION
        if sent % LOOK_EVERY:
            continue
        known = fed_lane.known_of(lanes[0], lanes[1])
        findings = look(known, policy)
        for found in findings:
            into = one.alarms if found.severity.is_alarm else one.notes
            if found.kind not in world.means:
                into.setdefault(found.kind, sent)
        if judge(known, findings, policy).verdict is Verdict.REJECT and one.rejected is None:
            one.rejected = sent
    return one


def _requests(
    world: World,
    numbers: range,
    rng: np.random.Generator,
    arrived: np.ndarray,
    x: np.ndarray,
    c: np.ndarray,
) -> Iterator[Request]:
    for i in numbers:
        seen = world.call(CHAMPION, i, i, rng)
        failed = seen.fault is not None
        answer = json.dumps({"type": FAULT.type}).encode() if failed else seen.answer or b""
        yield Request(
            position=i + 1, request_id=f"r{i}", arrived_wall_ns=int(arrived[i]), arrived_ns=int(arrived[i]),
            protocol="invocations", content_type="application/json",
            body=f"[{i}, {x[i]:.6f}, {c[i]}]".encode(), status=500 if failed else 200, answer=answer, n_rows=1,
            times=(seen.times or Times((0,) * 6)).pack(),
        )  # fmt: skip


def _cycle(rng: np.random.Generator, n: int) -> np.ndarray:
    return np.asarray(1 + 0.5 * np.sin(2 * np.pi * np.arange(n) / 5_000 + rng.uniform(0, 6.3)))


def _ar(rng: np.random.Generator, n: int, memory: float, sd: float) -> np.ndarray:
    phi = np.exp(-1 / memory)
    shocks = sd * np.sqrt(1 - phi**2) * rng.standard_normal(n)
    shocks[0] = sd * rng.standard_normal()
    return np.asarray(lfilter([1], [1, -phi], shocks))


def _spells(rng: np.random.Generator, n: int, on: float, off: float) -> np.ndarray:
    k = 40 + 4 * int(n / (on + off))
    lengths = rng.exponential(np.where(np.arange(k) % 2, on, off)).astype(int) + 1
    return np.resize(np.repeat(np.arange(k) % 2, lengths)[:n], n)


def _outages(rng: np.random.Generator, n: int, rate: float) -> np.ndarray:
    return np.stack([0.5 * _spells(rng, n, 60, 30 / rate) for _ in range(2)])


def _equal(rate: float) -> Callable[[np.random.Generator, int], World]:
    return lambda _rng, n: World(n, down=np.full((2, n), rate))


def _out(rate: float) -> Callable[[np.random.Generator, int], World]:
    return lambda rng, n: World(n, down=_outages(rng, n, rate))


def _mix(share: Callable[[np.random.Generator, int], np.ndarray]) -> Callable[..., World]:
    return lambda rng, n: World(n, apart=np.asarray(share(rng, n), bool), means=APART)


def _mix_and_rate(rng: np.random.Generator, n: int) -> World:
    cycle = _cycle(rng, n)
    return World(n, apart=rng.random(n) < 0.1 * cycle, gaps_ns=1e9 / cycle**3, means=APART)


def _runs_and_calls(rng: np.random.Generator, n: int) -> World:
    apart = (np.repeat(rng.random(n // 100 + 1) < 0.08, 100)[:n] * _cycle(rng, n)) > 0.9
    close = 0.5 * (rng.random(n) < np.repeat(rng.random(n // 50 + 1) * 0.2, 50)[:n])
    return World(n, apart=apart, close=close, means=(*APART, "nondeterminism"))


def _numbers(rng: np.random.Generator, n: int, *, run: bool = False, absurd: int = 0) -> World:
    values = rng.standard_t(2, n)
    if run:
        values = rng.standard_normal(n)
        values[1_000:1_500] = values[1_000]
    if absurd:
        values = rng.standard_normal(n)
    where = frozenset(rng.integers(0, 1_200, absurd).tolist())
    return World(n, values=values, scatter=0.05, absurd=where, means=APART)


def _rankings(rng: np.random.Generator, n: int) -> World:
    shelf = np.repeat(np.arange(n // 500 + 1), 500)[:n]
    items = np.minimum(rng.zipf(1.5, (n, 5)), 60) + 7 * (shelf[:, None] % 3)
    apart = rng.random(n) < 0.1
    return World(n, items=items, apart=apart, means=APART)


def _pace(mood: Callable[[np.random.Generator, int], np.ndarray]) -> Callable[..., World]:
    return lambda rng, n: World(n, pace=np.stack([mood(rng, n) for _ in range(2)]))


def _lives(rng: np.random.Generator, n: int) -> np.ndarray:
    return np.repeat(0.02 * rng.standard_normal(n // 2_500 + 1), 2_500)[:n]


NULLS: dict[str, Callable[[np.random.Generator, int], World]] = {
    "5 % random flips of either": lambda _rng, n: World(n, close=np.full(n, 0.05), means=("nondeterminism",)),
    "daily cycle of the mix, by half": _mix(lambda rng, n: rng.random(n) < 0.1 * _cycle(rng, n)),
    "mix and rate drift together": _mix_and_rate,
    "runs of 500 equal requests": _mix(lambda rng, n: np.repeat(rng.random(n // 500 + 1) < 0.1, 500)[:n]),
    "slow moods of the mix": _mix(lambda rng, n: rng.random(n) < 1 / (1 + np.exp(2.5 - _ar(rng, n, 2_000, 0.8)))),
    "runs, cycle and close calls": _runs_and_calls,
    "noise in spells of both": lambda rng, n: World(n, flaky=0.2 * np.stack([_spells(rng, n, 300, 3_000)] * 2), means=("nondeterminism",)),
    "noise in spells, each its own": lambda rng, n: World(n, flaky=0.2 * np.stack([_spells(rng, n, 300, 3_000) for _ in range(2)]), means=("nondeterminism",)),
    "failures, each 0.02 %": _equal(2e-4),
    "failures, each 0.2 %": _equal(2e-3),
    "failures, each 2 %": _equal(2e-2),
    "outages each its own, 0.02 %": _out(2e-4),
    "outages each its own, 0.2 %": _out(2e-3),
    "outages each its own, 2 %": _out(2e-2),
    "nulls in spells, each its own, 0.2 %": lambda rng, n: World(n, holes=_outages(rng, n, 2e-3)),
    "numbers with heavy tails (t2)": _numbers,
    "one user's run of 500 numbers": lambda rng, n: _numbers(rng, n, run=True),
    "two absurd answers of the champion": lambda rng, n: _numbers(rng, n, absurd=2),
    "rankings whose shelf changes": _rankings,
    "pace: AR of 600 requests": _pace(lambda rng, n: _ar(rng, n, 600, 0.3)),
    "pace: long memory": _pace(lambda rng, n: np.sum([_ar(rng, n, m, 0.06) for m in (30, 300, 3_000, 30_000)], axis=0)),
    "pace: spells of one lane": _pace(lambda rng, n: 0.4 * _spells(rng, n, 1_500, 6_000)),
    "pace: process lives that differ by 2 %": _pace(_lives),
}  # fmt: skip


def one_run(name: str, seed: int, n: int = N_REQUESTS) -> Played:
    """Draw a world of a null and play it."""
    return play(NULLS[name](np.random.default_rng(10_000 + seed), n), seed)
