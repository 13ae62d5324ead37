"""The process that archives: ``python -m shadowserve.archive``, started where `--keep-journal` says so.

Asked to end, it packs what is sealed by then, as far as it comes; the rest waits in the journal for the next start.
"""

from __future__ import annotations

import fcntl
import logging
import os
import signal
import sys
import threading
import time
from pathlib import Path

from setproctitle import setproctitle

from shadowserve.archive.archivist import Archivist
from shadowserve.host import priority
from shadowserve.host.leash import watch_parent
from shadowserve.settings.keeping import keep
from shadowserve.settings.vocabulary import ARCHIVE_KEEPS
from shadowserve.state import deployment as deployments
from shadowserve.state.places import Places

TURN_S = 1.0
FLUSH_S = 10.0

_stop = threading.Event()


def main() -> int:
    """Archive until SIGTERM; return the exit code."""
    places = Places(Path(os.environ["SHADOWSERVE_STATE_DIR"]))
    setproctitle(f"shadowserve archivist {places.root}")
    watch_parent(int(os.environ.get("SHADOWSERVE_PARENT", os.getppid())))
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: _stop.set())
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    priority.load()
    places.journal_archive.mkdir(mode=0o700, exist_ok=True)
    held = os.open(
        places.journal_archive / "lock",
        os.O_CREAT | os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW,
        0o600,
    )
    fcntl.flock(held, fcntl.LOCK_EX)  # one of an earlier start may still be packing
    start, wanted = os.environ["SHADOWSERVE_START"], keep(os.environ[ARCHIVE_KEEPS])
    while (deployment := deployments.read(places)) is None or deployment.start != start:
        if _stop.wait(0.1):
            return 0
    assert wanted is not None
    archivist = Archivist(places, deployment, wanted)
    archivist.begin()
    while not _stop.is_set():
        if not archivist.turn():
            _stop.wait(TURN_S)
    until = time.monotonic() + FLUSH_S
    while time.monotonic() < until and archivist.turn():
        pass
    return 0


if __name__ == "__main__":
    sys.exit(main())
