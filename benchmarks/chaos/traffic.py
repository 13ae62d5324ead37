"""Callers at a steady rate who check every answer, and remember when each call was under way."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import httpx

from rig import tiny
from rig.served import expected

CALLERS = 8
PATIENCE_S = 60.0


@dataclass(frozen=True, slots=True)
class Call:
    """One call: when it began and ended (monotonic seconds), what came, and whether it was right."""

    began: float
    ended: float
    told: str
    right: bool


class Traffic:
    """Open-loop callers: each sends at its own times, whether or not the last answer was slow.

    Parameters
    ----------
    url : str
        The data plane; the same after a restart.
    answers : mapping of (x, note) to float
        The champion's own answers, as it gave them before any fault.
    rate : float
        Calls a second, all callers together.
    seed : int
    """

    def __init__(
        self, url: str, answers: Mapping[tuple[float, str], float], *, rate: float, seed: int
    ) -> None:
        self._url = url
        self._answers = answers
        self._rows = list(answers)
        self._every = CALLERS / rate
        self._stopped = threading.Event()
        self._poison: list[str] = []
        self.calls: list[Call] = []
        self._threads = [
            threading.Thread(target=self._run, args=(random.Random(seed * 100 + i),))
            for i in range(CALLERS)
        ]

    def start(self) -> None:
        """Begin to call."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Call no more, and wait for what is under way."""
        self._stopped.set()
        for thread in self._threads:
            thread.join()

    def poison(self, word: str) -> None:
        """Let one of the next calls carry a word that kills a challenger."""
        self._poison.append(word)

    def _run(self, rng: random.Random) -> None:
        due = time.monotonic() + rng.random() * self._every
        client = httpx.Client(timeout=PATIENCE_S, trust_env=False)
        while not self._stopped.wait(max(0.0, due - time.monotonic())):
            due = max(due + self._every, time.monotonic() - 5 * self._every)
            row = rng.choice(self._rows)
            note = self._poison.pop() if self._poison else row[1]
            self.calls.append(self._call(client, row, note))
        client.close()

    def _call(self, client: httpx.Client, row: tuple[float, str], note: str) -> Call:
        body = {"dataframe_records": [tiny.row(row[0], note)]}
        began = time.monotonic()
        try:
            response = client.post(f"{self._url}/invocations", json=body)
        except httpx.HTTPError as error:
            return Call(began, time.monotonic(), type(error).__name__, False)
        right = response.status_code == 200 and self._is_right(row, note, response)
        return Call(began, time.monotonic(), str(response.status_code), right)

    def _is_right(self, row: tuple[float, str], note: str, response: httpx.Response) -> bool:
        """Compare with the champion's own answer; with poison in the note, with about that."""
        (value,) = response.json()["predictions"]
        if note != row[1]:
            return bool(abs(value - expected(row[0], note)) < 0.5)
        known = self._answers[row]
        return bool(abs(value - known) <= 1e-12 + 1e-9 * abs(known))


def rows(n: int, *, seed: int) -> list[tuple[float, str]]:
    """Return rows to ask for."""
    rng = random.Random(seed)
    return [(round(rng.uniform(-3, 3), 3), "n" * rng.randint(1, 7)) for _ in range(n)]


def within(call: Call, spans: Sequence[tuple[float, float]]) -> bool:
    """Tell whether a call was under way in one of some spans, such as an outage."""
    return any(call.began <= end and call.ended >= begin for begin, end in spans)
