"""Exactly one MLflow run for each lane of a deployment, found again after any death."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime

from shadowserve.evidence import identity, notes
from shadowserve.evidence.shipped import Shipped
from shadowserve.evidence.sink import Sink
from shadowserve.evidence.undelivered import UndeliveredError
from shadowserve.records import Role
from shadowserve.state.deployment import Deployment, LaneName

_log = logging.getLogger("shadowserve.evidence")


@contextmanager
def _spared(what: str) -> Iterator[None]:
    """Go on where MLflow refuses what only adorns: an older server, or one without these rights."""
    try:
        yield
    except UndeliveredError as error:
        if error.kind == "sink_dead":
            raise
        _log.info("%s: %s", what, error)


class LaneRuns:
    """The runs of one deployment, over one connection.

    Parameters
    ----------
    store : Sink
        The connection.
    shipped : Shipped
        What earlier processes remembered.
    """

    def __init__(self, store: Sink, shipped: Shipped, deployment: Deployment) -> None:
        self.store = store
        self._shipped = shipped
        self.deployment = deployment
        self._open: dict[LaneName, str] = {}
        self._experiment: str | None = None

    @property
    def experiment(self) -> str:
        """Id of the experiment; looked up once."""
        if self._experiment is None:
            name = identity.experiment_name(self.deployment)
            found = self.store.experiment(name)
            text = notes.of_experiment(self.deployment, found)
            with _spared(f"experiment {name} has no note of ours"):
                self.store.annotate_experiment(found, text, tags=identity.VIEWS)
            self._experiment = found
        return self._experiment

    def of(self, lane: LaneName) -> str:
        """Return a lane's run, described and running: the remembered one, one found, or a new one.

        A run that MLflow no longer has is forgotten with all that it held.
        """
        if lane not in self._open:
            run_id = self._shipped.run_id(str(lane)) or self._make(lane)
            try:
                self._describe(lane, run_id)
            except UndeliveredError as error:
                # Only a run that is gone is replaced; one that is deleted can be restored, and its
                # history with it.
                if error.code != "RESOURCE_DOES_NOT_EXIST":
                    raise
                _log.warning("run %s of %s is gone; all windows go to a new one", run_id, lane)
                self._shipped.forget(str(lane))
                run_id = self._make(lane)
                self._describe(lane, run_id)
            with _spared(f"the run of {lane} is not linked to its models"):
                self.store.take_models(run_id, identity.models(self.deployment, lane))
            self._shipped.finish(str(lane), finished=False)
            self._open[lane] = run_id
        return self._open[lane]

    def doubt(self, lane: LaneName) -> None:
        """Look at a lane's run afresh before it is used again, and at the experiment."""
        self._open.pop(lane, None)
        self._experiment = None

    def finish(self, *, ended_ms: Mapping[LaneName, int] | None = None) -> None:
        """Mark all runs as finished; a later start of the same deployment takes them up again.

        Parameters
        ----------
        ended_ms : mapping of LaneName to int, optional
            When each ended, since the epoch; now if not given.
        """
        # Those in doubt too: a refused window keeps none going on.
        for lane in (*self.deployment.lanes, *self.deployment.left_lanes):
            self.finish_one(lane, ended_ms=(ended_ms or {}).get(lane))

    def finish_one(self, lane: LaneName, *, ended_ms: int | None = None) -> None:
        """Mark a lane's run as finished, if it has one that goes on."""
        run_id = self._shipped.run_id(str(lane))
        if run_id is not None and not self._shipped.is_finished(str(lane)):
            self.store.finish(run_id, ended_ms=ended_ms)
            self._shipped.finish(str(lane))
            self._open.pop(lane, None)

    def _make(self, lane: LaneName) -> str:
        joined = None
        if lane.role is Role.CHALLENGER:
            joined = self.deployment.until(lane).stay_of(lane.version).joined
        started = datetime.fromisoformat(joined or self.deployment.started)
        run_id = self.store.run(
            self.experiment,
            name=identity.run_name(self.deployment, lane),
            key=identity.key(self.deployment, lane),
            tags=identity.tags(self.deployment, lane),
            started_ms=int(started.timestamp() * 1000),
        )
        self._shipped.begin(str(lane), run_id)
        return run_id

    def _describe(self, lane: LaneName, run_id: str) -> None:
        self.store.describe(
            run_id,
            tags=identity.tags(self.deployment, lane),
            params=identity.params(self.deployment, lane),
        )
