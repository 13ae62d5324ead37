"""What was recorded and can be sent again as it was, in the order in which it came."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field

from shadowserve.errors import SettingsError, ShadowserveError
from shadowserve.records import Request
from shadowserve.state import deployment as deployments
from shadowserve.state.archive.table_names import Names
from shadowserve.state.archive.traffic import WORDS, Traffic, traffic
from shadowserve.state.places import Places

MOST_BEHIND = 1_024
"""How many requests are looked at to put them in order: one that took long to type is written behind later ones."""
MOST_BYTES = 16 * 2**20

NO_BODY, AGAIN, UNKNOWN, UNSENDABLE = (
    "without_body",
    "sent_again",
    "unknown_protocol",
    "bad_content_type",
)


@dataclass(slots=True)
class Recording:
    """The requests of one source.

    Parameters
    ----------
    traffic : Traffic
    model : str
        Whose traffic it is; by its name one protocol is asked.
    only : collection of int, optional
        Positions; all where not given.
    left_out : Counter
        By reason, what is not sent: filled as it is read.
    failure : ShadowserveError or None
        What ended the reading before its time.
    """

    traffic: Traffic
    model: str
    only: Collection[int] | None = None
    left_out: Counter[str] = field(default_factory=Counter)
    failure: ShadowserveError | None = None

    @property
    def name(self) -> str:
        """By whom it was recorded, or the table's name."""
        known = self.traffic.deployment
        return self.traffic.name if known is None else known.id

    @property
    def has_times(self) -> bool:
        """Whether it is known when its requests came."""
        table = self.traffic.table
        return table is None or "time" in table.roles

    def read(self, known: Collection[str]) -> Iterator[Request]:
        """Yield what can be sent, in the order of its arrival.

        Parameters
        ----------
        known : collection of str
            Protocols that can be sent.
        """
        self.left_out.clear()
        for request in in_order(self._all()):
            if self.only is not None and request.position not in self.only:
                continue
            why = why_not(request, known)
            if why is None:
                yield request
            else:
                self.left_out[why] += 1

    def _all(self) -> Iterator[Request]:
        try:
            for some in self.traffic.read():
                yield from some
        except ShadowserveError as error:
            self.failure = error


def why_not(request: Request, known: Collection[str]) -> str | None:
    """Return why a request is not sent again; None where it can be."""
    if request.body is None:
        return NO_BODY
    if request.replay is not None:  # else each replay would double what there is to replay
        return AGAIN
    if request.protocol not in known:
        return UNKNOWN
    kind = request.content_type
    # A line's end in it would begin another header.
    return None if kind.isascii() and (kind.isprintable() or not kind) else UNSENDABLE


def in_order(requests: Iterable[Request]) -> Iterator[Request]:
    """Yield requests by their time, which may lie a little out of order."""
    waiting: list[tuple[int, int, Request]] = []
    size = 0
    for one in requests:
        heapq.heappush(waiting, (one.arrived_wall_ns, one.position, one))
        size += len(one.body or b"")
        while len(waiting) > MOST_BEHIND or (size > MOST_BYTES and len(waiting) > 1):
            found = heapq.heappop(waiting)[2]
            size -= len(found.body or b"")
            yield found
    while waiting:
        yield heapq.heappop(waiting)[2]


def recording(
    source: str,
    places: Places,
    *,
    deployment: str | None = None,
    skip_bad: bool = False,
    only: Callable[[str], Collection[int]] | None = None,
) -> Recording:
    """Return what a source holds.

    Parameters
    ----------
    source : str
        ``journal``, ``archive``, or a table's path.
    places : Places
        The state directory; what is served from it types a table.
    deployment : str, optional
        Whose; by default the one that served last.
    skip_bad : bool
        Whether a table's bad rows are left out.
    only : callable, optional
        Deployment to the positions that are wanted.

    Raises
    ------
    UnreachableError
        If nothing is kept there.
    SettingsError
        If some columns' values are not, or a table was asked for what only a deployment knows.
    """
    present = deployments.read(places)
    signature = present.champion.signature if present is not None else None
    found = traffic(
        source, places, signature=signature, names=Names(), deployment=deployment, skip_bad=skip_bad
    )
    if found.hidden:
        raise SettingsError(
            f"The {source} has no values of {', '.join(found.hidden)}: they were dropped or hashed before they were kept, so "
            "none of its requests can be sent again as it was."
        )
    if only is not None and (source not in WORDS or found.deployment is None):
        raise SettingsError("--only asks what lanes wrote down of the journal or the archive. Name one of these.")  # fmt: skip
    served = found.deployment or present
    positions = only(found.deployment.id) if only is not None and found.deployment else None
    return Recording(found, served.model if served is not None else "model", positions)
