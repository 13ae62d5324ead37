"""The calls to MLflow: each with an explicit address and run, none through MLflow's global state.

Whatever goes wrong comes out as `UndeliveredError`. Nothing is retried here, and no call waits longer
than the deadlines set below: patience is the writer's business.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from shadowserve.errors import ShadowserveError
from shadowserve.evidence.identity import changed
from shadowserve.evidence.notes import NOTE, with_block
from shadowserve.evidence.points import Point
from shadowserve.evidence.traces import Trace
from shadowserve.evidence.undelivered import UndeliveredError, undelivered
from shadowserve.versions.stores import Uris, preflight, redact, uris

MAX_POINTS = 1_000
"""MLflow's limit for one call."""

_SWITCHES = {
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "5",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    "MLFLOW_HTTP_RESPECT_RETRY_AFTER_HEADER": "false",
    "MLFLOW_ARTIFACT_UPLOAD_DOWNLOAD_TIMEOUT": "10",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ASYNC_LOGGING": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    # a pooled connection goes on writing into a file that was moved away or replaced
    "MLFLOW_SQLALCHEMYSTORE_POOLCLASS": "NullPool",
}
_POOL_SIZES = (
    "MLFLOW_SQLALCHEMYSTORE_POOL_SIZE",
    "MLFLOW_SQLALCHEMYSTORE_MAX_OVERFLOW",
    "MLFLOW_SQLALCHEMYSTORE_POOL_RECYCLE",
)


