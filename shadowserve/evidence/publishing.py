"""What a run shows besides its windows: report, figures, tables of requests, verdict, and notes in words."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import orjson

from shadowserve.evidence import figures, notes, tables
from shadowserve.evidence.lane_runs import LaneRuns
from shadowserve.evidence.sink import Sink
from shadowserve.evidence.undelivered import UndeliveredError
from shadowserve.records import Role
from shadowserve.report import page
from shadowserve.state.deployment import Deployment, LaneName
from shadowserve.state.lane_reading import series
from shadowserve.state.places import Places

VERDICT = "shadowserve.verdict"
RESTARTS = "shadowserve.restarts"
"""How often processes of lanes ended and were started again."""
MOST_WINDOWS = 720
"""Windows that the figure of divergence shows; of more it shows every second one, every fourth, …"""

_log = logging.getLogger("shadowserve.evidence")


def publish_tables(store: Sink, run_id: str, summaries: Mapping[str, bytes]) -> None:
    """Bring the slowest and the furthest requests up to date.

    Parameters
    ----------
    summaries : mapping of name to bytes
        As the lane's snapshot holds them.
    """
    made = {
        "slow_requests.json": tables.slow_requests(summaries),
        "worst_requests.json": tables.worst_requests(summaries),
    }
    for name, table in made.items():
        store.put_text(run_id, orjson.dumps(table).decode(), name)


def report_files(
    report: Mapping[str, Any], places: Places, deployment: Deployment
) -> dict[str, str]:
    """Return a report's artifacts by name: for programs, for people, and as pictures."""
    options = orjson.OPT_INDENT_2 | orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS
    text = orjson.dumps(report, option=options).decode()
    drawn = {
        "divergence": _divergence(report, places, deployment),
        "steps": figures.steps(report.get("features", ())),
        "growth": figures.growth(report.get("features", ()), report.get("slow_requests", ())),
    }
    pictures = {f"figures/{name}.svg": svg for name, svg in drawn.items() if svg is not None}
    return {"report.json": text, "report.html": page.render(report), **pictures}


def _divergence(report: Mapping[str, Any], places: Places, deployment: Deployment) -> str | None:
    shown = deployment.lane_of(int(report["challenger"])) if "challenger" in report else None
    lanes = {
        lane.role.value: [
            figures.Moment(at_ns / 1e9, value)
            for at_ns, value in series(
                places.lane(lane.role, lane.version, lane.stay).state,
                "divergence/disagreement",
                most=MOST_WINDOWS,
            )
        ]
        for lane in (*deployment.lanes, *deployment.left_lanes)
        if lane.role is Role.CONTROL or lane == shown
    }
    names = {
        "challenger": f"{deployment.label_of(shown) if shown else 'none'} beside v{deployment.champion.number}",
        "control": "control: the noise floor",
    }
    return figures.divergence(lanes, names=names)


def publish_notes(
    lane: LaneName, runs: LaneRuns, deployment: Deployment, report: Mapping[str, Any] | None
) -> None:
    """Bring a run's note up to date, and what the version's page says, where rights allow.

    Parameters
    ----------
    report : mapping, optional
        A challenger's; without a verdict in it nothing is said.
    """
    run_id = runs.of(lane)
    where = {"experiment_id": runs.experiment, "run_id": run_id}
    if lane.role is Role.CONTROL:
        runs.store.annotate(run_id, notes.of_control(deployment, **where))
        return
    if not report or not (verdict := report.get("verdict")):
        return
    runs.store.annotate(run_id, notes.of_run(deployment, lane, report, **where))
    version = deployment.version_of(lane)
    try:
        runs.store.tag_version(
            version.model,
            version.number,
            run_id=version.run_id,
            tags={VERDICT: str(verdict), "shadowserve.run_id": run_id},
            note=notes.of_version(deployment, report, **where),
        )
    except UndeliveredError as error:
        _log.info("v%d is not tagged in the registry: %s", lane.version, error)
