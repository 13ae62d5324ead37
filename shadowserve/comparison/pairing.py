"""What the challenger's lane remembers of bursts in which it took turns with the control."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from shadowserve.comparison.bursts import BURST_WARMUP, burst_of
from shadowserve.comparison.comparing import Scoring
from shadowserve.records import Request, Times, worker_of
from shadowserve.statistics.paired import PairedBursts
from shadowserve.statistics.stored import Stored, numbered, of, record


@dataclass(slots=True)
class OpenBurst:
    """A burst of one worker that may go on."""

    number: int
    arrived_ns: int
    life: int = 0
    control_ms: list[float] = field(default_factory=list)
    challenger_ms: list[float] = field(default_factory=list)
    server_ms: list[float] = field(default_factory=list)


class Pairing(Stored):
    """Gathers pairs to bursts, and bursts to what is judged.

    Parameters
    ----------
    margin : float
        As in `PairedBursts`.
    """

    parts: ClassVar = {
        "paired": of(PairedBursts),
        "open": numbered(record(OpenBurst)).at("_open"),
    }

    def __init__(self, *, margin: float = 0.10) -> None:
        self.paired = PairedBursts(margin=margin)
        self._open: dict[int, OpenBurst] = {}

    def add(self, scorings: Sequence[Scoring]) -> None:
        """Take in what was scored, each worker's in the order of the journal."""
        if not self._open and all(one.pair is None for one in scorings):
            return  # neither does a burst go on, nor does one begin
        for one in scorings:
            worker, burst = worker_of(one.request.position), burst_of(one.request.position)
            opened = self._open.get(worker)
            # The journal of one worker is read in order: another burst, or none, ends the open one.
            if opened is not None and (burst is None or burst[0] != opened.number):
                self._close(worker)
            if burst is not None and burst[1] >= BURST_WARMUP and self._counts(one):
                self._add(worker, burst[0], one)

    def _counts(self, one: Scoring) -> bool:
        """Whether it is a pair of warm lanes; in its first requests a lane only takes the measure."""
        pair = one.pair
        warm = pair is not None and pair.warm and one.warm and one.observation.times is not None
        return warm and (not one.warmup or self.paired.beside_ms is None)

    def _add(self, worker: int, number: int, one: Scoring) -> None:
        pair, times = one.pair, one.observation.times
        if pair is None or times is None:
            return
        opened = self._open.setdefault(worker, OpenBurst(number, one.request.arrived_wall_ns))
        # A lane that restarts within a burst is a new life from there on; the burst counts for the
        # last.
        opened.life = pair.life
        opened.control_ms.append(pair.control_ms)
        opened.challenger_ms.append(times.work_ns / 1e6)
        opened.server_ms.append(server_ms(one.request))

    def _close(self, worker: int) -> None:
        opened = self._open.pop(worker)
        self.paired.add(
            opened.arrived_ns,
            opened.control_ms,
            opened.challenger_ms,
            server_ms=opened.server_ms,
            life=opened.life,
        )


def server_ms(request: Request) -> float:
    """Return what the server took of an answer besides the model's own work and waiting in line."""
    parse, schema, encode = (Times.unpack(request.times).phases_ns[at] for at in (1, 2, 5))
    return (parse + schema + encode) / 1e6
