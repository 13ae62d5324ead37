"""A champion over a real journal, and requests submitted to it from an event loop."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from rig.scoring import body, opaque
from shadowserve.journal.reader import JournalReader
from shadowserve.journal.writer import Writer
from shadowserve.schema.schema import Schema
from shadowserve.scorer.scorer import Scorer
from shadowserve.serving.champion import Champion
from shadowserve.serving.recorder import BatchRecorder
from shadowserve.serving.work import Served, Work
from shadowserve.state.counters import Counters
from shadowserve.wire.protocols import protocols

PROTOCOL = protocols("films", 3)["invocations"]


class Serving:
    """A champion with its journal and counters, for the length of a block."""

    def __init__(self, directory: Path, scorer: Scorer, **options: Any) -> None:
        self.scorer = scorer
        self.journal = Writer(directory / "journal", worker=0, steps=scorer.step_names)
        self.counters = Counters(directory / "0.bin")
        self._directory = directory / "journal"
        self._options = options

    def __enter__(self) -> Serving:
        options = {"counters": self.counters, **self._options}
        recorder = BatchRecorder(self.journal, self.counters)
        self.champion = Champion(self.scorer, recorder, **options)
        threading.Thread(target=self.champion.run, name="champion", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.champion.close()
        self.journal.close()
        self.counters.close()

    def ask(self, *bodies: Sequence[Mapping[str, Any]], **changes: Any) -> list[Served]:
        """Submit several requests at once and return their ends, in their order."""
        return asyncio.run(self._ask(bodies, changes))

    async def _ask(self, bodies: Any, changes: Mapping[str, Any]) -> list[Served]:
        works = [work(records, self.scorer.schema, **changes) for records in bodies]
        for one in works:
            self.champion.submit(one)
        return list(await asyncio.gather(*(one.done for one in works)))

    def journaled(self) -> list[Any]:
        reader = JournalReader(self._directory, cursor={})
        found = reader.read(10_000).requests
        reader.close()
        return found


def work(
    records: Sequence[Mapping[str, Any]],
    schema: Schema,
    *,
    params: Mapping[str, Any] | None = None,
    **changes: Any,
) -> Work:
    """A request as the data plane hands it over; to be made on a running loop."""
    sent = body(*records)
    rows, echo = PROTOCOL.parse(sent, "application/json", schema)
    if params is not None:
        rows = type(rows)(columns=rows.columns, n_rows=rows.n_rows, params=params)
    loop = asyncio.get_running_loop()
    fields = {
        "request_id": "r",
        "protocol": "invocations",
        "content_type": "application/json",
        "body": sent,
        "rows": rows,
        "encode": partial(PROTOCOL.encode, echo=echo),
        "sampled": True,
        "arrived_wall_ns": time.time_ns(),
        "arrived_ns": time.monotonic_ns(),
        "parsed_ns": time.monotonic_ns(),
        "parse_ns": 7,
        "schema_ns": 5,
        "loop": loop,
        "done": loop.create_future(),
        "encode_rows": PROTOCOL.encode_rows,
    }
    return Work(**{**fields, **changes})


class Watching:
    """A model that notes the rows of each call; `answer` says what it answers."""

    def __init__(self, answer: Any, *, pause_s: float = 0.0) -> None:
        self.calls: list[int] = []
        self.params: list[Mapping[str, Any]] = []
        self._answer = answer
        self._pause_s = pause_s

    def __call__(self, frame: Any, params: Mapping[str, Any]) -> Any:
        time.sleep(self._pause_s)
        self.calls.append(len(frame))
        self.params.append(dict(params))
        return self._answer(frame, params)


def watched(answer: Any, *, pause_s: float = 0.0, **options: Any) -> tuple[Watching, Scorer]:
    model = Watching(answer, pause_s=pause_s)
    return model, opaque(model, **options)
