"""What was recorded, in the order in which it came: all workers' segments of one deployment, merged by time."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from shadowserve.errors import SettingsError, UnreachableError, UnreadableError
from shadowserve.legible import quoted
from shadowserve.records import Request, position
from shadowserve.state.archive.facts import Facts, read_facts
from shadowserve.state.archive.past import ARCHIVE, JOURNAL, Past, Source, requests
from shadowserve.state.places import Places

WORDS = {"journal": JOURNAL, "archive": ARCHIVE}
MOST_BEHIND = 1_024
"""How many requests of a worker are looked at to put them in order: one that took long to type is written later."""
MOST_BYTES = 16 * 2**20

NO_BODY, AGAIN, UNKNOWN, UNSENDABLE = "without_body", "sent_again", "unknown_protocol", "bad_content_type"  # fmt: skip


@dataclass(slots=True)
class Recording:
    """One deployment's requests.

    Parameters
    ----------
    model, deployment : str
        Whose traffic it is.
    segments : sequence of Source
    only : collection of int, optional
        Positions; all where not given.
    left_out : Counter
        By reason, what is not sent: filled as it is read.
    unreadable : list of str
        What could not be read to its end, filled likewise.
    """

    model: str
    deployment: str
    segments: Sequence[Source]
    only: Collection[int] | None = None
    left_out: Counter[str] = field(default_factory=Counter)
    unreadable: list[str] = field(default_factory=list)

    @property
    def requests(self) -> int:
        """How many it holds, as their files say."""
        return sum(one.facts.requests for one in self.segments)

    @property
    def seconds(self) -> float:
        """From the first to the last of them."""
        first = min(one.facts.since_ns for one in self.segments)
        return (max(one.facts.until_ns for one in self.segments) - first) / 1e9

    def read(self, known: Collection[str]) -> Iterator[Request]:
        """Yield what can be sent, in the order of its arrival.

        Parameters
        ----------
        known : collection of str
            Protocols that can be sent.
        """
        workers = sorted({one.facts.worker for one in self.segments})
        streams = [in_order(self._of(worker)) for worker in workers]
        for request in heapq.merge(*streams, key=_arrival):
            if self.only is not None and request.position not in self.only:
                continue
            why = why_not(request, known)
            if why is None:
                yield request
            else:
                self.left_out[why] += 1

    def _of(self, worker: int) -> Iterator[Request]:
        for segment in (one for one in self.segments if one.facts.worker == worker):
            try:
                # What is sent from here may lie in the same segment, behind what was there at the beginning.
                last = position(worker, segment.facts.last)
                for some in requests(segment):
                    yield from (one for one in some if one.position <= last)
                    if some[-1].position >= last:
                        break
            except UnreadableError as error:
                self.unreadable.append(str(error))


def why_not(request: Request, known: Collection[str]) -> str | None:
    """Return why a request is not sent again; None where it can be."""
    if request.body is None:
        return NO_BODY
    if request.replay is not None:  # else each replay would double what there is to replay
        return AGAIN
    if request.protocol not in known:
        return UNKNOWN
    # A line's end in it would begin another header.
    if not (request.content_type.isascii() and request.content_type.isprintable()) and request.content_type:  # fmt: skip
        return UNSENDABLE
    return None


def in_order(requests: Iterable[Request]) -> Iterator[Request]:
    """Yield one worker's requests by their time, which may lie a little out of order."""
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


def _arrival(request: Request) -> int:
    return request.arrived_wall_ns


def recording(
    source: str,
    places: Places,
    *,
    deployment: str | None = None,
    only: Callable[[str], Collection[int]] | None = None,
) -> Recording:
    """Return what a source holds.

    Parameters
    ----------
    source : str
        ``journal``, ``archive``, or the path of an archived segment.
    places : Places
        The state directory.
    deployment : str, optional
        Whose; by default the one that served last.
    only : callable, optional
        Deployment to the positions that are wanted.

    Raises
    ------
    UnreachableError
        If nothing is kept there.
    SettingsError
        If a column's values are not.
    """
    found = _segments(source, places)
    if deployment is not None:
        found = [one for one in found if one.facts.deployment == deployment]
    if not found:
        whose = "" if deployment is None else f" of {deployment}"
        raise UnreachableError(
            f"Nothing{whose} is kept in the {source} of {places.root}. 'shadowserve journal list' says what there is, and "
            "'shadowserve serve --keep-journal 7d' keeps what was served for a week."
        )
    newest = max(found, key=lambda one: one.facts.until_ns).facts
    own = [one for one in found if one.facts.deployment == newest.deployment]
    _refuse_hidden(source, [one.facts for one in own])
    positions = only(newest.deployment) if only is not None else None
    return Recording(newest.model, newest.deployment, own, positions)


def _segments(source: str, places: Places) -> list[Source]:
    if source in WORDS:
        return Past(places).sources(of=[WORDS[source]])
    path = Path(source)
    if not path.is_file():
        raise SettingsError(
            f"SOURCE {quoted(source)} is neither journal nor archive, and no file of that name is there."
        )
    return [Source(ARCHIVE, path, read_facts(path), path.stat().st_size)]


def _refuse_hidden(source: str, facts: Sequence[Facts]) -> None:
    hidden = sorted({name for one in facts for name in one.hidden})
    if hidden:
        raise SettingsError(
            f"The {source} has no values of {', '.join(hidden)}: they were dropped or hashed before they were kept, so none "
            "of its requests can be sent again as it was."
        )
