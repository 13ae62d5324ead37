"""The program in an isolated version's environment: it loads the version, scores what the line brings, and answers.

It needs NumPy, pandas and what the version itself needs; MLflow only for flavors that nobody else can load.
Typing, comparing and writing answers are the other side's, so that all versions are typed and read alike.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import socket
import sys
from collections.abc import Callable, Mapping
from typing import Any

from shadowserve import ambience
from shadowserve.errors import AnswerError, ModelError
from shadowserve.faults import fault_of
from shadowserve.host import gc_freeze, priority
from shadowserve.host.clock import Starvation
from shadowserve.host.leash import watch_parent
from shadowserve.host.private_log import PRINTS, silence_others
from shadowserve.schema.rows import Rows
from shadowserve.scorer.isolated import neutral
from shadowserve.scorer.isolated.instance import Instance

READ_BYTES = 1 << 20
_PARENT = "SHADOWSERVE_PARENT"


def main(descriptor: int, step: int) -> int:
    """Answer frames until the line's other end is closed."""
    watch_parent(int(os.environ.get(_PARENT, os.getppid())))
    line = socket.socket(fileno=descriptor)
    line.set_inheritable(False)
    silence_others(os.environ.get(PRINTS))
    ambience.claim()
    with mmap.mmap(step, 8) as shared, memoryview(shared) as view, view.cast("q") as mark:
        os.close(step)
        served = Served(mark)
        held = neutral.Frames()
        while read := line.recv(READ_BYTES):
            for head, parts in held.feed(read):
                line.sendall(served.answer(head, parts))
    return 0


class Served:
    """What is asked of the version, one frame after the other.

    Parameters
    ----------
    mark : sequence of int of length 1
        Memory that both sides share: the index of the step that runs.
    """

    def __init__(self, mark: Any) -> None:
        self._mark = mark
        self._instance: Instance | None = None
        self._starvation = Starvation()
        self._asked: Mapping[str, Callable[..., Any]] = {
            "open": self._open,
            "verify": self._verify,
            "prove": self._prove,
            "anew": self._anew,
            "fits": self._fits,
            "settle": self._settle,
        }

    def answer(self, head: Mapping[str, Any], parts: list[Any]) -> bytes:
        """Return the frame that answers one; whatever the version raises is part of it."""
        told: dict[str, Any]
        bodies: list[bytes] = []
        try:
            if head["do"] == "score":
                return self._score(head, parts)
            told = {"done": neutral.written(self._asked[head["do"]](head, parts), bodies)}
        except ModelError as error:
            told = {"refused": str(error)}
        except BaseException as error:  # a model's sys.exit() is its fault, not this process's end
            told = {"fault": _fault(error)}
        return neutral.frame(told, bodies)

    @property
    def _own(self) -> Instance:
        if self._instance is None:
            raise LookupError("nothing is loaded")
        return self._instance

    def _open(self, told: Mapping[str, Any], _parts: list[Any]) -> dict[str, Any]:
        self._instance = ambience.within(Instance, told, mark=self._mark)
        return self._own.facts()

    def _verify(self, told: Mapping[str, Any], parts: list[Any]) -> dict[str, Any]:
        return self._own.verify(_rows(told["rows"], parts))

    def _prove(self, told: Mapping[str, Any], parts: list[Any]) -> dict[str, Any] | None:
        return self._own.prove(_rows(told["rows"], parts))

    def _fits(self, told: Mapping[str, Any], parts: list[Any]) -> str | None:
        return self._own.fits(neutral.read(told["value"], parts))

    def _anew(self, *_: object) -> None:
        self._own.begin_anew()

    def _settle(self, *_: object) -> None:
        """Step back as a lane does once it has loaded."""
        gc_freeze.settle()
        priority.settle()

    def _score(self, told: Mapping[str, Any], parts: list[Any]) -> bytes:
        delay_ns = self._starvation.delay_ns() or 0
        rows = _rows(told["rows"], parts)
        output, times, others = ambience.within(self._own.score, rows, scores=told["scores"])
        starved_ns = (self._starvation.delay_ns() or 0) - delay_ns
        bodies: list[bytes] = []
        try:
            head = {
                "output": neutral.written(output, bodies),
                "scores": neutral.written(others, bodies),
                "wall_ns": times.wall_ns,
                "cpu_ns": times.cpu_ns,
                "total_ns": times.total_ns,
                "total_cpu_ns": times.total_cpu_ns,
                "inner": [[*part] for part in times.inner],
                "starved_ns": starved_ns,
            }
        except AnswerError as error:
            return neutral.frame({"unwritable": str(error)})
        return neutral.frame({"done": head}, bodies)


def import_all() -> None:
    """Import now what else would be imported once it is needed."""
    with contextlib.suppress(ImportError):  # no scikit-learn there, or an old one
        import shadowserve.scorer.featurization.categories  # noqa: F401


def _rows(told: Mapping[str, Any], parts: list[Any]) -> Rows:
    """Read the rows that the other side typed."""
    return Rows(
        columns=neutral.read(told["columns"], parts),
        n_rows=told["n_rows"],
        tensor=neutral.read(told["tensor"], parts),
        params=neutral.read(told["params"], parts),
        text=frozenset(neutral.read(told["text"], parts)),
        untyped=frozenset(neutral.read(told["untyped"], parts)),
    )


def _fault(error: BaseException) -> dict[str, Any]:
    fault = fault_of(error)
    return {
        "type": fault.type,
        "frame": fault.frame,
        "digest": fault.digest,
        "step": fault.step,
        "column": fault.column,
    }


if __name__ == "__main__":
    sys.exit("This module is imported by entry.py.")
