"""Putting a lane together: its version loaded, what it remembers, its scorers and its company."""

from __future__ import annotations

import json
import os
import secrets
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from shadowserve.comparison.comparing import Comparer
from shadowserve.comparison.learned import Learned
from shadowserve.comparison.ways import classes_of, ways_of
from shadowserve.host import clock, priority, stages
from shadowserve.host.leash import tie_to_parent
from shadowserve.journal.reader import JournalReader
from shadowserve.lane.backlog import Backlog
from shadowserve.lane.company import Company
from shadowserve.lane.line import Line
from shadowserve.lane.lock import ScoringLock
from shadowserve.lane.members import Members, follow
from shadowserve.lane.observing import Observer
from shadowserve.lane.parts import Parts
from shadowserve.lane.refused import RefusedRequests
from shadowserve.lane.rescoring import Rescorer
from shadowserve.lane.run import Lane
from shadowserve.lane.scorers import Scorers
from shadowserve.lane.seconds import seconds
from shadowserve.lane.staffing import ROOM, Staffing
from shadowserve.lane.steady import Steady
from shadowserve.lane.turns import Answering, Asking
from shadowserve.lane.warmth import Warmth
from shadowserve.records import Role
from shadowserve.schema.schema import Schema
from shadowserve.scorer import scoring
from shadowserve.scorer.scorer import Scorer
from shadowserve.settings import lane_processes
from shadowserve.settings.policy import Policy
from shadowserve.settings.vocabulary import WHEN_BEHIND_VARIABLE, WhenBehind
from shadowserve.state import classes, isolation, sharing, threads
from shadowserve.state.deployment import Deployment, LaneName
from shadowserve.state.inflight import InFlight
from shadowserve.state.lane_condition import condition
from shadowserve.state.lane_file import LaneState
from shadowserve.state.metrics import RoleMetrics, reserve
from shadowserve.state.places import Places
from shadowserve.statistics.switchback import Schedule
from shadowserve.versions import copies
from shadowserve.wire.protocols import Protocol, protocols

NEVER_NS = 2**62
"""Where lanes never stand still, they would begin to do so in another century."""


def build(
    name: LaneName,
    places: Places,
    deployment: Deployment,
    *,
    stopping: Callable[[], bool] = lambda: False,
) -> Lane:
    """Load the version and put a lane together at its cursor.

    Parameters
    ----------
    stopping : callable
        Whether the lane is to end.

    Raises
    ------
    ModelError
        If the version cannot be loaded or fails on its own example.
    """
    files = places.lane(name.role, name.version, name.stay)
    files.make()
    version, options = deployment.version_of(name), deployment.options
    path = copies.own(Path(deployment.files[name.version]), places.copies / str(name))
    scorer = scoring.open_version(
        version,
        path,
        options=options,
        champion=deployment.champion if name.role is Role.CHALLENGER else None,
    )
    scorer = scoring.warm(scorer)
    stages.reached("warming")
    sharing.tell(places.sharing(name.role, name.version), scorer.sharing)
    if scorer.environment is not None:
        isolation.tell(files.environment, scorer.environment)
    threads.tell(places.loaded(name.role, name.version), scorer.loaded.threads)
    state = LaneState(files.state)
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        reserve(Path(os.environ["PROMETHEUS_MULTIPROC_DIR"]))
    inflight = InFlight(files.inflight)
    table = dict(protocols(deployment.model, deployment.champion.number))
    observer = Observer(scorer, table, mark=inflight.step)
    learned = _learned(state.summaries(), scorer, options.policy)
    comparer = comparer_of(deployment, scorer, table, places=places)
    rescorer = Rescorer(
        observer,
        table,
        ignore=options.ignore_outputs,
        comparer=comparer,
        hold=inflight.mark,
    )
    parts = Parts(
        name=name,
        places=places,
        observer=observer,
        comparer=comparer,
        rescorer=rescorer if options.rescore else None,
        learned=learned,
        state=state,
        tail=JournalReader(places.journal, cursor=state.cursor()),
        inflight=inflight,
        metrics=RoleMetrics(name.role.value, name.version, steps=[n for n, _ in scorer.step_names]),
        disclosure=options.disclosure(salt=deployment.salt),
        schedule=Schedule(NEVER_NS, deployment.salt)
        if deployment.rescored
        else Schedule.of(deployment.started, deployment.salt),
        warmth=Warmth(observer, inflight, repeat=options.rescore),
        stopping=stopping,
        entity=options.entity,
        categories=scorer.loaded.categories(),
        memory_bytes=options.lane_memory,
        lock=ScoringLock(places.scoring_lock),
        steady=Steady(places, files.call_rows, options.deadline) if deployment.rescored else None,
    )
    members = Members(places, deployment)
    lane = Lane(parts)
    rescorer.elsewhere = lane.execution.elsewhere
    if not deployment.rescored:  # there is nothing to be late for, and nothing is timed
        take_turns(lane, deployment, members)
        parts.backlog = backlog_of(
            lane,
            members,
            when_behind=WhenBehind(os.environ.get(WHEN_BEHIND_VARIABLE, WhenBehind.SCORE_ALL)),
        )
    parts.scorers = _scorers(lane, deployment)
    if name.role is Role.CONTROL:
        parts.limit = follow(members, lambda: parts.tail.cursor)
    else:
        parts.refused = RefusedRequests(places, scorer.schema, table)
    if options.rescore:
        controls = [n for n in deployment.lanes if n.role is Role.CONTROL]
        parts.seconds = seconds(lane, members, control=next(iter(controls), None))
        parts.company = _company(lane, deployment, table)
    if learned.outputs.tally is not None:
        parts.comparer.resume(learned.outputs.tally)
    _say_compatibility(lane, deployment)
    return lane


