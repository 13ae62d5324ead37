"""Reading runs back from MLflow, for whoever looks at evidence rather than writes it."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from shadowserve.errors import RegistryError, ShadowserveError, UnreachableError
from shadowserve.evidence.undelivered import undelivered
from shadowserve.versions.stores import Uris, preflight, uris

_PAGE = 200


class Reader:
    """One tracking server or database, only read.

    Parameters
    ----------
    tracking_uri : str, optional
        MLflow's own variable or default if not given.

    Raises
    ------
    ShadowserveError
        If it does not exist or does not answer.
    """

    def __init__(self, tracking_uri: str | None = None) -> None:
        self.uri = uris(tracking_uri).tracking
        preflight(Uris(self.uri, self.uri))
        with self._telling("connecting"):
            from mlflow import MlflowClient

            self._client = MlflowClient(self.uri)

    @contextmanager
    def _telling(self, doing: str) -> Iterator[None]:
        try:
            yield
        except ShadowserveError:
            raise
        except Exception as error:
            told = undelivered(error, doing=doing, uri=self.uri)
            if told.code == "RESOURCE_DOES_NOT_EXIST":
                raise RegistryError(
                    f"{told} 'shadowserve.runs.lanes(model)' lists the runs."
                ) from error
            raise UnreachableError(str(told)) from error

    def runs(self, experiment: str) -> Iterator[Any]:
        """Yield the runs of an experiment, the newest first; none if there is no such experiment."""
        with self._telling("listing runs"):
            found = self._client.get_experiment_by_name(experiment)
            token = None
            while found is not None:
                page = self._client.search_runs(
                    [found.experiment_id],
                    max_results=_PAGE,
                    order_by=["attributes.start_time DESC"],
                    page_token=token,
                )
                yield from page
                token = page.token
                if not token:
                    return

    def history(self, run_id: str) -> Iterator[tuple[int, str, float]]:
        """Yield step, name and value of all metrics of a run, under their original names."""
        with self._telling("reading metrics"):
            stored = self._client.get_run(run_id).data.metrics
            original = {safe: name for name, safe in self._names(run_id).items()}
            for key in sorted(stored):
                for point in self._client.get_metric_history(run_id, key):
                    yield point.step, original.get(key, key), point.value

    @contextmanager
    def files(self, run_id: str, path: str) -> Iterator[list[Path]]:
        """Fetch an artifact, or all in a folder, for the length of a block; in the order of names.

        What lies on this machine's disk is not copied: it is only read.
        """
        with tempfile.TemporaryDirectory(prefix="shadowserve-") as scratch:
            with self._telling(f"reading {path}"):
                present = [one.path for one in self._client.list_artifacts(run_id)]
                fetched = []
                if path in present:
                    own = self._client.get_run(run_id).info.artifact_uri
                    local = urlsplit(own).scheme in ("", "file")
                    into = None if local else scratch
                    place = Path(self._client.download_artifacts(run_id, path, into))
                    fetched = sorted(place.iterdir()) if place.is_dir() else [place]
            yield fetched

    def _names(self, run_id: str) -> Mapping[str, str]:
        with self.files(run_id, "metric_names.json") as found:
            names: dict[str, str] = json.loads(found[0].read_text()) if found else {}
            return names
