"""Models drawn at random that depend on their neighbours, each in a way of its own: does any leak?

    python -m benchmarks.neighbours --drawn 2000
    python -m benchmarks.neighbours --drawn 200 --earned

Each is a pyfunc, a function in a pipeline, a transformer, an estimator, a stock estimator's subclass or a
vectorizer's callable. It is opened as a worker opens it, with an example of one row or of three. Two dozen
callers then wait at once, and each must get, byte for byte, what a fresh instance answers to the same
requests one by one. The same requests are scored by a lane that has fallen behind. With ``--earned`` a
thousand real rows are tried in company first, and callers share calls where that was earned.
"""

# Every leak takes the same four arguments, and scikit-learn calls its input X.
# ruff: noqa: ARG002, ARG005, N803

from __future__ import annotations

import argparse
import asyncio
import gc
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import cloudpickle
import numpy as np
import orjson
import pandas as pd
from sklearn.base import BaseEstimator, RegressorMixin, TransformerMixin
from sklearn.compose import ColumnTransformer
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from shadowserve.comparison.bursts import burst_of
from shadowserve.lane.company import Company
from shadowserve.lane.intake import turn
from shadowserve.lane.observing import Observer, Typed
from shadowserve.records import Request, Role
from shadowserve.scorer import scoring
from shadowserve.scorer.loading import Loaded, unknown_part
from shadowserve.scorer.scorer import Scorer
from shadowserve.serving.champion import Champion
from shadowserve.serving.recorder import BatchRecorder
from shadowserve.serving.work import Work
from shadowserve.settings.options import Options
from shadowserve.state.sharing import EARNED, EARNED_ROWS, STOPPED, Mark
from shadowserve.statistics.measuring import Plan
from shadowserve.versions.version import Version
from shadowserve.wire.protocols import protocols

AT_ITS_LIMIT = Plan(bursts=1.0, large=1.0, others=0.05)
"""What is timed by a lane with little time for it."""

CITIES = ("Oslo", "Rome", "Bonn", "Paris", "Turku", "Graz", "Lyon")
SIGNATURE = {
    "inputs": [
        {"name": "x", "type": "double", "required": True},
        {"name": "city", "type": "string", "required": True},
    ]
}
VERSION = Version(
    model="drawn",
    number=1,
    created="2026-01-01T00:00:00+00:00",
    digest="0" * 64,
    signature=SIGNATURE,
)
TABLE = dict(protocols("drawn", 1))
PROTOCOL = TABLE["invocations"]
CALLERS = 24
BATCH_ROWS = 64
SERVED = 1_000

Leak = Callable[[np.ndarray, np.ndarray, float, dict[Any, Any]], np.ndarray]
"""Numbers, texts, a parameter from 0 to 1 and a memory of earlier calls to what is added to each row."""


def _by_key(keys: np.ndarray, values: np.ndarray, how: str) -> np.ndarray:
    return pd.Series(values).groupby(keys).transform(how).to_numpy(dtype=float)


def _first_of_key(x: np.ndarray, keys: np.ndarray, memory: dict[Any, Any]) -> np.ndarray:
    return np.array([memory.setdefault(key, value) for key, value in zip(keys, x, strict=True)])


def _counted(x: np.ndarray, memory: dict[Any, Any]) -> np.ndarray:
    memory["n"] = memory.get("n", 0) + len(x)
    return np.full(len(x), float(memory["n"]))


def _running(x: np.ndarray, memory: dict[Any, Any]) -> np.ndarray:
    sums = memory.get("sum", 0.0) + np.cumsum(x)
    memory["sum"] = float(sums[-1])
    return sums