def backlog_of(
    lane: Lane,
    members: Members,
    *,
    when_behind: WhenBehind = WhenBehind.SCORE_ALL,
) -> Backlog:
    """Return what a lane has before it; a control thins what its challengers have thinned."""
    is_control = lane.parts.name.role is Role.CONTROL
    return Backlog(
        lane.parts.places,
        learned=lambda: lane.commits.learned,
        remember=lane.commits.remember,
        when_behind=when_behind,
        challengers=(lambda: [one.state for one in members.files().values()])
        if is_control
        else None,
    )


def _scorers(lane: Lane, deployment: Deployment) -> Scorers | None:
    """Return further processes that score for this lane; they begin to load at once."""
    n = int(os.environ.get(lane_processes.VARIABLE, "1")) - 1
    if n < 1:
        return None
    name, places, incarnation = lane.parts.name, lane.parts.places, secrets.token_hex(8)
    scorers = Scorers(
        n,
        start=lambda number, line: _start_scorer(name, places, number, line, incarnation),
        mark=lane.parts.files.scorer,
        deaths=lane.execution.deaths,
        incarnation=incarnation,
        deadline_s=deployment.options.deadline,
        memory_bytes=deployment.options.lane_memory,
        staffing=Staffing(n + 1, has_room=_has_room)
        if lane_processes.AS_NEEDED in os.environ
        else None,
    )
    scorers.turn()  # before this process steps back: what loads has a larger claim on CPUs
    return scorers


def _load_tied() -> None:
    tie_to_parent()
    priority.load()


def _has_room() -> bool:
    """Whether there is memory for another process like this one; where the system does not say, there is."""
    free, own = clock.available_bytes(), clock.own_bytes()
    return free is None or own is None or free >= ROOM * own


