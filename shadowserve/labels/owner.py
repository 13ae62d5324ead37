"""The one writer of the labels' file: whoever holds its lock, while a deployment runs its evidence writer.

Others hand their labels in (`take`) and are told what became of them. Where nobody holds the lock, whoever
hands in holds it for as long as that takes.
"""

from __future__ import annotations

import fcntl
import logging
import os
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from shadowserve.errors import ShadowserveError
from shadowserve.faults import fault_of
from shadowserve.labels.earlier import Earlier
from shadowserve.labels.inbox import LabelSet, forget_answers, waiting
from shadowserve.labels.pairing import Kinds, pair
from shadowserve.labels.reading import LabelsError, Raw
from shadowserve.labels.taken import Taken
from shadowserve.labels.taking import move, take_in
from shadowserve.state.deployment import Deployment
from shadowserve.state.following import Followed
from shadowserve.state.places import Places

LOOK_S = 0.1
PAIR_S = 5.0
"""How often the owner pairs labels with answers that have come since."""
WAIT_S = 300.0
"""How long whoever hands labels in waits for the owner."""

_log = logging.getLogger("shadowserve.labels")


def take(places: Places, deployment: Deployment, labels: Iterable[Raw]) -> Taken:
    """Hand in a set of labels and wait until all of it or nothing is taken.

    What may be handed in, and what is refused, is as in `taking.take_in`.
    """
    handed = LabelSet.hand_in(places.label_sets, labels)
    try:
        return _wait(places, deployment, handed)
    finally:
        handed.withdraw()


def _wait(places: Places, deployment: Deployment, handed: LabelSet) -> Taken:
    until = time.monotonic() + WAIT_S
    while (taken := handed.outcome()) is None:
        # Tried at each turn: the owner may have ended since the last one.
        with owning(places) as is_ours:
            if is_ours:
                take_waiting(places, deployment, Earlier(places, take))
        if is_ours:
            continue
        if time.monotonic() > until:
            raise LabelsError(
                f"The evidence writer has not taken the labels within {WAIT_S:.0f} s. Its log says what it "
                "does. Send them again: those that it took meanwhile count as duplicates."
            )
        time.sleep(LOOK_S)
    return taken


def pair_if_nobody_does(places: Places, deployment: Deployment, kinds: Kinds) -> None:
    """Pair what has come where no evidence writer runs that would."""
    with owning(places) as is_ours:
        if is_ours:
            pair(places, deployment, kinds)


class Owner:
    """Owns the labels' file for as long as its process lives: takes what is handed in, and pairs it.

    Parameters
    ----------
    kinds : callable
        Tells a lane's kind of output.
    """

    def __init__(self, places: Places, deployment: Deployment, kinds: Kinds) -> None:
        self._places, self._kinds = places, kinds
        self._followed = Followed(places, deployment)
        self._pair_at = 0.0
        self._earlier = Earlier(places, take)

    def run(self, stop: threading.Event) -> None:
        """Work until asked to stop, then once more, since the lanes have come to an end meanwhile."""
        while not stop.is_set():
            try:
                self._own(stop)
            except LabelsError as error:  # a full disk at start: there may be room later
                _log.warning("The labels' file cannot be owned. %s", error)
                stop.wait(PAIR_S)
            stop.wait(LOOK_S)

    def _own(self, stop: threading.Event) -> None:
        with owning(self._places) as is_ours:
            if is_ours:
                self._move()
            while is_ours and not stop.is_set():
                self.turn()
                stop.wait(LOOK_S)
            if is_ours:
                self._pair_at = 0.0
                self.turn()

    def _move(self) -> None:
        """Move labels that came before a former deployment lay in the archive; what fails waits for the next start."""
        try:
            move(self._places, self._followed.now(), self._earlier)
        except Exception as error:  # a damaged archive holds up no label of this deployment
            fault = fault_of(error)
            _log.warning(
                "labels of earlier deployments stay here: %s at %s", fault.type, fault.frame
            )

    def turn(self) -> None:
        """Take what waits, and now and then pair; whatever happens, the next turn tries again."""
        try:
            deployment = self._followed.now()
            found = take_waiting(self._places, deployment, self._earlier)
            if found or time.monotonic() >= self._pair_at:
                self._pair_at = time.monotonic() + PAIR_S
                pair(self._places, deployment, self._kinds)
        except Exception as error:  # a full disk, or a loss of the team's own
            fault = fault_of(error)
            _log.warning("labels cannot be paired now: %s at %s", fault.type, fault.frame)


def take_waiting(places: Places, deployment: Deployment, earlier: Earlier | None = None) -> int:
    """Take the sets in the inbox, each whole or not at all, and answer each; return how many there were.

    To be called by the owner of the labels' file.

    Parameters
    ----------
    earlier : Earlier, optional
        Asked for the requests that are unknown here.
    """
    found = waiting(places.label_sets)
    for handed in found:
        handed.answer(_outcome(places, deployment, handed, earlier))
    if found:
        forget_answers(places.label_sets)
    return len(found)


def _outcome(
    places: Places, deployment: Deployment, handed: LabelSet, earlier: Earlier | None
) -> Taken | ShadowserveError:
    try:
        return take_in(places, deployment, handed.labels(), earlier=earlier)
    except ShadowserveError as error:
        return error
    except Exception as error:  # whoever waits for it must hear that nothing was taken
        fault = fault_of(error)
        return LabelsError(f"No label was taken: {fault.type} at {fault.frame}.")


@contextmanager
def owning(places: Places) -> Iterator[bool]:
    """Try to own the labels' file for the length of a block; False where somebody else does.

    Raises
    ------
    LabelsError
        If the lock's file cannot be made.
    """
    try:
        # The kernel lets go of this lock when its process ends, however that ends.
        held = os.open(places.labels_lock, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise LabelsError(f"The labels cannot be handed in: {error}. Try again.") from error
    try:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(held)
