"""Real requests in company: each must be answered as it was alone, whoever else is in the call.

Made-up rows cannot tell; recorded requests can. A lane takes groups of them and scores each group
shuffled, sorted, the other way round and twice over, up to as many rows as serving puts into a call.
Every answer is laid beside the one that was given alone. What differs is looked into at once: scored
alone and in the same company again and again. What is steady in both and still differs depends on its
neighbours. That is proof, and one byte ends shared calls in all champion workers. A thousand rows
without a difference are shown too, and are remembered by the version's digest.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from shadowserve.divergence import without
from shadowserve.lane.observing import Observer, Typed
from shadowserve.records import Observation
from shadowserve.state import sharing
from shadowserve.state.sharing import EARNED_ROWS, Mark
from shadowserve.wire.likeness import Leaf, Likeness, apart, field_of
from shadowserve.wire.protocols import Protocol

GROUP_ROWS = 32
"""Rows of a group; twice over they are as many as serving puts into a call of unknown code."""

REPEATS = 5
"""How often an answer that differs is asked for again, alone and in company, before it is proof."""

SHARE = 0.25
SHARE_LATER = 0.02
"""Time spent on company as a share of the time of the calls alone: until enough is shown, and after."""

FREE_GROUPS = 2
MAX_MS = 50.0
NEEDED_OF_KNOWN = 3
"""Rows that must differ where the structure is known: rounding tips a label now and then."""

_log = logging.getLogger("shadowserve.lane")


@dataclass(frozen=True, slots=True)
class _Member:
    """One request of a group, and its answer as given alone."""

    typed: Typed
    answer: Any


class Company:
    """Tries groups of recorded requests in company, on a share of a lane's time.

    Parameters
    ----------
    observer : Observer
        The lane's own; its times of these calls are dropped.
    protocols : mapping of name to Protocol
        How each answer is read.
    ignore : collection of str
        Fields of the answer that may differ.
    mark : Mark
        The byte of this version's files.
    path : Path
        Where what was shown is remembered.
    hold : callable
        Marks a position as in hand, before each call.
    proven : callable
        Is told the positions of requests that are proven to depend on their neighbours.
    """

    def __init__(
        self,
        observer: Observer,
        protocols: Mapping[str, Protocol],
        *,
        mark: Mark,
        path: Path,
        ignore: Collection[str] = (),
        hold: Callable[[Sequence[int]], None] = lambda _: None,
        proven: Callable[[Sequence[int]], None] = lambda _: None,
    ) -> None:
        self._observer = observer
        self._protocols = protocols
        self._ignore = frozenset(ignore)
        self._mark = mark
        self._path = path
        self._hold = hold
        self._proven = proven
        self._group: list[_Member] = []
        self._alone_ns = 0
        self._credit_ns = 0.0
        self._groups = 0
        self._noisy: set[Leaf] = set()
        self.shown = sharing.remembered(path)

    @property
    def allows(self) -> bool:
        """Whether the lane itself may score in batches: no caller sees it."""
        decided, marked = self._observer.scorer.sharing, self._mark.value
        if marked == sharing.STOPPED or not decided.able or decided.mode == "off":
            return False
        return decided.batched or marked == sharing.EARNED

    @property
    def _share(self) -> float:
        known = self._observer.scorer.sharing.unknown is None
        enough = self.shown.rows >= EARNED_ROWS or not self.shown.clean
        return SHARE_LATER if known or enough else SHARE

    def offer(self, typed: Typed, answer: bytes, alone_ns: int) -> bool:
        """Take in a request with the answer given to it alone; now and then, try a group.

        Parameters
        ----------
        alone_ns : int
            What the call took alone.

        Returns
        -------
        bool
            Whether anything was scored for it.
        """
        rows = typed.rows
        if rows is None or rows.params or rows.n_rows > GROUP_ROWS or alone_ns > MAX_MS * 1e6:
            return False
        if not self._observer.scorer.sharing.able or self._mark.value == sharing.STOPPED:
            return False
        self._credit_ns += self._share * alone_ns
        if self._credit_ns < 0 and self._groups >= FREE_GROUPS:
            return False
        held = sum(member.typed.rows.n_rows for member in self._group if member.typed.rows)
        tried = held + rows.n_rows > GROUP_ROWS
        if tried:
            self._try()
        self._group.append(_Member(typed, self._read(typed, answer)))
        self._alone_ns += alone_ns
        return tried

    def _try(self) -> None:
        group, alone_ns = self._group, self._alone_ns
        self._group, self._alone_ns = [], 0
        self._groups += 1
        began_ns = time.thread_time_ns()
        generator = np.random.default_rng(group[0].typed.request.position)
        company_ns, fine = 0, True
        for number, order in enumerate(_orders(group, generator)):
            answers, spent_ns = self._together([group[at] for at in order])
            # The first arrangement only: it holds the group once, as the calls alone did.
            company_ns += spent_ns if number == 0 else 0
            differing = [
                place
                for place, at in enumerate(order)
                if self._differ(group[at].answer, answers[place])
            ]
            if differing:
                fine = False
                self._look_into([group[at] for at in order], differing[0], answers)
                break
        n_rows = sum(member.typed.rows.n_rows for member in group if member.typed.rows)
        if fine:
            self.shown = replace(self.shown, rows=self.shown.rows + n_rows)
        if company_ns:
            self.shown = replace(
                self.shown,
                alone_ns=self.shown.alone_ns + alone_ns,
                company_ns=self.shown.company_ns + company_ns,
            )
        self._conclude()
        # What was saved up is not carried on: a quiet hour must not buy a row of groups.
        self._credit_ns = min(self._credit_ns, 0.0) - (time.thread_time_ns() - began_ns)

    def _conclude(self) -> None:
        """Mark what has been shown, and remember it."""
        shown = self.shown
        if shown.dependent >= self._needed and self._mark.value != sharing.STOPPED:
            self._mark.stop()
            self.shown = replace(shown, stopped=_now())
            _log.error("answers depend on who shares the call: no calls are shared any more")
        elif not shown.clean:
            self._mark.doubt()
        elif shown.rows >= EARNED_ROWS and self._mark.value == sharing.UNDECIDED:
            self._mark.earn()
            self.shown = replace(shown, earned=_now())
        sharing.remember(self._path, self.shown)

    @property
    def _needed(self) -> int:
        return 1 if self._observer.scorer.sharing.unknown is not None else NEEDED_OF_KNOWN

    def _look_into(self, members: Sequence[_Member], place: int, answers: Sequence[Any]) -> None:
        """Tell what a difference is: dependence, rounding, or noise."""
        member, found = members[place], answers[place]
        alone = self._alone(member)
        noisy = set(self._noisy)
        furthest: dict[Leaf, Likeness] = apart(alone, found)
        for _ in range(REPEATS):
            again, beside = self._alone(member), self._together(members)[0][place]
            # What differs from itself on a second call proves nothing about neighbours.
            noisy |= {field_of(leaf) for leaf in (*apart(alone, again), *apart(found, beside))}
            furthest = {leaf: far for leaf, far in furthest.items() if field_of(leaf) not in noisy}
            if not furthest:
                break
        self._noisy = noisy
        shown, position = self.shown, member.typed.request.position
        if Likeness.APART in furthest.values():
            self.shown = replace(shown, dependent=shown.dependent + 1)
            self._proven([position])
        elif furthest:
            self.shown = replace(shown, rounded=shown.rounded + 1)
        else:
            self.shown = replace(shown, unsteady=shown.unsteady + 1)

    def _differ(self, alone: Any, found: Any) -> bool:
        return any(field_of(leaf) not in self._noisy for leaf in apart(alone, found))

    def _alone(self, member: _Member) -> Any:
        self._hold([member.typed.request.position])
        return self._said(member.typed, self._observer.alone(member.typed))

    def _together(self, members: Sequence[_Member]) -> tuple[list[Any], int]:
        """Score members in one call; where that fails each is scored by itself, as in serving."""
        seen = self._observer.together([member.typed for member in members], hold=self._hold)
        times = seen[0].times
        spent_ns = times.work_ns if times is not None and times.batch_requests > 1 else 0
        return [self._said(m.typed, one) for m, one in zip(members, seen, strict=True)], spent_ns

    def _said(self, typed: Typed, seen: Observation) -> Any:
        if seen.answer is None:
            return {"fault": seen.fault.type if seen.fault else None}
        return self._read(typed, seen.answer)

    def _read(self, typed: Typed, answer: bytes) -> Any:
        read = self._protocols[typed.request.protocol].read
        return without(read(answer), self._ignore)


def _orders(group: Sequence[_Member], generator: np.random.Generator) -> Iterable[list[int]]:
    """Arrange a group: shuffled, sorted by a column, a part of it the other way round, twice over."""
    n = len(group)
    yield generator.permutation(n).tolist()
    yield sorted(range(n), key=_by_column(group, generator))
    yield generator.permutation(n)[: int(generator.integers(2, n + 1)) if n > 1 else n].tolist()[
        ::-1
    ]
    yield [*range(n), *reversed(range(n))]


def _by_column(
    group: Sequence[_Member], generator: np.random.Generator
) -> Callable[[int], tuple[str, Any]]:
    rows = [member.typed.rows for member in group]
    names = list(rows[0].columns) if rows[0] is not None else []
    name = names[int(generator.integers(len(names)))] if names else None

    def key(at: int) -> tuple[str, Any]:
        own = rows[at]
        value = own.columns[name][0] if own is not None and name is not None else at
        if isinstance(value, int | float | np.number):
            return "", float(value)
        return str(value), 0.0

    return key


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