LEAKS: dict[str, Leak] = {
    "sorted": lambda x, t, p, m: np.sort(x),
    "sorted backwards": lambda x, t, p, m: np.sort(x)[::-1],
    "order of another column": lambda x, t, p, m: x[np.argsort(t, kind="stable")],
    "argsort": lambda x, t, p, m: np.argsort(x, kind="stable").astype(float),
    "rank": lambda x, t, p, m: pd.Series(x).rank(method="dense").to_numpy(),
    "rank within a group": lambda x, t, p, m: _by_key(t, pd.Series(x).rank().to_numpy(), "rank"),
    "deduplicated": lambda x, t, p, m: np.resize(np.unique(x), len(x)),
    "number of the category": lambda x, t, p, m: pd.factorize(t, sort=True)[0].astype(float),
    "refitted one-hot": lambda x, t, p, m: np.full(len(x), float(len(set(t)))),
    "mean": lambda x, t, p, m: np.full(len(x), x.mean()),
    "median": lambda x, t, p, m: np.full(len(x), np.median(x)),
    "quantile": lambda x, t, p, m: np.full(len(x), np.quantile(x, p)),
    "standardized": lambda x, t, p, m: (x - x.mean()) / (x.std() + 1.0),
    "over the largest": lambda x, t, p, m: x / (np.abs(x).max() + 1.0),
    "softmax": lambda x, t, p, m: np.exp(x / 1e3 - (x / 1e3).max()) / np.exp(x / 1e3 - (x / 1e3).max()).sum(),
    "group mean": lambda x, t, p, m: _by_key(t, x, "mean"),
    "group size": lambda x, t, p, m: _by_key(t, x, "size"),
    "last of the group": lambda x, t, p, m: _by_key(t, x, "last"),
    "running sum": lambda x, t, p, m: np.cumsum(x),
    "difference to the row before": lambda x, t, p, m: np.diff(x, prepend=x[0]),
    "the row after": lambda x, t, p, m: np.append(x[1:], x[-1]),
    "rolling mean": lambda x, t, p, m: pd.Series(x).rolling(2 + int(6 * p), min_periods=1).mean().to_numpy(),
    "first row": lambda x, t, p, m: np.full(len(x), x[0]),
    "last row": lambda x, t, p, m: np.full(len(x), x[-1]),
    "place": lambda x, t, p, m: np.arange(len(x)) * (1.0 + p),
    "parity of the place": lambda x, t, p, m: np.arange(len(x)) % 2 * x,
    "number of rows": lambda x, t, p, m: np.full(len(x), float(len(x))),
    "more than k rows": lambda x, t, p, m: np.full(len(x), float(len(x) > 2 + int(40 * p))),
    "exactly k rows": lambda x, t, p, m: np.full(len(x), float(len(x) == 2 + int(6 * p))),
    "only the first k rows": lambda x, t, p, m: np.where(np.arange(len(x)) < 1 + int(20 * p), x, 0.0),
    "a rare value among them": lambda x, t, p, m: np.full(len(x), float((x == int(900 * p)).any() and len(x) > 1)),
    "a rare value before it": lambda x, t, p, m: np.cumsum(x == int(900 * p)) - (x == int(900 * p)).astype(float),
    "two of a kind": lambda x, t, p, m: np.full(len(x), float(len(np.unique(x)) < len(x))),
    "cut at the batch's own quantile": lambda x, t, p, m: np.minimum(x, np.quantile(x, 0.5 + p / 2)),
    "key of a neighbour": lambda x, t, p, m: np.roll(x, 1 + int(3 * p)),
    "reversed pairs": lambda x, t, p, m: np.append(x[: len(x) // 2 * 2].reshape(-1, 2)[:, ::-1].ravel(), x[len(x) // 2 * 2 :]),
    "counts its rows": lambda x, t, p, m: _counted(x, m),
    "sum over its life": lambda x, t, p, m: _running(x, m),
    "first ever of a key": lambda x, t, p, m: _first_of_key(x, t, m),
    "largest ever": lambda x, t, p, m: np.full(len(x), m.setdefault("max", 0.0) if m.update(max=max(m.get("max", 0.0), x.max())) else m["max"]),
}  # fmt: skip
REMEMBERING = ("counts its rows", "sum over its life", "first ever of a key", "largest ever")
"""These depend on earlier calls too: in company they are drawn as on their own, in the order of the line."""


@dataclass(slots=True)
class Drawn:
    """What every kind below adds to its rows' own answer.

    Parameters
    ----------
    leak : str
    weight, share : float
        Of what is added, and the leak's own parameter.
    """

    leak: str
    weight: float
    share: float
    memory: dict[Any, Any] = field(default_factory=dict)

    def __call__(self, x: Any, texts: Any) -> np.ndarray:
        numbers = np.asarray(x, dtype=float).ravel()
        keys = np.asarray(texts, dtype=object).ravel()
        return numbers * 2 + self.weight * LEAKS[self.leak](numbers, keys, self.share, self.memory)


class Transformer(BaseEstimator, TransformerMixin):
    def __init__(self, drawn: Any = None) -> None:
        self.drawn = drawn

    def fit(self, X: Any, y: Any = None) -> Transformer:
        self.fitted_ = True
        return self

    def transform(self, X: Any) -> Any:
        return self.drawn(X["x"], X["city"])[:, None]


class Estimator(BaseEstimator, RegressorMixin):
    def __init__(self, drawn: Any = None) -> None:
        self.drawn = drawn

    def fit(self, X: Any, y: Any = None) -> Estimator:
        self.fitted_ = True
        return self

    def predict(self, X: Any) -> Any:
        return self.drawn(X["x"], X["city"])


class Subclass(Ridge):
    drawn: Any = None

    def predict(self, X: Any) -> Any:
        return super().predict(X) + self.drawn(X[:, 0], X[:, 0])


class Analyzer:
    """Sees one text after the other, and remembers those before."""

    def __init__(self, drawn: Any) -> None:
        self.drawn, self.last = drawn, ""

    def __call__(self, text: str) -> list[str]:
        before, self.last = self.last, text
        return [text, *([before] if before < text else [])]


FRAME = pd.DataFrame({"x": np.arange(28.0), "city": list(CITIES) * 4})


def _numbers(frame: Any) -> Any:
    return frame[["x"]].to_numpy()


def _function(drawn: Drawn) -> Any:
    applied = FunctionTransformer(lambda frame: drawn(frame["x"], frame["city"])[:, None])
    return make_pipeline(applied, LinearRegression())


def _subclass(drawn: Drawn) -> Any:
    model = Subclass()
    model.drawn = drawn
    return make_pipeline(ColumnTransformer([("x", "passthrough", ["x"])]), model)


def _analyzer(drawn: Drawn) -> Any:
    seen = CountVectorizer(analyzer=Analyzer(drawn))
    return make_pipeline(ColumnTransformer([("words", seen, "city")]), Ridge())


KINDS: dict[str, Callable[[Drawn], Any]] = {
    "function": _function,
    "transformer": lambda drawn: make_pipeline(Transformer(drawn), LinearRegression()),
    "estimator": Estimator,
    "subclass": _subclass,
    "analyzer": _analyzer,
}


def _pyfunc(drawn: Drawn) -> Callable[[Any, Any], Any]:
    return lambda frame, params: drawn(frame["x"], frame["city"])


def model_of(kind: str, drawn: Drawn) -> bytes:
    """Make and fit a model of a kind, and pickle it with an empty memory."""
    if kind == "pyfunc":
        made: Any = _pyfunc(drawn)
    else:
        made = KINDS[kind](drawn).fit(FRAME, FRAME["x"] * 3 + FRAME["city"].str.len())
    drawn.memory.clear()
    packed: bytes = cloudpickle.dumps(made)
    return packed


def loaded(kind: str, packed: bytes, example: Any) -> Loaded:
    """Load a fresh instance, as `loading.load` would."""
    model = cloudpickle.loads(packed)
    if kind == "pyfunc":
        return Loaded(None, model, "predict", input_example=example, unknown="its code")
    predict = lambda frame, params: model.predict(frame)  # noqa: E731
    return Loaded(model, predict, "predict", input_example=example, unknown=unknown_part(model))


class Discarded:
    """A journal that keeps nothing."""

    sequence = 0

    def position(self, offset: int) -> int:
        """Return any position."""
        return offset

    def append(self, requests: Sequence[Request]) -> None:
        """Keep nothing."""


class Uncounted:
    """Counters that count nothing."""

    def set(self, name: str, value: int) -> None:
        """Count nothing."""

    def journal_step(self, **counts: int) -> None:
        """Count nothing."""


def bodies(n: int, generator: np.random.Generator) -> list[bytes]:
    """Draw requests: mostly one row, few values so that equal ones meet."""
    made = []
    for _ in range(n):
        rows = [
            {"x": float(generator.integers(900)), "city": str(generator.choice(CITIES))}
            for _ in range(1 if generator.random() < 0.9 else int(generator.integers(2, 5)))
        ]
        made.append(orjson.dumps({"dataframe_records": rows}))
    return made


def answers_one_by_one(scorer: Scorer, sent: Sequence[bytes]) -> list[bytes]:
    """Answer requests one call each, in the order of the line."""
    found = []
    for body in sent:
        rows, echo = PROTOCOL.parse(body, "application/json", scorer.schema)
        (part,) = scorer.split(scorer.score(rows).output, [rows.n_rows])
        found.append(PROTOCOL.encode(part, echo=echo))
    return found


def answers_of_champion(scorer: Scorer, sent: Sequence[bytes], *, mark: Any = (0,)) -> list[bytes]:
    """Let as many callers as requests wait at once, and return what each of them got."""
    loop = asyncio.new_event_loop()
    counters: Any = Uncounted()
    champion = Champion(scorer, BatchRecorder(Discarded(), counters), counters=counters, mark=mark)
    line = []
    for body in sent:
        rows, echo = PROTOCOL.parse(body, "application/json", scorer.schema)
        now = time.monotonic_ns()
        work = Work(
            request_id="r", protocol="invocations", content_type="application/json", body=body,
            rows=rows, encode=partial(PROTOCOL.encode, echo=echo), sampled=False,
            arrived_wall_ns=time.time_ns(), arrived_ns=now, parsed_ns=now, parse_ns=0, schema_ns=0,
            loop=loop, done=loop.create_future(),
        )  # fmt: skip
        line.append(work)
        champion.submit(work)
    champion._open = False
    champion.run()
    for work in line:
        loop.run_until_complete(work.done)
    loop.close()
    return [work.done.result().body for work in line]


def requests_of(sent: Sequence[bytes]) -> list[Request]:
    """Return recorded requests, outside every burst."""
    between = (position for position in count(1) if burst_of(position) is None)
    return [
        Request(
            position=position, request_id="r", arrived_wall_ns=0,
            arrived_ns=0, protocol="invocations", content_type="application/json", body=body,
            status=200, answer=b"", n_rows=1, times=b"",
        )
        for position, body in zip(between, sent, strict=False)
    ]  # fmt: skip


def answers_of_lane(scorer: Scorer, sent: Sequence[bytes], *, batched: bool) -> list[bytes | None]:
    """Score the requests as a challenger's lane that has fallen behind."""
    observer = Observer(scorer, TABLE, mark=[0])
    found: dict[int, bytes | None] = {}
    together: list[Typed] = []
    requests = requests_of(sent)
    for request in requests:
        typed = observer.typed(request)
        how = turn(
            request.position,
            role=Role.CHALLENGER,
            large=False,
            plan=AT_ITS_LIMIT,
            batched=batched,
        )
        if how.alone:
            found[request.position] = observer.alone(typed).answer
        else:
            together.append(typed)
    for start in range(0, len(together), BATCH_ROWS):
        part = together[start : start + BATCH_ROWS]
        for typed, seen in zip(part, observer.together(part), strict=True):
            found[typed.request.position] = seen.answer
    return [found[request.position] for request in requests]


def draw(seed: int) -> tuple[str, Drawn, int]:
    """Draw a kind, what it does with its neighbours, and the rows of its example."""
    generator = np.random.default_rng(seed)
    kinds = ("pyfunc", *KINDS)
    kind = kinds[seed % len(kinds)]
    leak = list(LEAKS)[(seed // len(kinds)) % len(LEAKS)]
    drawn = Drawn(leak, float(generator.uniform(0.1, 5.0)), float(generator.random()))
    return kind, drawn, 1 if generator.random() < 0.5 else 3


def example_of(n_rows: int) -> Any:
    """Return an example of so many rows, as a request's body."""
    return {"dataframe_records": FRAME[:n_rows].to_dict("records")}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one drawn model: answers that were not those given alone, and what was decided."""

    kind: str
    leak: str
    wrong_as_champion: int
    wrong_as_challenger: int
    earned: bool = False
    stopped: bool = False


def leaks_under_auto(seed: int) -> Outcome:
    """Serve a drawn model to callers who wait at once, as ``--batch auto`` does."""
    kind, drawn, n_rows = draw(seed)
    packed = model_of(kind, drawn)
    fresh = partial(loaded, kind, packed, example_of(n_rows))
    sent = bodies(CALLERS, np.random.default_rng(seed + 1))
    alone = scoring.opened(VERSION, fresh, options=Options(batch="off", probe="none"))
    expected = answers_one_by_one(alone, sent)
    champion = scoring.opened(VERSION, fresh)
    got = answers_of_champion(champion, sent)
    challenger = scoring.opened(VERSION, fresh)
    shadow = answers_of_lane(challenger, sent, batched=challenger.batched)
    return Outcome(kind, drawn.leak, _apart(expected, got), _apart(expected, shadow))


def leaks_once_earned(seed: int) -> Outcome:
    """Try a drawn model on a thousand real rows, then serve others as ``--batch earned`` does."""
    kind, drawn, n_rows = draw(seed)
    packed = model_of(kind, drawn)
    fresh = partial(loaded, kind, packed, example_of(n_rows))
    generator = np.random.default_rng(seed + 1)
    with tempfile.TemporaryDirectory() as folder:
        mark = Mark(Path(folder) / "mark.bin")
        observer = Observer(
            scoring.opened(VERSION, fresh, options=Options(batch="earned")), TABLE, mark=[0]
        )
        company = Company(observer, TABLE, mark=mark, path=Path(folder) / "shown.json")
        for request in requests_of(bodies(4 * EARNED_ROWS, generator)):
            if mark.value in (EARNED, STOPPED) or not company.shown.clean:
                break
            typed = observer.typed(request)
            seen = observer.alone(typed)
            if seen.answer is not None:
                company.offer(typed, seen.answer, 50_000_000)
        sent = bodies(SERVED, generator)
        alone = scoring.opened(VERSION, fresh, options=Options(batch="off", probe="none"))
        champion = scoring.opened(VERSION, fresh, options=Options(batch="earned"))
        got = answers_of_champion(champion, sent, mark=mark.cell)
        wrong = _apart(answers_one_by_one(alone, sent), got)
        found = Outcome(
            kind, drawn.leak, wrong, 0, earned=mark.value == EARNED, stopped=mark.value == STOPPED
        )
        mark.close()
        return found


def _apart(expected: Sequence[bytes], got: Sequence[bytes | None]) -> int:
    return sum(one != other for one, other in zip(expected, got, strict=True))


def main() -> None:
    """Draw, serve and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--drawn", type=int, default=2_000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--step", type=int, default=1, help="6 draws pyfuncs alone")
    parser.add_argument("--earned", action="store_true")
    asked = parser.parse_args()
    gc.collect()
    gc.freeze()  # what is imported need not be walked through for every model
    run = leaks_once_earned if asked.earned else leaks_under_auto
    drawn: Counter[str] = Counter()
    leaking: Counter[str] = Counter()
    earned = stopped = 0
    for seed in range(asked.first, asked.first + asked.drawn * asked.step, asked.step):
        found = run(seed)
        drawn[found.kind] += 1
        earned, stopped = earned + found.earned, stopped + found.stopped
        if found.wrong_as_champion or found.wrong_as_challenger:
            leaking[found.kind] += 1
            print(f"seed {seed}: {found}", flush=True)
    print("| kind | drawn | leaked |\n|---|---|---|")
    for kind, n in drawn.items():
        print(f"| {kind} | {n} | {leaking[kind]} |")
    if asked.earned:
        print(f"earned {earned}, stopped {stopped}, neither {asked.drawn - earned - stopped}")


if __name__ == "__main__":
    main()
