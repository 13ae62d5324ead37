"""Scoring journaled requests with the lane's version, each fault kept to itself."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, MutableSequence, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from shadowserve import wire
from shadowserve.faults import fault_of
from shadowserve.host.clock import Starvation
from shadowserve.lane.clean_times import Clean
from shadowserve.records import Observation, Request, Times
from shadowserve.schema.rows import Rows, concat
from shadowserve.scorer.scorer import Scored, Scorer
from shadowserve.wire.protocols import Protocol
from shadowserve.wire.together import parse_all


class Typed(NamedTuple):
    """A request typed by the lane's own signature.

    Parameters
    ----------
    rows : Rows or None
        None where the lane's version cannot take the request.
    echo : str or None
        The protocol's own request id.
    refusal : Observation or None
        The fault, where there are no rows.
    """

    request: Request
    rows: Rows | None
    echo: str | None
    parse_ns: int
    schema_ns: int = 0
    refusal: Observation | None = None


class Observer:
    """Types and scores requests with one version.

    Parameters
    ----------
    scorer : Scorer
        The lane's version.
    protocols : mapping of name to Protocol
        As the data plane uses them.
    mark : sequence of int of length 1
        Where the running step's index is left for whoever watches from outside.
    """

    def __init__(
        self,
        scorer: Scorer,
        protocols: dict[str, Protocol],
        *,
        mark: MutableSequence[int] | memoryview,
    ) -> None:
        self.scorer = scorer
        self.protocols = protocols
        self._mark = mark
        self._starvation = Starvation()  # of this thread: make and use the observer on one

    def typed(self, request: Request, *, tried: bool = True) -> Typed:
        """Type a journaled body; the lane's signature decides, as it would in production.

        Parameters
        ----------
        request : Request
        tried : bool
            Whether values are tried by the model's own type hint, whose code may hang.
        """
        started_ns = time.monotonic_ns()
        protocol = self.protocols[request.protocol]
        try:
            schema = self.scorer.schema if tried else self.scorer.schema.without_hint()
            parsed = protocol.timed_parse(request.body or b"", request.content_type, schema)
        except BaseException as error:  # a validator of the model's own may exit
            refusal = Observation(fault=fault_of(error, step="schema"))
            spent_ns = time.monotonic_ns() - started_ns
            return Typed(request, None, None, spent_ns, refusal=refusal)
        return Typed(request, parsed.rows, parsed.echo, parsed.parse_ns, parsed.schema_ns)

    def typed_all(self, requests: Sequence[Request]) -> list[Typed]:
        """Type bodies as `typed` does each, those of one kind at once; none may hang or kill."""
        schema = self.scorer.schema
        by_protocol: dict[str, list[int]] = {}
        for at, request in enumerate(requests):
            by_protocol.setdefault(request.protocol, []).append(at)
        found: list[Typed | None] = [None] * len(requests)
        for name, places in by_protocol.items():
            bodies = [(requests[at].body or b"", requests[at].content_type) for at in places]
            parsed = parse_all(self.protocols[name], bodies, schema)
            for at, one in zip(places, parsed, strict=True):
                if one is not None:
                    found[at] = Typed(requests[at], one.rows, one.echo, one.parse_ns, one.schema_ns)
        return [one or self.typed(own) for one, own in zip(found, requests, strict=True)]

    def alone(self, typed: Typed) -> Observation:
        """Score one request by itself; its times count."""
        return self._observe([typed])[0]

    def together(
        self, batch: Sequence[Typed], *, hold: Callable[[Sequence[int]], None] = lambda _: None
    ) -> list[Observation]:
        """Score several requests in one call; where that raises, each half in one, and so on.

        Parameters
        ----------
        hold : callable
            Is told the positions of each call before it is made.
        """
        sent = [typed for typed in batch if typed.refusal is None]
        found = iter(self._halving(sent, hold) if sent else ())
        return [typed.refusal or next(found) for typed in batch]

    def _halving(
        self, batch: Sequence[Typed], hold: Callable[[Sequence[int]], None], *, raises: bool = False
    ) -> list[Observation]:
        """Score requests that all can be, and find those that raise.

        Parameters
        ----------
        raises : bool
            Whether it is known that one of them does: then the call of all is left out.
        """
        if len(batch) == 1 or not raises:
            # Marked before the call, so that it is known what a process had in hand that died.
            hold([typed.request.position for typed in batch])
            seen = self._observe(batch)
            if len(batch) == 1 or not _raised(seen):
                return seen
        middle = len(batch) // 2
        first = self._halving(batch[:middle], hold)
        # Whoever raised is in the other half, if it is not in this one.
        return first + self._halving(batch[middle:], hold, raises=not _raised(first))

    def _observe(self, batch: Sequence[Typed]) -> list[Observation]:
        taken = [typed for typed in batch if typed.rows is not None]
        if not taken:
            return [typed.refusal or Observation() for typed in batch]
        began_ns, delay_ns = time.monotonic_ns(), self._starvation.delay_ns() or 0
        try:
            rows = concat([typed.rows for typed in taken if typed.rows is not None])
            scored = self.scorer.score(rows, scores=True, mark=self._mark)
            starved_ns = (self._starvation.delay_ns() or 0) - delay_ns
            if scored.starved_ns is not None:
                starved_ns = scored.starved_ns
            answers, holes = self._answers(taken, scored.output)
        except BaseException as error:  # a model's sys.exit() is its fault, not the lane's end
            fault = fault_of(error, step=self._running_step())
            return [typed.refusal or Observation(fault=fault) for typed in batch]
        scores = _cut(scored, taken)
        clean = Clean.of(scored, starved_ns)
        inference_ns = clean.wall_ns[-1] if clean.wall_ns else clean.total_ns
        work_ns = (max(0, clean.total_ns - inference_ns), inference_ns, 0)
        n_taken, n_rows = len(taken), rows.n_rows
        found = iter(
            Observation(
                answer=answer,
                scores=own,
                times=Times(
                    (
                        max(0, began_ns - typed.request.arrived_ns),
                        typed.parse_ns,
                        typed.schema_ns,
                        *work_ns,
                    ),
                    clean.wall_ns,
                    scored.cpu_ns,
                    n_taken,
                    n_rows,
                ),
                inner=clean.inner,
                starved_ns=starved_ns,
                nonfinite=hole,
            )
            for typed, answer, own, hole in zip(taken, answers, scores, holes, strict=True)
        )
        return [typed.refusal or next(found) for typed in batch]

    def _answers(self, taken: Sequence[Typed], output: Any) -> tuple[list[bytes], list[int]]:
        """Encode each request's own answer, and count what is no finite number in it."""
        at_once = self._at_once(taken, output)
        if at_once is not None:
            return at_once
        outputs = self.scorer.split(output, [t.rows.n_rows for t in taken if t.rows])
        answers = [self._encode(t, own) for t, own in zip(taken, outputs, strict=True)]
        return answers, list(map(_nonfinite, outputs))

    def _at_once(self, taken: Sequence[Typed], output: Any) -> tuple[list[bytes], list[int]] | None:
        """Encode the answers to requests of one row in one go, where their protocol can."""
        names = {typed.request.protocol for typed in taken}
        single = all(typed.rows is not None and typed.rows.n_rows == 1 for typed in taken)
        if len(taken) == 1 or len(names) > 1 or not single or self.scorer.multi_output:
            return None
        encode = self.protocols[names.pop()].encode_rows
        if encode is None or not isinstance(output, np.ndarray) or len(output) != len(taken):
            return None
        answers = encode(output)
        if answers is None:
            return None
        holes = ~np.isfinite(output) if output.dtype.kind == "f" else np.zeros(output.shape, bool)
        return answers, holes.reshape(len(taken), -1).sum(axis=1).tolist()

    def prove(self, typed: Typed) -> bool:
        """Compare the timed walk with the model's own path on one request, bit for bit.

        Returns
        -------
        bool
            False where they differ although the model agrees with itself: from here on that part
            is timed as one opaque step, and the scorer's notes say so.
        """
        if typed.rows is None:
            return True
        try:
            coarser = self.scorer.proven(typed.rows)
        except BaseException:  # the model's own path failed: there is nothing to compare
            return True
        self.scorer = coarser or self.scorer
        return coarser is None

    def _encode(self, typed: Typed, output: object) -> bytes:
        encode = partial(self.protocols[typed.request.protocol].encode, echo=typed.echo)
        return encode(output)

    def _running_step(self) -> str | None:
        index, names = self._mark[0], self.scorer.step_names
        return names[index][0] if 0 <= index < len(names) else None


def _raised(seen: Sequence[Observation]) -> bool:
    return any(one.fault is not None for one in seen)


def _nonfinite(output: object) -> int:
    """Count what is no finite number, where the output lets itself be counted."""
    with contextlib.suppress(BaseException):  # it is encoded: whatever this is, it is an answer
        return wire.nonfinite(output)
    return 0


def _cut(scored: Scored, taken: Sequence[Typed]) -> list[np.ndarray | None]:
    if scored.scores is None:
        return [None] * len(taken)
    return wire.split(scored.scores, [typed.rows.n_rows for typed in taken if typed.rows])
