"""What Prometheus sees at the console: lanes, what reports say, and how old the evidence is.

The data plane tells of callers and times and never waits for any of this. Series are bounded by the
deployment: its lanes, its challengers, and our own words.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from shadowserve.judgement.findings.finding import Severity
from shadowserve.judgement.verdict import Verdict
from shadowserve.records import Outcome
from shadowserve.state import arrival, ledger
from shadowserve.state import deployment as deployments
from shadowserve.state.deployment import Deployment
from shadowserve.state.lane_condition import STATES
from shadowserve.state.lane_reading import oldest_closed_ns
from shadowserve.state.ledger_entries import LaneLedger
from shadowserve.state.metrics import of_deployment
from shadowserve.state.places import Places

KEPT_S = 5.0
"""How long a reading is told again: anybody may ask."""

_LANE = ("role", "version")

Reports = Mapping[int, Mapping[str, Any] | None]


class Exposition:
    """Tells a state directory's facts in Prometheus's text form.

    Parameters
    ----------
    places : Places
        The state directory; nothing in it is written.
    """

    def __init__(self, places: Places) -> None:
        self._places = places
        self._reading = threading.Lock()
        self._text, self._until = b"", 0.0

    def text(self, reports: Reports) -> bytes:
        """Return all series; what was read a moment ago is told again.

        Parameters
        ----------
        reports : mapping of version number to report
            Of each challenger; None where there is none to be had.

        Raises
        ------
        ShadowserveError
            If the state directory cannot be read.
        """
        with self._reading:  # several scrapers share one reading
            if time.monotonic() >= self._until:
                registry = CollectorRegistry()
                registry.register(_Read(self._places, reports))
                self._text = generate_latest(registry)
                self._until = time.monotonic() + KEPT_S
            return self._text


class _Read:
    """One reading, as a collector."""

    def __init__(self, places: Places, reports: Reports) -> None:
        self._places = places
        self._reports = reports

    def describe(self) -> list[Metric]:
        """Name nothing beforehand: a registry would read everything to learn the names."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Read and tell."""
        yield from of_deployment(self._places)
        deployment = deployments.read(self._places)
        if deployment is None:
            return
        yield _info(deployment)
        seen = ledger.read(self._places, deployment)
        yield from _lanes(seen.lanes)
        yield GaugeMetricFamily(
            "shadowserve_ledger_balanced",
            "1 while every request has exactly one outcome in every lane.",
            value=float(seen.balanced),
        )
        yield GaugeMetricFamily(
            "shadowserve_evidence_age_seconds",
            "Age of the oldest closed window that has not arrived in MLflow; 0 where none waits.",
            value=_age_s(self._places, deployment),
        )
        yield from _reports(self._reports)


def _info(deployment: Deployment) -> Metric:
    names = ("deployment", "model", "champion")
    family = GaugeMetricFamily("shadowserve_deployment_info", "1, of what is served.", labels=names)
    family.add_metric([deployment.id, deployment.model, str(deployment.champion.number)], 1.0)
    return family


def _lanes(lanes: tuple[LaneLedger, ...]) -> Iterator[Metric]:
    pending = GaugeMetricFamily(
        "shadowserve_lane_pending_requests", "Requests a lane has not scored yet.", labels=_LANE
    )
    lag = GaugeMetricFamily(
        "shadowserve_lane_lag_seconds",
        "Age of the oldest request that a lane has not scored; 0 where none waits.",
        labels=_LANE,
    )
    state = GaugeMetricFamily(
        "shadowserve_lane_state", "1 for the state a lane is in, else 0.", labels=[*_LANE, "state"]
    )
    counted = CounterMetricFamily(
        "shadowserve_lane_requests",
        "Requests by what became of them in a lane.",
        labels=[*_LANE, "outcome"],
    )
    for lane in lanes:
        who = [lane.name.role.value, str(lane.name.version)]
        pending.add_metric(who, lane.pending)
        lag.add_metric(who, lane.lag_seconds)
        for name in STATES:
            state.add_metric([*who, name], float(lane.state == name))
        for outcome in Outcome:
            counted.add_metric([*who, outcome.value], lane.outcomes.get(outcome, 0))
    yield from (pending, lag, state, counted)


def _age_s(places: Places, deployment: Deployment) -> float:
    arrived = arrival.delivered(places.arrival)
    closed = [
        oldest_closed_ns(
            places.lane(lane.role, lane.version, lane.stay).state,
            after=arrived.get(str(lane), 0) - 1,
        )
        for lane in deployment.lanes
    ]
    oldest = min((at_ns for at_ns in closed if at_ns is not None), default=None)
    # A clock that was set back makes nothing younger than now.
    return 0.0 if oldest is None else max(0.0, (time.time_ns() - oldest) / 1e9)


def _reports(reports: Reports) -> Iterator[Metric]:
    own = ["challenger"]
    readable = GaugeMetricFamily(
        "shadowserve_report_readable", "1 where the report can be built, else 0.", labels=own
    )
    verdict = GaugeMetricFamily(
        "shadowserve_verdict", "1 for the verdict that holds, else 0.", labels=[*own, "verdict"]
    )
    findings = GaugeMetricFamily(
        "shadowserve_findings", "Findings by how bad they are.", labels=[*own, "severity"]
    )
    compared = CounterMetricFamily(
        "shadowserve_compared_requests", "Requests that both versions answered.", labels=own
    )
    apart = GaugeMetricFamily(
        "shadowserve_disagreement_ratio",
        "Mean disagreement of all compared requests: 0 same, 1 disjoint.",
        labels=own,
    )
    noise = GaugeMetricFamily(
        "shadowserve_noise_floor_ratio",
        "The same of the control: what the champion's version disagrees with itself.",
        labels=own,
    )
    for number, report in reports.items():
        who = [str(number)]
        readable.add_metric(who, float(report is not None))
        if report is None:
            continue
        for name in Verdict:
            verdict.add_metric([*who, name.value], float(report["verdict"] == name.value))
        # What the team lives with calls nobody, however bad it is.
        open_ = [one for one in report["findings"] if not (one["accepted"] or {}).get("holds")]
        for severity in Severity:
            found = [one for one in open_ if one["severity"] == severity.value]
            findings.add_metric([*who, severity.value], len(found))
        findings.add_metric([*who, "accepted"], len(report["findings"]) - len(open_))
        compared.add_metric(who, report["compared"])
        told = report["divergence"]
        for family, value in (
            (apart, (told.get("disagreement") or {}).get("mean")),
            (noise, told.get("noise_floor")),
        ):
            if value is not None:
                family.add_metric(who, value)
    yield from (readable, verdict, findings, compared, apart, noise)
