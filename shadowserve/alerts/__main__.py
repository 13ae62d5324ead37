"""The process that sends alerts: ``python -m shadowserve.alerts``, started where a webhook is set.

It heeds no signal to end: what it knows lies on disk at every moment.
"""

from __future__ import annotations

import fcntl
import logging
import os
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from setproctitle import setproctitle

from shadowserve.alerts import memory as memories
from shadowserve.alerts.looking import Looker
from shadowserve.alerts.memory import Memory
from shadowserve.alerts.sending import Sender
from shadowserve.faults import fault_of
from shadowserve.host.leash import watch_parent
from shadowserve.records import Role
from shadowserve.report import build
from shadowserve.report.memory import Memory as ReportMemory
from shadowserve.settings.alerting import Alerting
from shadowserve.state import deployment as deployments
from shadowserve.state.deployment import Deployment, LaneName
from shadowserve.state.following import Followed
from shadowserve.state.lane_reading import snapshot
from shadowserve.state.places import Places

TURN_S = 1.0
FILES_S = 5.0
REPORT_S = 15.0
"""How often lanes and evidence, and how often a report is looked at."""
AT_LEAST_S = 300.0
"""After how long a report is looked at though no request came: acceptances run out by themselves."""
SHARE = 0.03
"""What building reports may take of a CPU: in the long run a report costs more, and is looked at less often."""

_log = logging.getLogger("shadowserve.alerts")


class Alerts:
    """Looks at a deployment and tells a receiver what is new.

    Parameters
    ----------
    places : Places
    deployment : Deployment
    alerting : Alerting
    """

    def __init__(self, places: Places, deployment: Deployment, alerting: Alerting) -> None:
        self._places, self._followed = places, Followed(places, deployment)
        self._memory: Memory = memories.read(places, deployment.id)
        self._looker = Looker(
            places, deployment, self._memory, alerting.on, alerting.evidence_after
        )
        names = {
            "deployment": deployment.id,
            "model": deployment.model,
            "champion": deployment.champion.number,
        }
        self._sender = Sender(places, self._memory, alerting, names)
        self._files_at = self._report_at = 0.0
        self._seen: dict[LaneName, tuple[object, float]] = {}
        self._told = ""
        self._read = ReportMemory()

    def turn(self) -> None:
        """Look at what is due, and send what is due; whatever goes wrong is told once, and nothing ends."""
        self._looker.deployment = self._followed.now()
        for step in (self._look_at_files, self._look_at_reports, self._sender.turn):
            self._try(step)

    def _try(self, step: Callable[[], object]) -> None:
        try:
            step()
        except Exception as error:  # a file that cannot be read now must not stop what can be told
            fault = fault_of(error)
            told = f"{fault.type} at {fault.frame}"
            if told != self._told:
                _log.warning("%s", told)
            self._told = told

    def _look_at_files(self) -> None:
        if time.monotonic() < self._files_at:
            return
        self._files_at = time.monotonic() + FILES_S
        if self._looker.at_files():
            self._memory.write(self._places)

    def _look_at_reports(self) -> None:
        if time.monotonic() < self._report_at:
            return
        began = time.process_time()
        for name in self._looker.deployment.lanes:
            if name.role is not Role.CHALLENGER:
                continue
            self._try(partial(self._look_at, name))
        spent = time.process_time() - began
        self._report_at = time.monotonic() + max(REPORT_S, spent / SHARE)

    def _look_at(self, name: LaneName) -> None:
        """Look at a challenger's report where something may be new."""
        state = self._places.lane(name.role, name.version, name.stay).state
        news = (
            snapshot(state, whole=False).cursor,
            *map(_changed, (self._places.labels, self._places.accepted)),
        )
        known, at = self._seen.get(name, (None, 0.0))
        if news == known and time.monotonic() - at <= AT_LEAST_S:
            return
        self._seen[name] = (news, time.monotonic())
        report = build.build(
            self._places, self._looker.deployment, challenger=name.version, memory=self._read
        )
        if self._looker.at_report(name.version, report):
            self._memory.write(self._places)


def _changed(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


def main() -> None:
    """Send alerts until the supervisor ends it."""
    places = Places.of_process(Path(os.environ["SHADOWSERVE_STATE_DIR"]))
    setproctitle(f"shadowserve alerts {places.root}")
    watch_parent(int(os.environ.get("SHADOWSERVE_PARENT", os.getppid())))
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    alerting = Alerting.from_environment(os.environ)
    held = os.open(places.alerts_lock, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    # One of an earlier start may still be on its way out: two would tell everything twice.
    fcntl.flock(held, fcntl.LOCK_EX)
    start = os.environ["SHADOWSERVE_START"]
    while (deployment := deployments.read(places)) is None or deployment.start != start:
        time.sleep(0.1)
    # It keeps the claim that it was started with, and never sinks to the idle class: whoever reads a journal
    # holds its locks for an instant, and beside busy strangers an idle reader's instant lasts seconds.
    alerts = Alerts(places, deployment, alerting)
    while True:
        alerts.turn()
        time.sleep(TURN_S)


if __name__ == "__main__":
    main()
