"""Production traffic: the real events that came after the training data, one request each.

Sixty-four users are active at a time and take turns, so that none makes more than 2 % of any 1,000
requests; who has no event left makes room for the next user. A user's own events keep their order.
After the last user the first one starts again. In every block of a hundred requests one, at random,
carries a description of 2,000 to 20,000 words. Records are ready for JSON: columns of the
signature, with None for what is missing.
"""

from __future__ import annotations

import itertools
import random
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from typing import Any

import pandas as pd

from models import diamonds as _diamonds
from models import films as _films
from models import likes as _likes
from models.data import LIKED, film_events
from models.data import diamonds as all_diamonds
from models.descriptions import description, long_description
from models.recipe import Column

SINCE = pd.Timestamp("2014-01-01", tz="UTC")
"""All versions of films and likes learned from earlier events."""

N_ACTIVE = 64
LONG_ONE_IN = 100

Record = dict[str, Any]
Event = Any  # a row of film_events, as a named tuple


def films(n: int, *, seed: int = 0) -> Iterator[Record]:
    """Yield `n` requests for `films`.

    Examples
    --------
    >>> [request["title"] for request in films(2)] == [request["title"] for request in films(2)]
    True
    """
    return (_record(_films.COLUMNS, event, text) for event, text in _pages(n, seed=seed))


def likes(n: int, *, seed: int = 0) -> Iterator[Record]:
    """Yield `n` requests for `likes`."""
    return (record for record, _ in labelled_likes(n, seed=seed))


def labelled_likes(n: int, *, seed: int = 0) -> Iterator[tuple[Record, int]]:
    """Yield `n` requests for `likes`, each with what its user then said: 1 liked, 0 did not."""
    for event, text in _pages(n, seed=seed):
        yield _record(_likes.COLUMNS, event, text), int(event.rating >= LIKED)


def diamonds(n: int, *, seed: int = 0) -> Iterator[Record]:
    """Yield `n` requests for `diamonds`."""
    return (record for record, _ in labelled_diamonds(n, seed=seed))


def labelled_diamonds(n: int, *, seed: int = 0) -> Iterator[tuple[Record, float]]:
    """Yield `n` requests for `diamonds`, each with its price; stones no version has seen."""
    stones = all_diamonds().iloc[_diamonds.FIRST_FOR_SALE :].sample(frac=1.0, random_state=seed)
    rows: Iterable[Any] = stones.itertuples(index=False)
    for stone in itertools.islice(itertools.cycle(rows), n):
        yield _record(_diamonds.COLUMNS, stone), float(stone.price)


def visits(*, seed: int = 0) -> Iterator[Event]:
    """Yield events without end, users interleaved; `user` tells whose turn it is.

    Parameters
    ----------
    seed : int
        Chooses the first user and the order of each turn. The events are always the real ones.
    """
    chance = random.Random(f"visits {seed}")
    waiting: deque[Sequence[Event]] = deque(_sessions())
    waiting.rotate(-chance.randrange(len(waiting)))
    active = [_Session(waiting.popleft()) for _ in range(N_ACTIVE)]
    while True:
        chance.shuffle(active)
        for place, session in enumerate(active):
            yield session.events[session.seen]
            session.seen += 1
            if session.seen == len(session.events):
                waiting.append(session.events)
                active[place] = _Session(waiting.popleft())


class _Session:
    """One user's events and how many of them have been played."""

    def __init__(self, events: Sequence[Event]) -> None:
        self.events = events
        self.seen = 0


@cache
def _sessions() -> tuple[tuple[Event, ...], ...]:
    """Each user's later events in time order; users in the order of their first one."""
    later = film_events()
    later = later[later["time"] >= SINCE]
    by_user: dict[int, list[Event]] = {}
    rows: Iterable[Event] = later.itertuples(index=False)
    for event in rows:
        by_user.setdefault(event.user, []).append(event)
    return tuple(tuple(events) for events in by_user.values())


def _pages(n: int, *, seed: int) -> Iterator[tuple[Event, str]]:
    """Events with the description of the page in view, one long text in each hundred."""
    chance = random.Random(f"descriptions {seed}")
    long_at = 0
    for number, event in enumerate(itertools.islice(visits(seed=seed), n)):
        if number % LONG_ONE_IN == 0:
            long_at = number + chance.randrange(LONG_ONE_IN)
        if number == long_at:
            yield event, long_description(chance, title=event.title, genres=event.genres)
        else:
            yield event, description(event.film, title=event.title, genres=event.genres)


def _record(columns: Iterable[Column], row: Any, text: str | None = None) -> Record:
    return {
        column.name: text if column.name == "description" else _json(getattr(row, column.name))
        for column in columns
    }


def _json(value: Any) -> Any:
    return None if value != value else value  # NaN alone differs from itself
