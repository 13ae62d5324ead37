"""The supervisor: starts the champion's workers, lanes, console and evidence writer, and ends them.

It is one loop in one thread. Nothing it does is on a request's way: when it looks at a lane, kills
it or deletes a read segment, the workers do not notice.
"""

from __future__ import annotations

import contextlib
import signal
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from shadowserve.ending import ending
from shadowserve.errors import ModelError, ShadowserveError
from shadowserve.http import certificate
from shadowserve.journal.segment_file import Segment
from shadowserve.legible import counted
from shadowserve.settings.settings import Settings
from shadowserve.state import beginnings, counters, departed, homes, presence
from shadowserve.state import deployment as deployments
from shadowserve.state.deployment import Deployment, LaneName
from shadowserve.state.lane_reading import snapshot
from shadowserve.state.places import Places
from shadowserve.supervisor import logs
from shadowserve.supervisor.allowance import Allowance
from shadowserve.supervisor.attempts import Attempts
from shadowserve.supervisor.child import Child
from shadowserve.supervisor.desk import Desk, Question, Visitor
from shadowserve.supervisor.draining import drain
from shadowserve.supervisor.handover import Handover, wanted
from shadowserve.supervisor.keeping import Keeper
from shadowserve.supervisor.line import Line
from shadowserve.supervisor.membership import Membership
from shadowserve.supervisor.news import EvidenceNews, last_words
from shadowserve.supervisor.orphans import Sweeper
from shadowserve.supervisor.processes import Processes
from shadowserve.supervisor.reaping import Reaper
from shadowserve.supervisor.resting import Resting
from shadowserve.supervisor.stop_signals import StopSignals
from shadowserve.supervisor.watch import LaneWatch
from shadowserve.supervisor.workers import Workers

if TYPE_CHECKING:
    from shadowserve.supervisor.standin import StandIn

TURN_S = 0.05
"""Seconds between two looks: a dead worker is replaced within it, and idle it costs hardly any CPU."""
CHORES_S = 1.0
"""Seconds between chores: they read files of every lane, which need not be read at each turn."""
FLUSH_S = 20.0
"""Seconds for evidence and console to end: the evidence writer's own deadline of 15 s, and some room."""
WORKER_END_S = 10.0
HELPER_PAUSE_S = 2.0


