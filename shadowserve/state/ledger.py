"""The counts that must balance: what became of every request.

A reading bounds the journal at one position first and counts everything up to there: what the
workers counted, what the journal holds beyond their last count (a worker died, or is just about to
count it), and for each lane its outcomes and what is still pending. Nothing is had by subtraction
that can be counted.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields, replace

import orjson

from shadowserve.journal import reader
from shadowserve.records import Outcome, Role
from shadowserve.state import arrival, counters, handovers, isolation, switches, unknown_columns
from shadowserve.state import ends as endings
from shadowserve.state.batching import Batching, batching
from shadowserve.state.behind import Behind, behind
from shadowserve.state.deployment import Deployment, LaneName
from shadowserve.state.lane_condition import condition
from shadowserve.state.lane_reading import Snapshot, snapshot, summary
from shadowserve.state.ledger_entries import LaneLedger, LaneTime, Ledger
from shadowserve.state.places import Places
from shadowserve.statistics.headway import Headway
from shadowserve.statistics.measuring import Measuring
from shadowserve.statistics.spent import Spent
from shadowserve.statistics.switchback import Block, CallerCost, Cost, Schedule
from shadowserve.statistics.thinning import Thinning

MOST_READINGS = 3


def read(places: Places, deployment: Deployment) -> Ledger:
    """Take a reading, bounded at one position per worker.

    Lanes are read first, then the workers' counts, then how far the journal reaches: each later
    reading covers at least what the earlier ones saw. A segment that every lane passed, and that was
    deleted since they were read, would look like one that the budget took: then it is read again.
    """
    for _ in range(MOST_READINGS):
        lanes = _cursors(places, deployment)
        found = _read(places, deployment, lanes)
        gaps = any(
            lane.outcomes.get(outcome, 0) > lanes[lane.name].outcomes.get(outcome.value, 0)
            for lane in found.lanes
            for outcome in (Outcome.SKIPPED_BUDGET, Outcome.SKIPPED_LOST)
        )
        # If no cursor moved in between, the gap is real.
        if not gaps or _cursors(places, deployment) == lanes:
            break
    return found


def _cursors(places: Places, deployment: Deployment) -> dict[LaneName, Snapshot]:
    return {
        name: snapshot(places.lane(name.role, name.version, name.stay).state, whole=False)
        for name in (*deployment.lanes, *deployment.left_lanes)
    }


def _read(places: Places, deployment: Deployment, lanes: Mapping[LaneName, Snapshot]) -> Ledger:
    by_worker = {worker: counters.read(path) for worker, path in places.all_counters().items()}
    reach = reader.extent(places.journal)
    total, bound = counters.Counts(), {}
    for worker, counted in by_worker.items():
        end = max(reach.last.get(worker, 0), counted.sequence)
        beyond = reader.statuses(places.journal, worker=worker, after=counted.sequence, upto=end)
        again = reader.replayed(places.journal, worker=worker, after=counted.sequence, upto=end)
        counted = counted.with_journaled(beyond, replayed=again)
        # Lanes are measured up to here alone; what comes while this reads is nobody's debt yet.
        bound[worker] = counted.sequence
        total = _sum(total, counted)
    known = endings.read(places)
    return Ledger(
        deployment=deployment.id,
        model=deployment.model,
        version=deployment.champion.number,
        champion=total,
        journal_bytes=reach.bytes,
        lanes=_told(
            replace(
                _lane(places, name, lanes[name], bound, replayed=total.replayed),
                ends=known.get(endings.of_lane(name), endings.Ends()),
            )
            for name in deployment.lanes
        ),
        left=tuple(
            replace(
                _left(places, name, lanes[name], bound),
                ends=known.get(endings.of_lane(name), endings.Ends()),
            )
            for name in deployment.left_lanes
        ),
        met=unknown_columns.read(places.all_unknown_columns()),
        costs=_costs(places, deployment),
        arrival=arrival.read(places.arrival),
        batching=tuple(_batching(places, deployment)),
        ends=known,
        times=tuple(_times(places, deployment)),
        lane_numbers=deployment.lane_numbers,
        isolated=tuple(isolation.all_told(places, deployment)),
        handing=handovers.read(places),
        stands_still=_stands_still(deployment),
        switch=next(reversed(switches.read(places, deployment.id)), None),
    )


def _stands_still(deployment: Deployment) -> bool:
    schedule = Schedule.of(deployment.started, deployment.salt)
    return schedule.block(time.time_ns())[1] is Block.STILL


def reconcile(places: Places, counted: counters.Counters, *, worker: int) -> None:
    """Count what a worker's last process journaled but did not live to count.

    To be called while no process of the worker runs, before what it journaled may be deleted.
    """
    known = counted.counts().sequence
    end = reader.extent(places.journal).last.get(worker, 0)
    beyond = reader.statuses(places.journal, worker=worker, after=known, upto=end)
    total, answered = sum(beyond.values()), beyond.get(200, 0)
    if total:
        counted.journal_step(
            answered=answered,
            failed=total - answered,
            appended=total,
            append_failed=0,
            sequence=end,
            replayed=reader.replayed(places.journal, worker=worker, after=known, upto=end),
        )


def _batching(places: Places, deployment: Deployment) -> Iterator[Batching]:
    """Yield what holds for each version that somebody has loaded; where it is tapped, for lanes alone."""
    method = deployment.options.method
    # Behind a tap nobody here loads the champion to serve; its control is what tells of it.
    champion = Role.CONTROL if deployment.tapped else Role.CHAMPION
    loaded = [(champion, deployment.champion.number, deployment.champion)]
    loaded += [
        (Role.CHALLENGER, deployment.number_of(version), version)
        for version in deployment.challengers
    ]
    for role, number, version in loaded:
        found = batching(places, role, number, digest=version.digest, method=method)
        if found is not None:
            yield found


def _costs(places: Places, deployment: Deployment) -> tuple[Cost, ...]:
    """Return what the first lane that has measured it says; all measure the same callers."""
    for name in deployment.lanes:
        written = summary(places.lane(name.role, name.version, name.stay).state, "harm")
        costs = CallerCost.from_state(orjson.loads(written)).costs() if written else []
        if costs:
            return tuple(costs)
    return ()


def _times(places: Places, deployment: Deployment) -> Iterator[LaneTime]:
    """Yield where the time of each lane goes that has said so."""
    for name in deployment.lanes:
        file = places.lane(name.role, name.version, name.stay).state
        spent, measured = summary(file, "spent"), summary(file, "measuring")
        if spent and measured:
            lately = Spent.from_state(orjson.loads(spent)).shares()
            yield LaneTime(name, lately, Measuring.from_state(orjson.loads(measured)))


def _sum(left: counters.Counts, right: counters.Counts) -> counters.Counts:
    names = [field.name for field in fields(counters.Counts)]
    total = {name: getattr(left, name) + getattr(right, name) for name in names}
    return counters.Counts(**total | {"own_ns": max(left.own_ns, right.own_ns)})


def _left(places: Places, name: LaneName, seen: Snapshot, bound: Mapping[int, int]) -> LaneLedger:
    """Return the account of a lane that has left: what came after it is none of its own."""
    state, reason = condition(places.lane(name.role, name.version, name.stay))
    return LaneLedger(
        name=name,
        state=state,
        reason=reason,
        outcomes={Outcome(outcome): n for outcome, n in seen.outcomes.items()},
        pending=0,
        lag_seconds=0.0,
        joined=seen.joined,
        after=sum(max(0, end - seen.cursor.get(worker, 0)) for worker, end in bound.items()),
    )


def _lane(
    places: Places, name: LaneName, seen: Snapshot, bound: Mapping[int, int], *, replayed: int
) -> LaneLedger:
    left = reader.backlog(places.journal, cursor=seen.cursor, bound=bound)
    counted = {Outcome(outcome): n for outcome, n in seen.outcomes.items()}
    for outcome, n in (
        (Outcome.SKIPPED_BUDGET, left.deleted),
        (Outcome.SKIPPED_LOST, left.lost),
    ):
        counted[outcome] = counted.get(outcome, 0) + n
    state, reason = condition(places.lane(name.role, name.version, name.stay))
    oldest, now_ns = left.oldest_wall_ns, time.time_ns()
    # A wall clock that was set back would make a lag below zero.
    lag_s = 0.0 if oldest is None else max(0.0, (now_ns - oldest) / 1e9)
    return LaneLedger(
        name=name,
        # A pause is the team's file, which the lane's own condition does not know.
        state="paused" if state == "running" and places.paused.exists() else state,
        reason=reason,
        outcomes=counted,
        pending=left.pending,
        pending_replayed=_replayed(places, seen, bound)
        if replayed > counted.get(Outcome.REPLAYED, 0)
        else 0,
        lag_seconds=lag_s,
        joined=seen.joined,
        behind=_behind(places, name, lag_s=lag_s, pending=left.pending, now_s=now_ns / 1e9)
        if state == "running" and not places.paused.exists()
        else None,
    )


def _replayed(places: Places, seen: Snapshot, bound: Mapping[int, int]) -> int:
    """Count what a replay sent beyond a lane's cursor."""
    return sum(
        reader.replayed(places.journal, worker=worker, after=seen.cursor.get(worker, 0), upto=end)
        for worker, end in bound.items()
    )


def _told(lanes: Iterable[LaneLedger]) -> tuple[LaneLedger, ...]:
    """Return the lanes; a control that waits for a challenger is not behind by itself."""
    found = tuple(lanes)
    waits = any(one.behind for one in found if one.name.role is Role.CHALLENGER)
    return tuple(
        replace(one, behind=None) if waits and one.name.role is Role.CONTROL else one
        for one in found
    )


def _behind(
    places: Places, name: LaneName, *, lag_s: float, pending: int, now_s: float
) -> Behind | None:
    file = places.lane(name.role, name.version, name.stay).state
    written = [summary(file, one) for one in ("headway", "thinning")]
    pace, thinned = (orjson.loads(one) if one else None for one in written)
    return behind(
        Headway.from_state(pace) if pace else Headway(),
        Thinning.from_state(thinned) if thinned else Thinning(),
        lag_s=lag_s,
        pending=pending,
        now_s=now_s,
    )
