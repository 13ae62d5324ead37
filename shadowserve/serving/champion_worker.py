"""The champion of a worker's process: loaded, warmed, and opened to the data plane."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from shadowserve.errors import StateError
from shadowserve.host import gc_freeze, stages
from shadowserve.records import Role
from shadowserve.serving import rehearsal
from shadowserve.serving.bentoml_worker import FIRST_VARIABLE, FORMER_VARIABLE
from shadowserve.serving.call_size import FIRST_ROWS
from shadowserve.serving.champion import Champion
from shadowserve.serving.dataplane import DataPlane
from shadowserve.serving.large_bodies import LargeBodies
from shadowserve.serving.patience import Patience
from shadowserve.serving.ready import Ready
from shadowserve.serving.worker_journal import WorkerJournal, sampling_of
from shadowserve.state import beginnings, classes, counters, sharing, threads
from shadowserve.state import deployment as deployments
from shadowserve.state.deployment import Deployment
from shadowserve.state.metrics import RoleMetrics, exposition, reserve
from shadowserve.state.places import Places
from shadowserve.state.refused import Refusals
from shadowserve.statistics import units
from shadowserve.versions import copies

REQUEST_S = float(os.environ.get("SHADOWSERVE_REQUEST_TIMEOUT", "60"))


class ChampionWorker:
    """The process's champion, its files and its patience: from the deployment file to ready.

    Parameters
    ----------
    give_up : callable
        Ends the process, whose model is in a call that does not end.
    """

    def __init__(self, give_up: Callable[[], None]) -> None:
        self.places = Places.of_process(Path(os.environ["SHADOWSERVE_STATE_DIR"]))
        self.worker = int(os.environ["SHADOWSERVE_WORKER"])
        first = int(os.environ.get(FIRST_VARIABLE, "0"))
        self.peers: Sequence[int] = range(first, first + int(os.environ["SHADOWSERVE_WORKERS"]))
        self.journal = WorkerJournal(self.places, self.worker)
        self.counters = self.journal.counters
        # The file outlives its process: what a killed one left must not be told of this one.
        for name in ("busy_ns", "beat_ns", "in_hand"):
            self.counters.set(name, 0)
        self._give_up = give_up
        self.champion: Champion | None = None
        self._scorer: Any = None
        self._digest: str | None = None
        self.patience: Patience | None = None
        self.large: LargeBodies | None = None

    def _refusals(self, deployment: Deployment) -> Refusals | None:
        """Return what keeps refused requests, where a challenger may try them."""
        hides = deployment.options.disclosure(salt=deployment.salt).hides
        # Refused bodies are kept as they came, which a deployment that hides values rules out.
        if hides or not deployment.challengers:
            return None
        return Refusals(self.places.refused(self.worker))

    def all_ready(self) -> bool:
        """Whether every worker's process lives and has warmed its champion."""
        counts = [counters.read(self.places.counters(worker)) for worker in self.peers]
        return all(counted.ready and counted.alive for counted in counts)

    def metrics(self) -> bytes:
        """All workers' counts in Prometheus's text form."""
        return exposition(self.places, Path(os.environ["PROMETHEUS_MULTIPROC_DIR"]))

    def prepare(self) -> None:
        """Import what loading needs, which takes seconds, before it is known what is to be loaded."""
        from shadowserve.scorer import scoring  # imports scikit-learn and MLflow

        scoring.prepare()

    def load(self, plane: DataPlane, deployment: Deployment) -> Champion:
        """Load, warm, and open the data plane; what is returned is to be run on this thread."""
        from shadowserve.scorer import scoring

        number, self._digest = deployment.champion.number, deployment.champion.digest
        scorer = scoring.open_version(
            deployment.champion,
            copies.own(
                Path(deployment.files[number]), self.places.copies / f"champion-{self.worker}"
            ),
            options=deployment.options,
        )
        self.mark = sharing.Mark(
            self.places.mark(deployment.champion.digest, deployment.options.method)
        )
        # As many as in calls of unknown code, by what lanes have shown before.
        rows = scorer.sharing.rows(FIRST_ROWS)
        scorer = scoring.warm(scorer, most_rows=rows[self.mark.value])
        stages.reached("warming")
        former = os.environ.get(FORMER_VARIABLE)
        if former is not None and deployment.options.probe != "none":
            rehearsal.rehearse(scorer, Places(self.places.root, former), deployment)
            stages.reached("recorded requests")
        self._scorer = scorer
        sharing.tell(self.places.sharing(Role.CHAMPION, number), scorer.sharing)
        threads.tell(self.places.loaded(Role.CHAMPION, number), scorer.loaded.threads)
        classes.tell(self.places.classes(number), scorer.loaded.classes)
        steps = [name for name, _ in scorer.step_names]
        reserve(Path(os.environ["PROMETHEUS_MULTIPROC_DIR"]))
        metrics = RoleMetrics("champion", number, steps=steps)
        self.champion = Champion(
            scorer,
            self.journal.open(scorer.step_names),
            counters=self.counters,
            metrics=metrics,
            mark=self.mark.cell,
        )
        self.patience = Patience(
            self.champion, self.counters, timeout_s=REQUEST_S, give_up=self._give_up
        )
        self.large = LargeBodies(
            scorer.schema,
            model=deployment.model,
            version=number,
            title=f"shadowserve parser {self.worker} {self.places.root}",
        )
        # Only now is all there that lives as long as the process.
        gc_freeze.settle()
        plane.open(self._ready(deployment, self.champion))
        # Last: the server begins to listen once this is set.
        self.counters.set("ready", 1)
        stages.reached("opening")
        beginnings.tell(self.places.scratch, f"champion-{self.worker}")
        return self.champion

    def _ready(self, deployment: Deployment, champion: Champion) -> Ready:
        header = deployment.options.entity_header
        return Ready(
            model=deployment.model,
            version=deployment.champion.number,
            champion=champion,
            schema=self._scorer.schema,
            sampling=sampling_of(deployment),
            strict_json=deployment.options.strict_json,
            refusals=self._refusals(deployment),
            entity_of=units.entity_header(header, salt=deployment.salt) or units.nobody,
            large=self.large,
            former=deployment.former,
        )

    def rest(self) -> None:
        """Keep the champion loaded and write no deployment's files any more; nothing may be in hand."""
        self.journal.close()
        kept = self.places.scratch / f"rests-{os.getpid()}"
        self.journal.count_in(kept.with_suffix(".bin"), names=kept.with_suffix(".names"))

    def return_to(self, plane: DataPlane, own: str, worker: int) -> None:
        """Serve again after a rest, as a worker of another deployment of the same version.

        Raises
        ------
        StateError
            If that deployment has another champion than the one that is loaded.
        """
        places = Places(self.places.root, own)
        deployment = deployments.read(places)
        scorer, champion = self._scorer, self.champion
        if deployment is None or champion is None or deployment.champion.digest != self._digest:
            raise StateError(f"{places.deployment} has another champion than this worker.")
        self.places, self.worker = places, worker
        self.journal.move(places, worker)
        sharing.tell(places.sharing(Role.CHAMPION, deployment.champion.number), scorer.sharing)
        threads.tell(
            places.loaded(Role.CHAMPION, deployment.champion.number), scorer.loaded.threads
        )
        classes.tell(places.classes(deployment.champion.number), scorer.loaded.classes)
        champion.record_with(self.journal.open(scorer.step_names))
        plane.open(self._ready(deployment, champion))
        self.counters.set("ready", 1)

    def close(self) -> None:
        """Finish what is in line, then seal the journal."""
        self.counters.set("ready", 0)
        if self.champion is not None:
            self.champion.close()
        self.journal.close()  # what is answered is sealed before anything is waited for
        if self.large is not None:
            self.large.close()