class Store:
    """The MLflow sink: one tracking server or database.

    Parameters
    ----------
    tracking_uri : str
        Must exist; an empty one is never made here.
    registry_uri : str, optional
        Where versions are tagged; the tracking address if not given.

    Raises
    ------
    UndeliveredError
        If it does not answer.
    """

    def __init__(self, tracking_uri: str, registry_uri: str | None = None) -> None:
        os.environ.update(_SWITCHES)
        for name in _POOL_SIZES:  # which no pool at all would refuse
            os.environ.pop(name, None)
        self.uri = tracking_uri
        addresses = uris(tracking_uri, registry_uri)
        try:
            preflight(Uris(addresses.tracking, addresses.tracking))
        except ShadowserveError as error:
            raise UndeliveredError(str(error), kind="sink_dead") from error
        with self._telling("connecting"):
            from mlflow import MlflowClient
            from mlflow.tracing.client import TracingClient

            self._client = MlflowClient(addresses.tracking, addresses.registry)
            self._tracing = TracingClient(addresses.tracking)

    @contextmanager
    def _telling(self, doing: str) -> Iterator[None]:
        try:
            yield
        except UndeliveredError:
            raise
        except Exception as error:
            raise undelivered(error, doing=doing, uri=self.uri) from error

    def experiment(self, name: str) -> str:
        """Return the id of the experiment of a name, made if missing."""
        with self._telling("opening the experiment"):
            found = self._client.get_experiment_by_name(name)
            if found is None:
                return str(self._client.create_experiment(name))
            if found.lifecycle_stage != "active":
                raise UndeliveredError(
                    f"Experiment {name!r} was deleted. 'mlflow experiments restore -x "
                    f"{found.experiment_id}' brings it back, and evidence goes on.",
                    kind="sink_error",
                    hopeless=True,
                )
            return str(found.experiment_id)

    def run(
        self, experiment: str, *, name: str, key: str, tags: Mapping[str, str], started_ms: int
    ) -> str:
        """Return the id of the run that carries a key, made if missing.

        The key goes in with the run, so that a run whose making was never confirmed is found again.
        """
        from mlflow.entities import ViewType

        with self._telling("opening the run"):
            # the key is hexadecimal, so that no name can end the quotation.
            # Among deleted ones too: such a run can be restored, so no other takes its place.
            found = self._client.search_runs(
                [experiment], f"tags.`{KEY}` = '{key}'", run_view_type=ViewType.ALL
            )
            if found:
                # A making that was never confirmed may have left two; all takers settle on the same
                # one.
                return str(min(run.info.run_id for run in found))
            made = self._client.create_run(
                experiment, start_time=started_ms, tags={**tags, KEY: key}, run_name=name
            )
            return str(made.info.run_id)

    def describe(self, run_id: str, *, tags: Mapping[str, str], params: Mapping[str, str]) -> None:
        """Set tags, and those parameters that the run does not have yet; mark it as running.

        Raises
        ------
        UndeliveredError
            With code ``RESOURCE_DOES_NOT_EXIST`` if there is no such run any more.
        """
        from mlflow.entities import Param, RunTag

        with self._telling("describing the run"):
            run = self._client.get_run(run_id)
            if run.info.lifecycle_stage != "active":
                raise UndeliveredError(
                    f"Run {run_id} was deleted. 'mlflow runs restore --run-id {run_id}' brings it "
                    "back, and evidence goes on.",
                    kind="sink_error",
                    hopeless=True,
                )
            # MLflow takes no second value of a parameter; tags tell of it.
            missing = [Param(k, v) for k, v in params.items() if k not in run.data.params]
            wanted = {**tags, **changed(params, run.data.params, run.data.tags)}
            given = [RunTag(k, v[:5_000]) for k, v in wanted.items() if run.data.tags.get(k) != v]
            self._client.log_batch(run_id, params=missing, tags=given)
            # A resumed deployment goes on with a run that had been finished.
            if run.info.status != "RUNNING":
                self._client.update_run(run_id, status="RUNNING")

    def log(self, run_id: str, points: Sequence[Point]) -> list[str]:
        """Store points and return the names of those that MLflow refuses, if any.

        Storing the same points again changes nothing.
        """
        refused: list[str] = []
        for start in range(0, len(points), MAX_POINTS):
            refused += self._log(run_id, points[start : start + MAX_POINTS])
        return refused

    def _log(self, run_id: str, points: Sequence[Point]) -> list[str]:
        """Store points; if they are refused, halve them until the one at fault is alone."""
        from mlflow.entities import Metric

        try:
            with self._telling("logging metrics"):
                metrics = [Metric(p.name, p.value, p.timestamp_ms, p.step) for p in points]
                self._client.log_batch(run_id, metrics=metrics)
        except UndeliveredError as error:
            if error.code not in ("INVALID_PARAMETER_VALUE", "BAD_REQUEST"):
                raise
            self.describe(run_id, tags={}, params={})  # a deleted run is no fault of the points
            if len(points) == 1:
                return [points[0].name]
            half = len(points) // 2
            return self._log(run_id, points[:half]) + self._log(run_id, points[half:])
        return []

    def put_file(self, run_id: str, path: Path, folder: str) -> None:
        """Store a file as an artifact; the same name is replaced."""
        with self._telling("storing an artifact"):
            self._client.log_artifact(run_id, str(path), folder)

    def put_text(self, run_id: str, text: str, name: str) -> None:
        """Store a text as an artifact; the same name is replaced."""
        with self._telling("storing an artifact"):
            self._client.log_text(run_id, text, name)

    def tag(self, run_id: str, tags: Mapping[str, str]) -> None:
        """Set tags of a run."""
        from mlflow.entities import RunTag

        with self._telling("tagging the run"):
            self._client.log_batch(run_id, tags=[RunTag(k, v) for k, v in tags.items()])

    def finish(self, run_id: str, *, ended_ms: int | None = None) -> None:
        """Mark a run as finished, now or at another time since the epoch."""
        with self._telling("ending the run"):
            self._client.set_terminated(run_id, "FINISHED", end_time=ended_ms)

    def prove(self, run_id: str, *, tags: Mapping[str, str], text: str, name: str) -> None:
        """Write tags and an artifact and read both back: what is taken must be there.

        Raises
        ------
        UndeliveredError
            Also where what was written does not come back.
        """
        self.tag(run_id, tags)
        self.put_text(run_id, text, name)
        with self._telling("reading back"):
            kept = self._client.get_run(run_id).data.tags
            with tempfile.TemporaryDirectory(prefix="shadowserve-") as scratch:
                place = Path(self._client.download_artifacts(run_id, name, scratch))
                same = place.read_text() == text
        if not same or any(kept.get(key) != value for key, value in tags.items()):
            what = "a run's tags" if same else "an artifact"
            raise UndeliveredError(
                f"{redact(self.uri)} took {what} and does not give back what was written. "
                "Check the server's stores.",
                kind="sink_error",
                hopeless=True,
            )

    def trace(self, experiment: str, traces: Sequence[Trace]) -> None:
        """Store traces; the same trace stored again is the same one."""
        from mlflow.entities import Span, TraceInfo, TraceLocation, TraceState

        with self._telling("storing traces"):
            place = TraceLocation.from_experiment_id(experiment)
            for info, _ in traces:
                state = TraceState(info["state"])
                self._tracing.start_trace(
                    TraceInfo(**{**info, "trace_location": place, "state": state})
                )
            spans = [Span.from_dict(span) for _, spans in traces for span in spans]
            self._tracing.log_spans(experiment, spans)

    def take_models(self, run_id: str, model_ids: Sequence[str]) -> None:
        """Note which logged models went into a run; MLflow keeps each once."""
        from mlflow.entities import LoggedModelInput

        with self._telling("linking the models"):
            known = {one.model_id for one in self._client.get_run(run_id).inputs.model_inputs}
            new = [LoggedModelInput(one) for one in dict.fromkeys(model_ids) if one not in known]
            if new:
                self._client.log_inputs(run_id, models=new)

    def annotate(self, run_id: str, text: str) -> None:
        """Bring our block of a run's note up to date; what others wrote there stays."""
        with self._telling("writing the run's note"):
            known = self._client.get_run(run_id).data.tags.get(NOTE, "")
            if (wanted := with_block(known, text)) != known:
                self._client.set_tag(run_id, NOTE, wanted)

    def annotate_experiment(self, experiment: str, text: str, *, tags: Mapping[str, str]) -> None:
        """Bring our block of an experiment's note, and tags, up to date."""
        with self._telling("writing the experiment's note"):
            known = self._client.get_experiment(experiment).tags
            wanted = {**tags, NOTE: with_block(known.get(NOTE, ""), text)}
            for name, value in wanted.items():
                if known.get(name) != value:
                    self._client.set_experiment_tag(experiment, name, value)

    def tag_version(
        self,
        model: str,
        number: int,
        *,
        run_id: str | None,
        tags: Mapping[str, str],
        note: str | None = None,
    ) -> None:
        """Tag a registered version, and bring our block of its description up to date.

        Only if it is the one with this training run. What others wrote in the description stays.
        """
        with self._telling("tagging the version"):
            version = self._client.get_model_version(model, str(number))
            if (version.run_id or None) != run_id:
                return
            for name, value in tags.items():
                if version.tags.get(name) != value:
                    self._client.set_model_version_tag(model, str(number), name, value)
            known = version.description or ""
            if note is not None and (wanted := with_block(known, note)) != known:
                self._client.update_model_version(model, str(number), wanted)


KEY = "shadowserve.key"
"""Tag that names a lane of a deployment; MLflow's query language can quote any value of it."""
