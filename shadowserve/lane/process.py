"""The lane's process: from its arguments to a lane at work, and its end.

python -m shadowserve.lane.process challenger v4 .shadowserve
"""

from __future__ import annotations

import errno
import logging
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from setproctitle import setproctitle

from shadowserve import ambience
from shadowserve.errors import ShadowserveError, UnreadableError
from shadowserve.faults import fault_of, tell
from shadowserve.host import gc_freeze, priority, stages, stopping
from shadowserve.host.leash import watch_parent
from shadowserve.host.private_log import PRINTS, silence_others
from shadowserve.lane.building import build
from shadowserve.records import Role
from shadowserve.state import beginnings
from shadowserve.state import deployment as deployments
from shadowserve.state.deployment import LaneName
from shadowserve.state.inflight import GAVE_UP, NO_ROOM
from shadowserve.state.lane_condition import Condition
from shadowserve.state.lane_file import Unwritable
from shadowserve.state.places import Places

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)

_log = logging.getLogger("shadowserve.lane")
_stopped = False


def main(arguments: Sequence[str]) -> int:
    """Run one lane until SIGTERM; return the exit code."""
    stages.reached("imports")
    role, version, root = arguments
    places = Places.of_process(Path(root))
    setproctitle(f"shadowserve lane {role} {version} {root}")
    watch_parent(int(os.environ.get("SHADOWSERVE_PARENT", os.getppid())))
    stopping.heed(_stop, (signal.SIGTERM, signal.SIGINT, signal.SIGHUP))
    ambience.claim()
    deployment = deployments.read(places)
    if deployment is None:
        sys.stderr.write(f"No deployment in {root}: a lane is started by 'shadowserve serve'.\n")
        return 2
    name = deployment.lane_named(Role(role), int(version.removeprefix("v")))
    silence_others(os.environ.get(PRINTS))
    try:
        lane = build(name, places, deployment, stopping=lambda: _stopped)
    except BaseException as error:
        if _passes(error):
            return _no_room(name, error)
        _give_up(name, places, error)
        return GAVE_UP
    gc_freeze.settle()
    ambience.spare_collections()
    priority.settle()
    lane.parts.observer.scorer.settle(
        starved=lane.parts.inflight.starve, memory_bytes=lane.parts.memory_bytes
    )
    stages.reached("state")
    beginnings.tell(places.scratch, str(name))
    try:
        lane.run()
        if lane.parts.scorers is not None:
            lane.parts.scorers.close()
    except BaseException as error:  # also what a model lets a signal or a thread of its own raise
        if _passes(error):
            return _no_room(name, error)
        fault = fault_of(error)
        tell(_log, "lane %s ended by %s at %s", name, fault.type, fault.frame)
        lane.parts.inflight.clear()  # what a call raises is its request's outcome: this is no request's
        lane.say("starting", f"{fault.type} at {fault.frame}, between calls of the model")
        return 1
    return 0


def _give_up(name: LaneName, places: Places, error: BaseException) -> None:
    """Say in status why this lane cannot work; the champion goes on."""
    known = isinstance(error, ShadowserveError)
    reason = str(error) if known else f"{fault_of(error).type} at {fault_of(error).frame}"
    _log.error("lane %s cannot work: %s", name, reason)
    Condition("degraded", reason).write(places.lane(name.role, name.version, name.stay))


def _passes(error: BaseException) -> bool:
    """Tell whether a failure is the disk's and may pass: full, over a limit, read-only, locked, unreadable."""
    full = isinstance(error, OSError) and error.errno in _NO_ROOM
    return full or isinstance(error, Unwritable | UnreadableError)


def _no_room(name: LaneName, error: BaseException) -> int:
    """End for now: what was not committed is scored again once there is room."""
    fault = fault_of(error)
    _log.error("lane %s cannot keep its state: %s at %s", name, fault.type, fault.frame)
    return NO_ROOM


def _stop() -> None:
    global _stopped
    _stopped = True


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