def _start_scorer(
    name: LaneName, places: Places, number: int, line: socket.socket, incarnation: str
) -> subprocess.Popen[bytes]:
    """Start a scorer, in this process's group: who ends the lane ends it too."""
    log = places.logs / f"lane-{name.role.value}-v{name.version}.log"
    flags = os.O_CREAT | os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW
    descriptor = os.open(log, flags, 0o600)
    try:
        return subprocess.Popen(
            [
                sys.executable, "-m", "shadowserve.lane.scorer_process", name.role.value,
                f"v{name.version}", str(number), str(places.root), str(line.fileno()), incarnation,
            ],
            env={**os.environ, "SHADOWSERVE_PARENT": str(os.getpid())},
            stdin=subprocess.DEVNULL,
            stdout=descriptor,
            stderr=descriptor,
            pass_fds=(line.fileno(),),
            preexec_fn=_load_tied,
        )  # fmt: skip
    finally:
        os.close(descriptor)


def _learned(known: Mapping[str, bytes], scorer: Scorer, policy: Policy) -> Learned:
    """Return what earlier processes remembered, or begin; what is known of the version is told anew."""
    fresh = Learned(
        {},
        dict(scorer.step_names),
        change_alpha=policy.alarm_alpha(),
        latency_margin=policy.latency_margin,
    )
    learned = Learned.from_state(known) if known else fresh
    if "pairing" not in known:
        learned.pairing = fresh.pairing
    learned.classes = scorer.classes
    learned.made_of, learned.ways = classes_of(scorer.plan), ways_of(scorer.loaded.native)
    return learned


def take_turns(lane: Lane, deployment: Deployment, members: Members) -> None:
    """Connect a lane with those that it takes turns with; without a control there are none."""
    places, repeat = lane.parts.places, deployment.options.rescore
    if not deployment.control:
        return
    if lane.parts.name.role is Role.CHALLENGER:
        forth, back = places.turns(lane.parts.name.version)
        control = places.lane(Role.CONTROL, deployment.champion.number)
        lane.parts.asking = Asking(
            Line(back, forth),
            is_loading=lambda: condition(control).state == "starting",
            leave=lambda: lane.parts.stopping() or places.draining.exists(),
        )
        return
    lane.parts.answering = Answering(
        members.lines,
        journal=places.journal,
        observer=lane.parts.observer,
        inflight=lane.parts.inflight,
        warmth=lane.parts.warmth,
        refuses=lane.execution.refuses,
        repeat=repeat,
        clock=lane.parts.clock,
    )


def _company(lane: Lane, deployment: Deployment, table: Mapping[str, Protocol]) -> Company:
    """Return what tries recorded requests in company with this lane's version."""
    version, method = deployment.version(lane.parts.name.version), deployment.options.method
    return Company(
        lane.parts.observer,
        table,
        mark=sharing.Mark(lane.parts.places.mark(version.digest, method)),
        path=lane.parts.places.shown(version.digest, method),
        ignore=deployment.options.ignore_outputs,
        hold=lane.parts.inflight.mark,
        proven=lambda positions: lane.commits.learned.noise.depend(positions),
    )


def comparer_of(
    deployment: Deployment,
    scorer: Scorer,
    table: Mapping[str, Protocol],
    *,
    places: Places,
) -> Comparer:
    """Return what lays a version's answers beside the champion's, as the deployment was asked to."""
    outputs = (deployment.champion.signature or {}).get("outputs")
    champion = places.classes(deployment.champion.number)
    return Comparer(
        table,
        output_kind=deployment.options.output_kind,
        signature=json.loads(outputs) if isinstance(outputs, str) else outputs,
        classes=scorer.classes,
        proba=deployment.options.by_probability,
        ignore=deployment.options.ignore_outputs,
        champion_classes=lambda: classes.told(champion),
    )


def _say_compatibility(lane: Lane, deployment: Deployment) -> None:
    """Say `incompatible` at once where this version needs a column that the champion's lacks."""
    champion = Schema.from_signature(deployment.champion.signature)
    offered = {column.name for column in champion.columns}
    missing = [
        c.name
        for c in lane.parts.observer.scorer.schema.columns
        if c.required and c.name not in offered
    ]
    if offered and missing and lane.commits.learned.outputs.disagreement.n == 0:
        lane.parts.first_state = ("incompatible", f"missing_column:{missing[0]}")
