"""What a place for evidence must offer: one run for each lane, and what is written to it.

MLflow (`store.Store`) is one. Whatever a sink does not take raises `UndeliveredError`, and waits on disk.
Each call, made twice, must leave what it leaves when it is made once: that is what makes evidence exact.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from shadowserve.evidence.points import Point
from shadowserve.evidence.traces import Trace


class Sink(Protocol):
    """Takes a deployment's evidence, run by run."""

    def experiment(self, name: str) -> str:
        """Return the id of the experiment of a name, made if missing."""

    def run(
        self, experiment: str, *, name: str, key: str, tags: Mapping[str, str], started_ms: int
    ) -> str:
        """Return the id of the run that carries a key, made if missing."""

    def describe(self, run_id: str, *, tags: Mapping[str, str], params: Mapping[str, str]) -> None:
        """Set tags and missing parameters, and mark the run as running.

        Raises
        ------
        UndeliveredError
            With code ``RESOURCE_DOES_NOT_EXIST`` if there is no such run any more.
        """

    def log(self, run_id: str, points: Sequence[Point]) -> list[str]:
        """Store points and return the names of those that are refused, if any."""

    def put_file(self, run_id: str, path: Path, folder: str) -> None:
        """Store a file in a folder of the run; the same name is replaced."""

    def put_text(self, run_id: str, text: str, name: str) -> None:
        """Store a text as a file of the run; the same name is replaced."""

    def tag(self, run_id: str, tags: Mapping[str, str]) -> None:
        """Set tags of a run."""

    def finish(self, run_id: str, *, ended_ms: int | None = None) -> None:
        """Mark a run as finished, now or at another time since the epoch."""

    def prove(self, run_id: str, *, tags: Mapping[str, str], text: str, name: str) -> None:
        """Write tags and a text and read both back; raise where they do not come back."""

    def trace(self, experiment: str, traces: Sequence[Trace]) -> None:
        """Store traces; the same trace stored again is the same one."""

    def take_models(self, run_id: str, model_ids: Sequence[str]) -> None:
        """Note which models went into a run."""

    def annotate(self, run_id: str, text: str) -> None:
        """Bring our block of a run's note up to date; what others wrote there stays."""

    def annotate_experiment(self, experiment: str, text: str, *, tags: Mapping[str, str]) -> None:
        """Bring our block of an experiment's note, and tags, up to date."""

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

        Only if it is the one with this training run.
        """
