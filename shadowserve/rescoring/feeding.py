"""The feeder: a process that puts recorded requests into a rescoring's own journal, in their order, each once.

python -m shadowserve.rescoring.feeding .shadowserve/rescored/v3-v6-0123456789-1

What lies in the journal is not fed again, so it may be killed at any instant. It never goes far ahead of the
lanes: the journal would fill the disk.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path

import orjson
from setproctitle import setproctitle

from shadowserve import ambience
from shadowserve.errors import ShadowserveError, UnreachableError
from shadowserve.faults import fault_of
from shadowserve.host import priority, stopping
from shadowserve.host.leash import watch_parent
from shadowserve.host.private_log import PRINTS, silence_others
from shadowserve.journal import reader
from shadowserve.journal.segment_file import segments
from shadowserve.journal.writer import Writer
from shadowserve.lane.steady import BLOCK, WORKER
from shadowserve.records import PHASES, Request, Times
from shadowserve.rescoring.asked import Asked
from shadowserve.rescoring.champion import Champion
from shadowserve.state import deployment as deployments
from shadowserve.state import fed
from shadowserve.state.archive.traffic import Traffic
from shadowserve.state.counters import Counters
from shadowserve.state.deployment import Deployment
from shadowserve.state.files import write_whole
from shadowserve.state.places import Places

AHEAD_BYTES = 256 * 2**20
"""Of the journal: what lanes have not read by then is enough to keep them at work."""
WAIT_S = 0.05
MOST_BAD = 1_000
"""Bad rows that are told one by one."""
REFUSED = 2
_NO_TIMES = Times(phases_ns=(0,) * len(PHASES), batch_requests=0).pack()
"""What was recorded took its time elsewhere, and together with what nobody knows."""

_log = logging.getLogger("shadowserve.feeder")
_stopped = False


def main(arguments: Sequence[str]) -> int:
    """Feed one rescoring to its end; return the exit code."""
    places = Places.of_process(Path(arguments[0]))
    setproctitle(f"shadowserve feeder {places.root}")
    watch_parent(int(os.environ.get("SHADOWSERVE_PARENT", os.getppid())))
    stopping.heed(_stop, (signal.SIGTERM, signal.SIGINT, signal.SIGHUP))
    ambience.claim()
    deployment = deployments.read(places)
    if deployment is None:
        sys.stderr.write(f"No rescoring in {places.root}: 'shadowserve rescore' begins one.\n")
        return REFUSED
    silence_others(os.environ.get(PRINTS))
    try:
        feed(places, deployment, Asked.read(places), stopped=lambda: _stopped)
    except ShadowserveError as error:
        told = {"message": str(error), "exit_code": error.exit_code}
        write_whole(places.feeding, json.dumps(told))
        return REFUSED
    except Exception as error:
        fault = fault_of(error)
        _log.error("the feeder ended by %s at %s", fault.type, fault.frame)
        return 1
    return 0


def feed(
    places: Places,
    deployment: Deployment,
    asked: Asked,
    *,
    stopped: Callable[[], bool] = lambda: False,
) -> None:
    """Put all that is asked for into the journal, from where it ends.

    Raises
    ------
    ShadowserveError
        If the source cannot be read, or has a bad row.
    """
    traffic = asked.open(deployment.champion.signature)
    if traffic.identity != asked.identity:
        raise UnreachableError(
            f"Some of these requests have left {asked.source} since this was begun. Delete {places.root}, and begin anew."
        )
    champion = _champion(places, deployment, asked, traffic)
    priority.settle()
    places.label_rows.unlink(missing_ok=True)
    counters = Counters(places.counters(WORKER))
    before = counters.counts().sequence
    writer = Writer(places.journal, worker=WORKER, after=before)
    try:
        _catch_up(places, counters, upto=writer.sequence)
        for some in _blocks(_all(traffic, places), after=writer.sequence):
            while not stopped() and _journal_bytes(places) > AHEAD_BYTES:
                time.sleep(WAIT_S)
            if stopped():
                return
            made = [
                one._replace(position=writer.position(n), arrived_ns=0, times=_NO_TIMES)
                for n, one in enumerate(some)
            ]
            if champion is not None:
                made = list(champion.answered(made))
            writer.append(made)
            good = sum(one.status == 200 for one in made)
            counters.journal_step(
                answered=good,
                failed=len(made) - good,
                appended=len(made),
                append_failed=0,
                sequence=writer.sequence,
            )
        total = writer.sequence
    finally:
        writer.close()
        counters.close()
    bad = traffic.table.bad if traffic.table is not None else []
    rows = [{"row": one.row, "column": one.column} for one in bad[:MOST_BAD]]
    fed.tell(places, requests=total, bad_rows=len(bad), bad=rows)


def _champion(
    places: Places, deployment: Deployment, asked: Asked, traffic: Traffic
) -> Champion | None:
    """Return who answers anew; None where the recorded answers are taken."""
    if asked.rescore_champion or (traffic.table is not None and not traffic.table.answered):
        return Champion(places, deployment)
    number = deployment.champion.number
    known = Places(Path(asked.state_dir)).classes(number)
    if known.exists():  # whoever served it has told in which order its probabilities are
        target = places.classes(number)
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        shutil.copyfile(known, target)
    return None


def _all(traffic: Traffic, places: Places) -> Iterator[Request]:
    """Yield all requests from the beginning, and keep their labels."""
    for some in traffic.read():
        if traffic.table is not None and traffic.table.labels:
            with os.fdopen(_opened(places.label_rows), "ab") as file:
                for request_id, label in traffic.table.labels:
                    file.write(orjson.dumps({"request_id": request_id, "label": label}) + b"\n")
        yield from some


def _opened(path: Path) -> int:
    return os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)


def _blocks(requests: Iterator[Request], *, after: int) -> Iterator[list[Request]]:
    """Yield what comes after so many, in the blocks in which lanes read."""
    rest = islice(requests, after, None)
    while some := list(islice(rest, BLOCK - after % BLOCK)):
        yield some
        after += len(some)


def _catch_up(places: Places, counters: Counters, *, upto: int) -> None:
    """Count what a killed feeder has journaled and not counted."""
    counts = counters.counts()
    if upto <= counts.sequence:
        return
    found = reader.statuses(places.journal, worker=WORKER, after=counts.sequence, upto=upto)
    total = sum(found.values())
    answered = found.get(200, 0)
    counters.journal_step(
        answered=answered, failed=total - answered, appended=total, append_failed=0, sequence=upto
    )


def _journal_bytes(places: Places) -> int:
    return sum(segment.bytes for segment in segments(places.journal))


def _stop() -> None:
    global _stopped
    _stopped = True


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
