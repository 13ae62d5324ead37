"""What Prometheus sees: counts and times of all workers and lanes together.

Every process of a deployment observes into memory-mapped files in one directory, as the Prometheus
client does for several processes; any worker can add them up. Counts come from the workers' own
counters, so that they agree with the ledger.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector

from shadowserve.records import PHASES, Times
from shadowserve.state import arrival, counters, departed, ends, refusal_counts
from shadowserve.state import deployment as deployments
from shadowserve.state.counters import STAND_IN
from shadowserve.state.files import reserved
from shadowserve.state.histograms import TimeHistogram, path_of, series
from shadowserve.state.places import Places

_COUNTED = (
    "answered",
    "failed",
    "rejected",
    "overloaded",
    "client_gone",
    "turned_away",
    "not_ready",
    "timed_out",
    "lost",
    "replay_rejected",
    "appended",
    "append_failed",
)


_RESPONSE = (
    "shadowserve_response_seconds",
    "From a request's arrival to the last byte of its answer.",
)
_PHASE = ("shadowserve_phase_seconds", "Wall time of one phase of one request.")
_STEP = (
    "shadowserve_step_seconds",
    "Wall time of one featurization or inference step of one call.",
)

SERIES_BYTES = 2**20
"""What a process's series may weigh; blocks that are never written to hold no data, but are ours."""

_has_room = True


def reserve(directory: Path) -> None:
    """Give this process's series their blocks before they are mapped: a hole met on a full disk is fatal.

    Where there is no room the process goes on without series of its own.
    """
    global _has_room
    try:
        os.close(reserved(path_of(directory), SERIES_BYTES))
    except OSError:
        _has_room = False


class RoleMetrics:
    """One role's series, looked up once.

    Parameters
    ----------
    role : str
        champion, challenger or control.
    version : int
        The version scored.
    steps : sequence of str
        Names of the plan's steps, in its order.
    """

    def __init__(self, role: str, version: int, *, steps: Sequence[str]) -> None:
        # A mapped file grows when a series is made; on a full disk that would kill the process.
        phases: Sequence[str] = PHASES
        if not _has_room:
            phases, steps = (), ()
        whose, at = {"role": role, "version": str(version)}, _directory()
        self._phases = series(*_PHASE, each="phase", values=phases, directory=at, labels=whose)
        self._steps = series(*_STEP, each="step", values=steps, directory=at, labels=whose)

    def observe(self, times: Times) -> None:
        """Add one call's phases and steps."""
        for phase, spent_ns in zip(self._phases, times.phases_ns, strict=False):
            phase.observe(spent_ns)
        for step, spent_ns in zip(self._steps, times.wall_ns, strict=False):
            step.observe(spent_ns)


_responses: dict[int, TimeHistogram] = {}


def observe_response(status: int, spent_ns: int) -> None:
    """Add one answered request, from arrival to last byte."""
    if status not in _responses:
        where = _directory() if _has_room else None
        _responses[status] = TimeHistogram(*_RESPONSE, {"status": str(status)}, directory=where)
    _responses[status].observe(spent_ns)


def _directory() -> Path | None:
    """Return where the processes of a deployment map their series; None outside of one."""
    told = os.environ.get("PROMETHEUS_MULTIPROC_DIR")
    return None if told is None else Path(told)


def exposition(places: Places, directory: Path) -> bytes:
    """Return all processes' series in Prometheus's text form.

    Parameters
    ----------
    places : Places
        Of the deployment.
    directory : Path
        Where the processes map their series.
    """
    registry = CollectorRegistry()
    MultiProcessCollector(registry, path=str(directory))
    registry.register(_Counted(places))
    # A process that died meanwhile would be counted twice, or not at all, while it is merged.
    with departed.undisturbed(directory):
        return generate_latest(registry)


class _Counted:
    """The workers' counters as Prometheus counters."""

    def __init__(self, places: Places) -> None:
        self._places = places

    def collect(self) -> Iterator[Metric]:
        """Add up the workers."""
        # From the counters that the ledger reads: two accounts of one thing would differ one day.
        counted = [counters.read(path) for path in self._places.all_counters().values()]
        family = CounterMetricFamily(
            "shadowserve_requests", "Requests by what the data plane did.", labels=["outcome"]
        )
        for name in _COUNTED:
            family.add_metric([name], sum(getattr(counts, name) for counts in counted))
        yield family
        refused = CounterMetricFamily(
            "shadowserve_refusals", "Answers that bore an error, by its code.", labels=["code"]
        )
        for code, n in refusal_counts.read(self._places.all_refusals()).items():
            refused.add_metric([code], n)
        yield refused
        yield CounterMetricFamily(
            "shadowserve_nonfinite_values",
            "Values of answers that were NaN or infinite, sent as null.",
            value=sum(counts.nonfinite for counts in counted),
        )
        yield CounterMetricFamily(
            "shadowserve_replayed_requests",
            "Of the requests that were answered or failed, those that a replay had sent.",
            value=sum(counts.replayed for counts in counted),
        )
        own_ns = max((counts.own_ns for counts in counted), default=0)
        if own_ns:
            yield GaugeMetricFamily(
                "shadowserve_last_own_request_age_seconds",
                "Since the last request came that no replay had sent.",
                value=max(0.0, (time.time_ns() - own_ns) / 1e9),
            )
        yield from of_deployment(self._places)


def of_deployment(places: Places) -> Iterator[Metric]:
    """Yield what both ports tell: how evidence fares, and how processes ended."""
    seen = arrival.read(places.arrival)
    yield GaugeMetricFamily(
        "shadowserve_evidence_waiting_windows",
        "Closed windows of all lanes that have not arrived in MLflow.",
        value=seen.waiting,
    )
    yield GaugeMetricFamily(
        "shadowserve_evidence_arriving",
        "1 while MLflow takes what is sent, 0 while it does not.",
        value=float(seen.state == "shipping"),
    )
    ended = CounterMetricFamily(
        "shadowserve_process_ends",
        "Deaths and kills of processes; each was started again, or given up.",
        labels=["process", "cause"],
    )
    known = ends.read(places)
    # Also of those that never ended: a series that begins with its first death shows no rise.
    for who in sorted({*_processes(places), *known}):
        counted = known.get(who, ends.Ends()).ended
        for cause in sorted({*ends.CAUSES, *counted}):
            ended.add_metric([who, cause], counted.get(cause, 0))
    yield ended


def _processes(places: Places) -> Iterator[str]:
    """Yield the keys of all processes that the deployment has."""
    yield from (ends.of_worker(worker) for worker in places.all_counters() if worker < STAND_IN)
    deployment = deployments.read(places)
    yield from map(ends.of_lane, deployment.lanes if deployment is not None else ())