@dataclass(slots=True)
class Supervisor:
    """Everything that one `serve` runs.

    Parameters
    ----------
    settings, places
        As `processes` has them.
    data_socket, console_socket : socket
        Bound and listening; workers and console inherit them. There is no data plane where the
        champion answers elsewhere and its requests come through the console's tap.
    processes : Processes
        Makes what is started.
    say : callable
        Tells the user, one line a call.
    """

    settings: Settings
    places: Places
    data_socket: socket.socket | None
    console_socket: socket.socket
    processes: Processes
    say: Callable[[str], None]
    lanes: list[LaneWatch] = field(default_factory=list)
    helpers: list[Child] = field(default_factory=list)
    leaving: bool = False
    stand_in: StandIn | None = None
    deployment: Deployment | None = None
    stop_signals: StopSignals = field(default_factory=StopSignals)
    sweeper: Sweeper | None = None
    news: EvidenceNews | None = None
    reaper: Reaper = field(default_factory=Reaper)
    keeper: Keeper = field(init=False)
    workers: Workers = field(init=False)
    attempts: Attempts = field(init=False)
    membership: Membership | None = None
    desk: Desk | None = None
    handover: Handover | None = None
    resting: list[Resting] = field(default_factory=list)
    follower: Child | None = None
    _patient: tuple[Visitor, Question] | None = None
    _was_ready: bool = False

    def __post_init__(self) -> None:
        self.keeper = self._keeper()
        self.attempts = Attempts(self.say)
        self.workers = Workers(self.places, self.settings.request_timeout, self.say)

    def begin(self) -> None:
        """Start the champion's workers; they import while the pins are resolved."""
        self.stop_signals.heed()
        self.sweeper = Sweeper(self.processes.start_token)
        self.workers.recover()
        self._shelve_left_behind()
        self.places.champion_failed.unlink(missing_ok=True)
        self.places.draining.unlink(missing_ok=True)
        self.places.stopping.unlink(missing_ok=True)
        if self.data_socket is not None:
            self._open_data_plane(self.data_socket)
        self._write_down()
        self._open_desk()

    def _shelve_left_behind(self) -> None:
        """Bring a handover to its end that was cut off: one deployment is the present one, the other is over."""
        for places in homes.left_behind(self.places.root):
            with contextlib.suppress(OSError):  # a full disk: the next start tries it again
                Workers(places, self.settings.request_timeout, self.say).recover()
                if (shelf := homes.shelve(places)) is not None:
                    self.say(
                        f"Handover       {shelf.name} was cut off in one; it is archived in {shelf}"
                    )

    def lines(self) -> list[Line]:
        """Return lines for one generation; none where the system has no such sockets."""
        with contextlib.suppress(OSError, AttributeError):
            return [Line() for _ in range(self.settings.workers)]
        return []

    def free_numbers(self) -> int:
        """Return the first number of a further generation: no process that lives has one of them."""
        handover = self.handover.generations if self.handover is not None else []
        known = [self.workers, *handover, *(one.workers for one in self.resting)]
        taken = {number for one in known for number in one.numbers}
        n = self.settings.workers
        return next(
            first
            for first in range(0, counters.STAND_IN * n, n)
            if taken.isdisjoint(range(first, first + n))
            and counters.STAND_IN not in range(first, first + n)
        )

    def resting_for(self, deployment: Deployment) -> Resting | None:
        """Return workers at rest that can serve a deployment; they rest no longer."""
        for one in self.resting:
            if one.can_serve(deployment):
                self.resting.remove(one)
                return one
        return None

    def rest(self, workers: Workers) -> None:
        """Keep workers that take no callers any more for the way back, instead of those before them."""
        if self.deployment is None:
            return
        for one in self.resting:
            one.end()
        until = time.monotonic() + self.settings.warm_former
        self.resting.append(Resting(workers, self.deployment, until))

    def turn_to(self, places: Places, deployment: Deployment) -> None:
        """Begin lanes, console and evidence of the deployment that has taken over."""
        self.places = places
        self.processes = replace(self.processes, places=places)
        self.keeper = self._keeper()
        self.deploy(deployment)

    def _anybody_accepts(self) -> bool:
        going = self.handover.going if self.handover is not None else None
        return self.workers.accept or (going is not None and going.accept)

    def _hand_over(self, visitor: Visitor, question: Question) -> None:
        """Begin a handover that a command asks for."""
        present = self.deployment
        if present is None or self.data_socket is None or not self.workers.lines:
            visitor.refuse("Nobody answers callers here who could hand over.")
        elif self.handover is not None:
            self.handover.hurry = True
            if question.get("patient") and self._patient is None:
                self._patient = visitor, question
                return
            visitor.refuse(
                f"{self.handover.deployment.champion.pin} is taking over just now. Try again in a moment.",
                exit_code=4,
            )
        else:
            try:
                found, places = wanted(self.places, str(question.get("deployment")), present)
            except ShadowserveError as error:
                visitor.refuse(str(error), exit_code=error.exit_code)
                return
            if places.home != self.places.home:
                found = replace(found, start=self.processes.start_token)
                deployments.write(places, found)
            self.handover = Handover(self, found, places, visitor)
            self.say(f"Handover       {found.champion.pin} is loaded beside what is served")

    def _open_desk(self) -> None:
        try:
            self.desk = Desk(self.places, self._answer)
        except OSError as error:  # callers come first: what is served is served without it
            self.say(
                f"Note           no command can ask this supervisor: {self.places.desk} cannot be made "
                f"({error.strerror}). Challengers join and leave with a restart."
            )

    def _answer(self, visitor: Visitor, question: Question) -> None:
        if self.membership is None:
            visitor.refuse("The deployment is starting. Try again in a moment.", exit_code=4)
        elif question.get("ask") == "look":
            for child in self._followers:
                child.signal(signal.SIGUSR1)
            visitor.end(follows=self.follower is not None)
        elif question.get("ask") == "hand over":
            self._hand_over(visitor, question)
        elif self.handover is not None and question.get("ask") in ("add", "remove"):
            pin = self.handover.deployment.champion.pin
            visitor.refuse(f"{pin} is taking over just now. Try again in a moment.", exit_code=4)
        else:
            self.membership.answer(visitor, question)

    def _open_data_plane(self, listener: socket.socket) -> None:
        numbers = range(self.settings.workers)
        self.workers.lines = self.lines()
        told = dict(enumerate(line.descriptor for line in self.workers.lines))
        self.workers.begin([self.processes.worker(i, listener, line=told.get(i)) for i in numbers])
        # Knows the protocols, which takes pandas: imported while the workers import. Whoever comes
        # before waits in the socket's queue.
        from shadowserve.supervisor.standin import StandIn

        self.stand_in = StandIn(
            listener,
            needed=lambda: self.leaving or not self._anybody_accepts(),
            why=self._why_nobody_answers,
            label=self._label,
            counters=counters.Counters(self.places.counters(counters.STAND_IN)),
            certificate=certificate.of(self.settings.ssl_certfile, self.settings.ssl_keyfile),
        )

    @property
    def address(self) -> tuple[str, int]:
        """Where requests come in: the data plane's host and port, or with a tap the console's."""
        host, port = (self.data_socket or self.console_socket).getsockname()[:2]
        return host, port

    def _champions(self) -> list[int]:
        if self.data_socket is None:
            return [child.pid for child in self._journaling if child.running]
        return [child.pid for child in self._all_workers() if child.running]

    @property
    def _journaling(self) -> list[Child]:
        """Who writes the journal: the champion's workers, or with a tap the console."""
        return self.helpers[:1] if self.data_socket is None else self.workers.children

    def deploy(self, deployment: Deployment) -> None:
        """Make lanes, console and evidence writer for what was resolved."""
        self.deployment = deployment
        self.places.arrival.unlink(missing_ok=True)  # what an earlier start wrote is past
        self.news = EvidenceNews(self.places)
        n_lanes = len(deployment.lanes)
        self.lanes = [self._watch(name, n_lanes) for name in deployment.lanes]
        scoring = sum(
            self.processes.lane_processes(name, lanes=n_lanes) for name in deployment.lanes
        )
        if scoring > max(n_lanes, self.processes.placement.n_cpus):
            self.say(
                f"{scoring} processes score for {n_lanes} lanes that have "
                f"{counted(self.processes.placement.n_cpus, 'CPU')}: more do not make them faster. "
                "Give --lane-processes a smaller number."
            )
        for watch in self.lanes:
            watch.expect()
        self.membership = Membership(
            self.places,
            self.settings,
            self.processes,
            deployment,
            self.lanes,
            watch=lambda name: self._watch(name, len(self.lanes) + 1),
            say=self.say,
        )
        self.helpers = [self.processes.console(self.console_socket), self.processes.evidence()]
        others = (self.processes.archivist(), self.processes.alerts())
        self.helpers += [child for child in others if child is not None]
        for child in self.helpers:
            child.start()
        if self.follower is None and (follower := self.processes.follower()) is not None:
            self.follower = follower
            follower.start()

    def _watch(self, name: LaneName, n_lanes: int) -> LaneWatch:
        """Make what looks after a lane; the memory that is left is shared by all that score by then."""
        watch = self.processes.lane(name, lanes=n_lanes)
        watch.say = self.say
        watch.allowance = Allowance(self.settings.lane_memory, self._scoring, self._champions)
        return watch

    def _scoring(self) -> int:
        n_lanes = len(self.lanes)
        names = (watch.name for watch in self.lanes)
        return sum(self.processes.lane_processes(name, lanes=n_lanes) for name in names)

    def wait_until_ready(self) -> bool:
        """Wait for the champion; False if a stop was asked for meanwhile.

        Raises
        ------
        ModelError
            If the champion cannot be loaded or warmed.
        """
        while not self.stop_signals.n:
            if self._champion_ready():
                self._was_ready = True
                return True
            self._raise_if_failed()
            time.sleep(TURN_S)
        return False

    def run(self, *, until: Callable[[], bool] = lambda: False) -> None:
        """Look after everything until a signal comes or `until` says so."""
        chores_ns = 0
        while not self.stop_signals.n and not until():
            # Each by itself: a full disk that stops the journal's chores must not stop workers from
            # being replaced.
            self.attempts.attempt(self.workers.look)
            self.attempts.attempt(self._look_after_lanes)
            self.attempts.attempt(self._look_at_desk)
            self.attempts.attempt(self._look_at_handover)
            if time.monotonic_ns() >= chores_ns:
                self.attempts.attempt(self._chores)
                chores_ns = time.monotonic_ns() + int(CHORES_S * 1e9)
            time.sleep(TURN_S)

    def _look_after_lanes(self) -> None:
        for watch in self.lanes:
            watch.look()
        for child in (*self.helpers, *self._followers):
            waited_ns = time.monotonic_ns() - child.started_ns
            if not child.running and waited_ns >= HELPER_PAUSE_S * 1e9:
                child.start()

    def _look_at_desk(self) -> None:
        if self.desk is not None:
            self.desk.turn()
        if self.membership is not None:
            self.membership.turn()
            self.deployment = self.membership.deployment

    @property
    def _followers(self) -> list[Child]:
        return [] if self.follower is None else [self.follower]

    def _look_at_handover(self) -> None:
        if self.handover is not None and not self.handover.turn():
            self.handover = None
        if self.handover is None and self._patient is not None:
            waiting, self._patient = self._patient, None
            self._hand_over(*waiting)
        self.resting = [one for one in self.resting if one.look()]

    def end(self) -> None:
        """Drain: finish requests, let lanes catch up, let evidence arrive, end everything."""
        if self.desk is not None:
            self.desk.close("The deployment is being stopped; nothing has changed.")
        for child in self._followers:
            child.kill()
        self.follower, self._patient = None, None
        others = self._end_handover()
        self._let_balancers_turn_away()
        self.leaving = True  # from here on the stand-in takes whoever still comes
        # Workers first: what they still answer must lie in the journal before lanes are asked to
        # catch up.
        for workers in (self.workers, *others):
            workers.end(deadline_s=WORKER_END_S)
        if self.data_socket is None:  # the tap closes before the lanes catch up
            for child in self._journaling:
                child.end(deadline_s=WORKER_END_S)
        self.attempts.attempt(self._drain_lanes)
        for watch in self.lanes:
            watch.child.end(deadline_s=5.0)
        if self.membership is not None:
            self.membership.end()
        self.attempts.attempt(self._keep_journal)
        # The evidence writer before the console, so that the page is there until the last window
        # has arrived.
        for child in reversed(self.helpers):
            child.end(deadline_s=FLUSH_S)
        self.attempts.attempt(self._say_what_arrived)
        self._close_data_plane()
        self._sweep()
        self.console_socket.close()
        for told in (self.places.draining, self.places.stopping, self.places.supervisor):
            told.unlink(missing_ok=True)

    def _end_handover(self) -> list[Workers]:
        """Leave a handover where it stands; return other generations whose workers still run."""
        others = [one.workers for one in self.resting]
        if self.handover is not None:
            self.handover.abandon()
            others += self.handover.generations
        return others

    def _say_what_arrived(self) -> None:
        if self.deployment is not None:
            self.say(last_words(self.places, self.deployment))

    def _let_balancers_turn_away(self) -> None:
        """Say at /readyz that this ends, and go on serving for a while; a second signal cuts it short."""
        with contextlib.suppress(OSError):
            self.places.stopping.touch(mode=0o600)
        until, signals = time.monotonic() + self.settings.drain_delay, self.stop_signals.n
        while time.monotonic() < until and self.stop_signals.n == signals:
            self.attempts.attempt(self.workers.look)
            self.attempts.attempt(self._look_after_lanes)
            time.sleep(TURN_S)

    def _why_nobody_answers(self) -> str:
        """Say it in words, for callers."""
        if self.leaving or self.stop_signals.n:
            return "This server is being stopped."
        if not self._was_ready:
            return "The champion is being loaded."
        return "No worker is there to answer. It is being replaced."

    def kill(self) -> None:
        """End everything now; used when the start failed."""
        self._close_data_plane()
        if self.desk is not None:
            self.desk.close("The deployment could not be started.")
        if self.membership is not None:
            self.membership.kill()
        for child in (
            *self._all_workers(),
            *(watch.child for watch in self.lanes),
            *self.helpers,
            *self._followers,
        ):
            child.kill()
        self._sweep()
        self.places.supervisor.unlink(missing_ok=True)

    def _sweep(self) -> None:
        if self.sweeper is not None:
            self.sweeper.close()
        beginnings.clear(self.places.scratch)

    def _close_data_plane(self) -> None:
        if self.stand_in is not None:
            self.stand_in.stop()
        if self.data_socket is not None:
            self.data_socket.close()

    def _drain_lanes(self) -> None:
        """Give the lanes time to score what is in the journal; a second signal cuts it short."""
        signals = self.stop_signals.n
        drain(
            self.places,
            self.lanes,
            is_cut_short=lambda: self.stop_signals.n != signals,
            say=self.say,
        )

    def _label(self) -> str:
        known = self.deployment
        return f"{known.model}/{known.champion.number}" if known else "none"

    def _chores(self) -> None:
        """Once a second: delete what is read, keep to the budget, heed the team's wishes."""
        if self._champion_ready():
            self.workers.deaths, self._was_ready = 0, True
        self.reaper.look(self._own_processes())
        if self.places.resume.exists():
            self.places.resume.unlink()
            for watch in self.lanes:
                watch.resume()
        self._keep_journal()
        if self.news is not None and (news := self.news.look()):
            self.say(news)
        logs.bound(self.places.logs)
        departed.merge(self.places.scratch)

    def _own_processes(self) -> set[int]:
        known = [*self._all_workers(), *(watch.child for watch in self.lanes), *self.helpers]
        known += self._followers
        if (members := self.membership) is not None:
            known += [*members.children, *(watch.child for watch in members.watches)]
        return {child.pid for child in known} | ({self.sweeper.pid} if self.sweeper else set())

    def _all_workers(self) -> list[Child]:
        handover = self.handover.generations if self.handover is not None else []
        known = [self.workers, *handover, *(one.workers for one in self.resting)]
        return [child for one in known for child in one.children]

    def _keep_journal(self) -> None:
        if self.handover is not None and self.handover.turning:
            return  # nobody reads meanwhile, and what nobody has read must stay
        members = self.membership
        watches = self.lanes if members is None else members.watches
        cursors = [snapshot(watch.places.state, whole=False).cursor for watch in watches]
        cursors += [] if members is None else members.holds
        found = self.places.all_counters().items()
        counted = {worker: counters.read(path).sequence for worker, path in found}
        self.keeper.keep(cursors=cursors, counted=counted)

    def _keeper(self) -> Keeper:
        budget = self.settings.journal_budget
        return Keeper(self.places.journal, budget, self.say, archived=self._is_archived)

    def _is_archived(self, segment: Segment) -> bool:
        """Tell whether the archive lets a segment go: it has it, or keeps nothing."""
        if self.settings.keep_journal is None or self.deployment is None:
            return self.settings.keep_journal is None
        return self.places.archived(self.deployment.id, segment.worker, segment.number).exists()

    def _champion_ready(self) -> bool:
        if self.data_socket is not None:
            return bool(self.workers.children) and self.workers.all_accept
        counted = counters.read(self.places.counters(0))
        return all(counted.ready and counted.pid == child.pid for child in self._journaling)

    def _raise_if_failed(self) -> None:
        """End the start with the reason why the champion cannot serve."""
        if reason := self.workers.failure():
            raise ModelError(reason)
        for child in self._journaling:
            if child.exit_code is not None:
                raise ModelError(
                    f"{child.name} ended before it was ready ({ending(child.exit_code)}). "
                    f"{child.log} says more."
                )

    def _write_down(self) -> None:
        host, port = self.address if self.data_socket is not None else (None, None)
        console = self.console_socket.getsockname()[:2]
        presence.tell(self.places, data=(host, port), console=console)
