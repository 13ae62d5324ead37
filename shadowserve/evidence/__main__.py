"""The evidence writer's process: ``python -m shadowserve.evidence``, started by the supervisor.

It works until SIGTERM, then brings what is left within a deadline, and says what it could not. It lives as
long as the deployment, so it owns the labels' file too.
"""

from __future__ import annotations

import fcntl
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from setproctitle import setproctitle

from shadowserve.comparison.outputs import kind_compared
from shadowserve.evidence.carrying import Carrier
from shadowserve.faults import fault_of
from shadowserve.host import priority, stages
from shadowserve.host.leash import watch_parent
from shadowserve.labels import Owner
from shadowserve.state import beginnings
from shadowserve.state import deployment as deployments
from shadowserve.state.deployment import Deployment
from shadowserve.state.places import Places
from shadowserve.versions.stores import redact

if TYPE_CHECKING:
    from shadowserve.report.memory import Memory

FLUSH_S = 15.0
PAIR_S = 3.0
"""How long an end waits until the last labels have been paired."""

_log = logging.getLogger("shadowserve.evidence")
_stop = threading.Event()
_stopped_at = float("inf")


class _Discreet(logging.Formatter):
    """Hides credentials in whatever is logged here, by whomever."""

    def format(self, record: logging.LogRecord) -> str:
        return redact(super().format(record))


def main() -> int:
    """Carry evidence until SIGTERM; return the exit code."""
    stages.reached("imports")
    places = Places.of_process(Path(os.environ["SHADOWSERVE_STATE_DIR"]))
    setproctitle(f"shadowserve evidence {places.root}")
    watch_parent(int(os.environ.get("SHADOWSERVE_PARENT", os.getppid())))
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, _on_signal)
    _talk()
    # The lock first: a writer of an earlier start may still be bringing its last.
    held = _claim(places)
    deployment = _wait_for(places, os.environ["SHADOWSERVE_START"])
    if held is None or deployment is None:
        return 0
    carrier = Carrier(places, deployment, report=_Reports(deployment.id))
    threading.Thread(target=_end_by_deadline, args=(carrier,), daemon=True).start()
    owner = Owner(places, deployment, kind_compared)
    labels = threading.Thread(target=owner.run, args=(_stop,), daemon=True)
    labels.start()
    carrier.run(_stop, loaded=lambda: _settle(places))
    labels.join(PAIR_S)
    carrier.flush(until=_stopped_at + FLUSH_S)
    carrier.say_what_is_left()
    return 0


def _settle(places: Places) -> None:
    """Step back, now that MLflow's client has been imported."""
    priority.settle()
    stages.reached("MLflow's client")
    beginnings.tell(places.scratch, "evidence")


class _Reports:
    """Builds reports; what it has read of the deployment that is served it need not read again."""

    def __init__(self, served: str) -> None:
        self._served = served
        self._memory: Memory | None = None

    def __call__(
        self, places: Places, deployment: Deployment, challenger: int
    ) -> Mapping[str, Any]:
        from shadowserve.report import build
        from shadowserve.report.memory import Memory

        self._memory = self._memory or Memory()
        memory = self._memory if deployment.id == self._served else None
        return build.build(places, deployment, challenger=challenger, memory=memory)


def _talk() -> None:
    """Send all talk, MLflow's too, through one handler that hides credentials.

    MLflow prints the address of a finished run, password and all: nothing here is printed.
    """
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    handler = logging.StreamHandler()
    handler.setFormatter(_Discreet("%(asctime)s %(levelname)s %(name)s %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    logging.captureWarnings(True)
    sys.excepthook = _last_words
    os.environ["MLFLOW_LOGGING_LEVEL"] = "ERROR"
    os.environ["MLFLOW_CONFIGURE_LOGGING"] = "false"


def _last_words(_kind: type[BaseException], error: BaseException, _trace: Any) -> None:
    """Tell what ended the process by type and place; its text may quote anything."""
    fault = fault_of(error)
    _log.error("ended by %s at %s", fault.type, fault.frame)


def _claim(places: Places) -> int | None:
    """Wait until no other writer works here; the lock goes with the process."""
    held = os.open(places.evidence_lock, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    while not _stop.is_set():
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _stop.wait(0.2)
        else:
            return held
    return None


def _wait_for(places: Places, start: str) -> Deployment | None:
    """Return the deployment of this start, not one that an earlier start left; None if stopped."""
    while not _stop.is_set():
        found = deployments.read(places)
        if found is not None and found.start == start:
            return found
        _stop.wait(0.1)
    return None


def _end_by_deadline(carrier: Carrier) -> None:
    """End the process some time after a stop was asked for, whatever call it hangs in."""
    _stop.wait()
    time.sleep(max(0.0, _stopped_at + FLUSH_S + 1.0 - time.monotonic()))
    carrier.say_what_is_left()
    os._exit(0)


def _on_signal(_number: int, _frame: FrameType | None) -> None:
    global _stopped_at
    _stopped_at = min(_stopped_at, time.monotonic())
    _stop.set()


if __name__ == "__main__":
    sys.exit(main())
