"""How many of the requests that the champion refused this version's signature would take.

They were answered with a 4xx and journaled nowhere, so they have no outcome; some are kept for this
alone (`shadowserve.state.refused`). They are typed and not scored: no code of the model runs.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Mapping

from shadowserve.comparison.accepted import Accepted
from shadowserve.schema.schema import Schema
from shadowserve.state.places import Places
from shadowserve.state.refused import Refused, records
from shadowserve.wire.protocols import Protocol

LOOK_NS = 10**9
AT_ONCE = 64


class RefusedRequests:
    """Reads what workers have kept, a little at a time.

    Parameters
    ----------
    places : Places
    schema : Schema
        The lane's own; its type hint is left out, since that is code of the model.
    protocols : mapping of name to Protocol
    """

    def __init__(self, places: Places, schema: Schema, protocols: Mapping[str, Protocol]) -> None:
        self._places = places
        self._schema = schema.without_hint()
        self._protocols = protocols
        self._next_ns = 0

    def look(self, known: Accepted, *, at_once: bool = False) -> bool:
        """Try what is new, each second at most unless `at_once`; tell whether anything was.

        A schema that takes whatever comes says nothing, so then nothing is tried.
        """
        now_ns = time.monotonic_ns()
        if self._schema.is_open or (now_ns < self._next_ns and not at_once):
            return False
        self._next_ns = now_ns + LOOK_NS
        before = known.tried
        for worker in self._places.all_counters():
            path, start = self._places.refused(worker), known.places.get(worker, 0)
            for one, end in itertools.islice(records(path, start=start), AT_ONCE):
                known.tried += 1
                known.taken += self._takes(one)
                known.places[worker] = end
        return known.tried > before

    def _takes(self, one: Refused) -> bool:
        try:
            self._protocols[one.protocol].parse(one.body, one.content_type, self._schema)
        except Exception:  # whatever is wrong with it: a refusal
            return False
        return True
