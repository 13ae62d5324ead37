"""Evidence for notebooks: lanes, comparisons, metrics and reports as data frames and dicts.

Everything comes from MLflow, where a lane's run holds it, except `local_comparisons` and
`scan_local_comparisons`, which read the parts where the lane wrote them, and `replay_request`, which reads the journal.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shadowserve.errors import RegistryError
from shadowserve.runs.replay import Replayed, replay_request, replayable_requests
from shadowserve.runs.scan import Comparisons
from shadowserve.state.places import LanePlaces, Places

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "Comparisons", "Replayed", "comparisons", "lanes", "local_comparisons", "read_report", "replay_request",
    "replayable_requests", "scan_comparisons", "scan_local_comparisons", "window_metrics",
]  # fmt: skip

Folder = str | os.PathLike[str]
Columns = Sequence[str] | None
"""Which columns; None for all."""

Where = str | None
"""A condition in SQL; None for none."""


def lanes(model: str, tracking_uri: str | None = None) -> pd.DataFrame:
    """Return the runs of a model's lanes, the newest first.

    Parameters
    ----------
    model : str
        Registered name.
    tracking_uri : str, optional
        ``MLFLOW_TRACKING_URI``, else ``mlflow.db`` in the working directory, if not given.

    Returns
    -------
    DataFrame
        One row a run: ``run_id, name, role, champion, challenger, started, status, verdict,
        deployment, requests``. `started` is UTC; `requests` those of the whole run. No row if
        nothing was served yet.
    """
    import pandas as pd

    from shadowserve.evidence.reading import Reader

    rows = [
        {
            "run_id": run.info.run_id,
            "name": run.info.run_name,
            **{name: run.data.params.get(name) for name in ("role", "champion", "challenger")},
            "started": datetime.fromtimestamp(run.info.start_time / 1000, UTC),
            "status": run.info.status,
            "verdict": run.data.tags.get("shadowserve.verdict"),
            "deployment": run.data.tags.get("shadowserve.deployment"),
            "requests": _requests(run.data.metrics),
        }
        for run in Reader(tracking_uri).runs(f"shadowserve/{model}")
    ]
    return pd.DataFrame(rows, columns=_LANES)


_LANES = [
    "run_id", "name", "role", "champion", "challenger", "started", "status", "verdict", "deployment",
    "requests",
]  # fmt: skip


def comparisons(
    run_id: str, tracking_uri: str | None = None, *, columns: Columns = None, where: Where = None
) -> pd.DataFrame:
    """Return the comparisons that a run holds, in the order of positions.

    Parameters
    ----------
    run_id : str
        As `lanes` lists it.
    tracking_uri : str, optional
        As in `lanes`.
    columns : sequence of str, optional
        Which columns; all if not given. What is not asked for is not read.
    where : str, optional
        A condition in SQL, such as ``"disagreement > 0.5"``.

    Returns
    -------
    DataFrame
        One row a request; columns as in `shadowserve.lane.tables.SCHEMA`. Steps, divergences and
        sizes are dicts by name; predictions are JSON texts. Times are milliseconds; `disagreement`
        is 0 same, 1 disjoint, NaN where one side did not answer.

    Raises
    ------
    QueryError
        If a column is unknown or the condition is refused.

    See Also
    --------
    scan_comparisons : asks millions of comparisons without a frame of them all.
    """
    with scan_comparisons(run_id, tracking_uri) as found:
        return found.frame(columns, where=where)


def local_comparisons(
    state_dir: Folder, lane: str, *, columns: Columns = None, where: Where = None
) -> pd.DataFrame:
    """Return the comparisons whose parts lie in a state directory, as `comparisons` does.

    Parameters
    ----------
    state_dir : path
        What ``serve --state-dir`` was given.
    lane : str
        Role and version, such as ``"challenger v4"``.
    columns, where : optional
        As in `comparisons`.

    Raises
    ------
    RegistryError
        If the directory holds no such lane.
    QueryError
        As in `comparisons`.
    """
    with scan_local_comparisons(state_dir, lane) as found:
        return found.frame(columns, where=where)


def scan_comparisons(run_id: str, tracking_uri: str | None = None) -> Comparisons:
    """Return a run's comparisons to be asked in SQL, by columns or in batches.

    Parameters
    ----------
    run_id, tracking_uri : str
        As in `comparisons`.

    Returns
    -------
    Comparisons
        To be used in a ``with`` block. Artifacts on a local disk are read where they lie; those of a
        server are fetched, and deleted with the block's end.
    """
    from shadowserve.evidence.reading import Reader

    with ExitStack() as holding:
        parts = holding.enter_context(Reader(tracking_uri).files(run_id, "comparisons"))
        return Comparisons(parts, holding=holding.pop_all())


def scan_local_comparisons(state_dir: Folder, lane: str) -> Comparisons:
    """Return the comparisons that lie in a state directory, as `scan_comparisons` does.

    Parameters
    ----------
    state_dir, lane : str
        As in `local_comparisons`.

    Raises
    ------
    RegistryError
        If the directory holds no such lane.
    """
    folder = Places(Path(state_dir)).lanes
    place = folder / lane.replace(" ", "-")
    if not place.is_dir():
        known = sorted(path.name.replace("-", " ") for path in folder.glob("*/"))
        raise RegistryError(
            f"No lane {lane!r} in {state_dir}. It holds: {', '.join(known) or 'none'}."
        )
    return Comparisons(sorted(LanePlaces(place).parts.glob("*.parquet")))


def window_metrics(run_id: str, tracking_uri: str | None = None) -> pd.DataFrame:
    """Return a run's metrics by window.

    Parameters
    ----------
    run_id, tracking_uri : str
        The run, and where it is, as in `comparisons`.

    Returns
    -------
    DataFrame
        ``step`` (number of the window), ``name`` (as the lane named it, also where MLflow could not
        take that name), ``value``; sorted by name and step.
    """
    import pandas as pd

    from shadowserve.evidence.reading import Reader

    found = pd.DataFrame(Reader(tracking_uri).history(run_id), columns=["step", "name", "value"])
    return found.sort_values(["name", "step"], ignore_index=True)


def read_report(run_id: str, tracking_uri: str | None = None) -> dict[str, Any]:
    """Return a challenger's report as it was last published.

    Parameters
    ----------
    run_id, tracking_uri : str
        As in `comparisons`.

    Raises
    ------
    RegistryError
        If the run holds no report: a control has none, a lane's comes some seconds after its start.
    """
    from shadowserve.evidence.reading import Reader

    with Reader(tracking_uri).files(run_id, "report.json") as found:
        if not found:
            raise RegistryError(
                f"Run {run_id} holds no report. Take a challenger's run from "
                "'shadowserve.runs.lanes(model)', or wait for its first report."
            )
        told: dict[str, Any] = json.loads(found[0].read_text())
        return told


def _requests(metrics: Mapping[str, float]) -> float | None:
    """Return the requests of a whole run; of its last window where an earlier release wrote it."""
    return metrics.get("total/requests", metrics.get("ledger/requests"))
