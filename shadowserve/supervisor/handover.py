"""A handover: another generation of champion workers takes over, and callers notice nothing.

The new workers load, warm, answer recorded requests and are asked at a private socket, while those in service are left
alone. Then the new ones open, the former ones hand their idle connections on and finish what they have. Where another
deployment begins with it, its lanes follow once the former's have caught up and its files lie in the archive.

It is a step at a time, taken by the supervisor's one loop, which never waits.
"""

from __future__ import annotations

import contextlib
import signal
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from shadowserve.ending import ending
from shadowserve.errors import ShadowserveError
from shadowserve.host import clock, unix_socket
from shadowserve.settings.settings import Settings
from shadowserve.settings.spellings import size_text
from shadowserve.state import deployment as deployments
from shadowserve.state import homes
from shadowserve.state.deployment import Deployment
from shadowserve.state.handovers import DONE, REFUSED, Handing
from shadowserve.state.places import Places
from shadowserve.supervisor.child import Child
from shadowserve.supervisor.desk import Visitor
from shadowserve.supervisor.draining import DRAIN_S, pending
from shadowserve.supervisor.line import Line
from shadowserve.supervisor.membership import Membership
from shadowserve.supervisor.processes import Processes
from shadowserve.supervisor.resting import Resting
from shadowserve.supervisor.watch import LaneWatch
from shadowserve.supervisor.workers import Workers

ORDER_S = 10.0
"""For an order to be carried out that takes no longer than a turn of an event loop."""
END_S = 10.0
"""For a process to end that was asked to."""
HURRIED_S = 0.5
"""The same where somebody waits for the next handover: what is not brought to its end lies on disk."""
SPARE = 1.05
"""How much more memory must be free than the workers in service take."""
_ASKED = b"GET /readyz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"


class Undone(ShadowserveError):  # noqa: N818 - a state, not a fault
    """The handover does not take place; what was served is served on."""

    def __init__(self, text: str, exit_code: int) -> None:
        super().__init__(text)
        self.exit_code = exit_code


Steps = Iterator[None]


class Serving(Protocol):
    """What a handover needs of the supervisor, whose fields have these names."""

    settings: Settings
    places: Places
    data_socket: socket.socket | None
    processes: Processes
    lanes: list[LaneWatch]
    helpers: list[Child]
    deployment: Deployment | None
    workers: Workers
    membership: Membership | None

    @property
    def say(self) -> Callable[[str], None]:
        """Tells the user, one line a call."""

    def lines(self) -> list[Line]:
        """Return lines for one generation."""

    def free_numbers(self) -> int:
        """Return the first number of a further generation."""

    def resting_for(self, deployment: Deployment) -> Resting | None:
        """Return workers at rest that can serve a deployment; they rest no longer."""

    def rest(self, workers: Workers) -> None:
        """Keep workers that take no callers any more for the way back."""

    def turn_to(self, places: Places, deployment: Deployment) -> None:
        """Begin lanes, console and evidence of the deployment that has taken over."""


@dataclass(slots=True)
class Handover:
    """One handover, from the order to the end of the former workers.

    Parameters
    ----------
    supervisor : Serving
    deployment, places : Deployment, Places
        What is to be served, and where it lies; the present one's where only workers are replaced.
    visitor : Visitor, optional
        Who asked for it, and is told how it goes.

    Attributes
    ----------
    coming, going : Workers or None
        The generation that takes over, and the one in service before.
    committed : bool
        Whether the new deployment is the present one: from here on the handover is not undone but finished.
    turning : bool
        Whether no lane reads the journal.
    hurry : bool
        Whether somebody waits for the next one: lanes need not catch up.
    """

    supervisor: Serving
    deployment: Deployment
    places: Places
    visitor: Visitor | None = None
    coming: Workers | None = None
    going: Workers | None = None
    turning: bool = False
    committed: bool = False
    opened: bool = False
    hurry: bool = False
    _steps: Steps = field(init=False)
    _former: int | None = None
    _began: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self._steps = self._all_steps()

    @property
    def renews(self) -> bool:
        """Whether workers are replaced and the deployment goes on."""
        return self.places.home == self.supervisor.places.home

    @property
    def _new(self) -> Workers:
        if self.coming is None:
            raise RuntimeError("no workers have been made yet")
        return self.coming

    @property
    def _listener(self) -> socket.socket:
        if self.supervisor.data_socket is None:
            raise RuntimeError("nobody answers callers here")
        return self.supervisor.data_socket

    @property
    def generations(self) -> list[Workers]:
        """The generations that the supervisor does not know as those in service."""
        service = self.supervisor.workers
        return [one for one in (self.coming, self.going) if one is not None and one is not service]

    def turn(self) -> bool:
        """Take a step; False once there is none left."""
        try:
            next(self._steps)
        except StopIteration:
            return False
        except (ShadowserveError, OSError) as error:
            self._undo(error)
            return False
        return True

    def abandon(self) -> None:
        """End what has not opened yet: the deployment is being stopped."""
        self._steps.close()  # type: ignore[attr-defined]
        if not self.committed:
            self._undo(Undone("The deployment is being stopped; nothing has changed.", 4))

    def _all_steps(self) -> Steps:
        self._note("loading")
        it, self.going = self.supervisor, self.supervisor.workers
        rested = it.resting_for(self.deployment)
        if rested is not None:
            yield from self._wake(rested)
        else:
            self._refuse_want_of_memory(self.going)
            yield from self._load()
        yield from self._take_over()
        yield from self._part(self.going)
        if not self.renews:
            yield from self._turn_over()
        took_s = time.monotonic() - self._began
        self._say(f"{self.deployment.champion.pin} has taken over, after {took_s:.1f} s")
        self._note(DONE)
        if self.visitor is not None:
            facts = {"served": str(self.deployment.champion.pin), "took_s": round(took_s, 2)}
            self.visitor.end(deployment=self.deployment.id, **facts)

    # -- before anybody notices

    def _refuse_want_of_memory(self, going: Workers) -> None:
        """Refuse where two generations have no room.

        Raises
        ------
        Undone
        """
        taken = sum(clock.rss_bytes(child.pid) or 0 for child in going.children if child.running)
        free = clock.available_bytes()
        if free is not None and taken * SPARE > free:
            raise Undone(
                f"{self.deployment.champion.pin} does not take over: its workers need about {size_text(taken)}, as "
                f"those in service do, and {size_text(free)} are free. Free memory, or stop and start anew.",
                4,
            )

    def _load(self) -> Steps:
        it, listener = self.supervisor, self._listener
        made = replace(it.processes, places=self.places)
        coming = Workers(self.places, it.settings.request_timeout, it.say, first=it.free_numbers())
        coming.lines = it.lines()
        former = it.places.folder
        paths = [it.places.scratch / f"w{number}.sock" for number in self._numbers(coming)]
        with contextlib.ExitStack() as opened:
            private = [opened.enter_context(unix_socket.listen(path)) for path in paths]
            for path in paths:
                opened.callback(path.unlink, missing_ok=True)
            coming.children = [
                made.worker(
                    index,
                    listener,
                    first=coming.first,
                    line=coming.lines[index].descriptor,
                    private=private[index].fileno(),
                    former=former,
                )
                for index in range(it.settings.workers)
            ]
            self.coming = coming
            coming.places.champion_failed.unlink(missing_ok=True)
            coming.begin(coming.children)
            while not coming.all_accept:
                self._refuse_failed(coming)
                yield
            for path in paths:
                yield from self._ask(path, coming)
        for index, child in enumerate(coming.children):  # its successor opens by itself
            again = made.worker(
                index, listener, first=coming.first, line=coming.lines[index].descriptor
            )
            child.env, child.pass_fds = again.env, again.pass_fds

    def _numbers(self, coming: Workers) -> range:
        return range(coming.first, coming.first + self.supervisor.settings.workers)

    def _refuse_failed(self, coming: Workers) -> None:
        if reason := coming.failure():
            raise Undone(f"{self.deployment.champion.pin} does not take over: {reason}", 3)
        for child in coming.children:
            if child.exit_code is not None:
                raise Undone(
                    f"{self.deployment.champion.pin} does not take over: its worker ended before it was ready "
                    f"({ending(child.exit_code)}). {child.log} says more.",
                    3,
                )

    def _ask(self, path: Path, coming: Workers) -> Steps:
        """Ask a worker whether it is ready, over its own connection as a balancer would."""
        until = time.monotonic() + ORDER_S
        with unix_socket.connect(path, timeout_s=1.0) as line:
            line.sendall(_ASKED)
            line.setblocking(False)
            heard = b""
            while b"\r\n" not in heard and time.monotonic() < until:
                with contextlib.suppress(BlockingIOError):
                    heard += line.recv(4096)
                self._refuse_failed(coming)
                yield
        if b" 200 " not in heard.partition(b"\r\n")[0]:
            first = heard.partition(b"\r\n")[0].decode("ascii", "replace") or "nothing"
            raise Undone(
                f"{self.deployment.champion.pin} does not take over: asked for /readyz, its worker said {first}.",
                3,
            )

    def _wake(self, rested: Resting) -> Steps:
        """Let workers that were kept warm serve this deployment."""
        it, self.coming = self.supervisor, rested.workers
        coming, listener = rested.workers, self._listener
        coming.first, coming.places = it.free_numbers(), self.places
        made = replace(it.processes, places=self.places)
        for index, (child, line) in enumerate(zip(coming.children, coming.lines, strict=True)):
            again = made.worker(index, listener, first=coming.first, line=line.descriptor)
            child.env, child.pass_fds = again.env, again.pass_fds
            line.done()
            number = coming.first + index
            peers = list(coming.numbers)
            line.order("return", own=self.places.folder, worker=number, peers=peers)
        yield from self._until_done(coming, "return")

    def _until_done(self, workers: Workers, what: str) -> Steps:
        """Wait until all have carried an order out, or have been replaced and accept by themselves."""
        asked = [child.pid for child in workers.children]
        left, until = set(range(len(asked))), time.monotonic() + ORDER_S
        while left:
            for index in sorted(left):
                for told in workers.lines[index].done():
                    if told["done"] == what and "failed" not in told:
                        left.discard(index)
                    elif told["done"] == what and not self.committed:
                        raise Undone(
                            f"{self.deployment.champion.pin} does not take over: a worker could not {what} "
                            f"({told['failed']}).",
                            4,
                        )
                if workers.children[index].pid != asked[index] and workers.accepts(index):
                    left.discard(index)
            if not self.committed:
                self._refuse_failed(workers)
                if time.monotonic() > until:
                    raise Undone(
                        f"{self.deployment.champion.pin} does not take over: its workers did not {what} within "
                        f"{ORDER_S:g} s.",
                        4,
                    )
            yield

    # -- callers go over

    def _take_over(self) -> Steps:
        it, coming, listener = self.supervisor, self._new, self._listener
        self._note("opening")
        for line in coming.lines:
            line.done()
        if not self.renews:
            homes.commit(self.places)
        self.committed = True
        it.workers = coming
        for line in coming.lines:
            line.order("open", listener, peers=list(coming.numbers))
        yield from self._until_done(coming, "open")
        self.opened = True
        self._say(f"{self.deployment.champion.pin} answers callers")

    def _part(self, going: Workers) -> Steps:
        """Let the former workers hand on and finish; those that do not in time are ended."""
        it, coming = self.supervisor, self._new
        rests = it.settings.warm_former > 0 and not self.renews
        patience_s = it.settings.drain_timeout
        self._note("parting")
        for index, child in enumerate(going.children):
            if not going.accepts(index):  # replaced just now and still loading: it must never open
                child.kill()
        for index, line in enumerate(going.lines):
            line.done()
            left, right = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            with left, right:
                coming.lines[index % len(coming.lines)].order("inherit", right)
                line.order("part", left, patience_s=patience_s, rests=rests)
        until = time.monotonic() + patience_s + 2 * it.settings.request_timeout + END_S
        rested: set[int] = set()
        while any(
            child.running and index not in rested for index, child in enumerate(going.children)
        ):
            for index, line in enumerate(going.lines):
                rested |= {
                    index
                    for told in line.done()
                    if rests and told["done"] == "part" and "failed" not in told
                }
            if time.monotonic() > until:
                for index, child in enumerate(going.children):
                    if index not in rested:
                        child.kill()
            yield
        going.bury_all(resting=rested)
        if len(rested) == len(going.children):
            it.rest(going)
        else:
            going.retire()
        self.going = None

    # -- the former deployment comes to its end

    def _turn_over(self) -> Steps:
        """End the former deployment's lanes once they have caught up, archive it, and begin the new one's."""
        it, former = self.supervisor, self.supervisor.places
        self._note("turning over")
        with contextlib.suppress(OSError):  # a full disk; lanes that stand still drain nothing
            former.draining.touch(mode=0o600)
        until = time.monotonic() + DRAIN_S
        while time.monotonic() < until and not self.hurry and pending(former, it.lanes):
            yield
        if it.membership is not None:
            it.membership.end()
        self.turning = True
        lanes, helpers = [watch.child for watch in it.lanes], it.helpers
        it.lanes, it.helpers = [], []
        yield from self._end_all(lanes, deadline_s=5.0)
        # The console last, so that the page is there for as long as it can be.
        yield from self._end_all(helpers[1:], deadline_s=END_S + 10.0)
        yield from self._end_all(helpers[:1], deadline_s=END_S)
        former.draining.unlink(missing_ok=True)
        shelf = homes.shelve(former)
        if shelf is not None:
            self._say(f"{shelf.name} is archived in {shelf}")
        it.turn_to(self.places, self.deployment)
        self.turning = False

    def _end_all(self, children: Sequence[Child], *, deadline_s: float) -> Steps:
        """Ask processes to end, and see that they do; soon where somebody waits for the next handover."""
        for child in children:
            child.hasten()
            child.signal(signal.SIGTERM)
        began = time.monotonic()
        while any(child.running for child in children):
            if time.monotonic() - began > (
                min(deadline_s, HURRIED_S) if self.hurry else deadline_s
            ):
                break
            yield
        for child in children:
            child.kill()

    # -- how it goes

    def _undo(self, error: Exception) -> None:
        known = isinstance(error, ShadowserveError)
        why = str(error) if known else f"The handover stopped: {error}."
        code = error.exit_code if isinstance(error, Undone) else 4
        if self.coming is not None and not self.committed:
            for child in self.coming.children:
                child.kill()
            self.coming.retire()
            self.coming = None
        if not self.committed and not self.renews:
            homes.discard(self.places)
        self._note(REFUSED, why)
        self.supervisor.say(f"Handover       {why}")
        if self.visitor is not None:
            self.visitor.refuse(why, exit_code=code)

    def _say(self, told: str) -> None:
        self.supervisor.say(f"Handover       {told}")
        if self.visitor is not None:
            self.visitor.tell(told)

    def _note(self, state: str, reason: str | None = None) -> None:
        present = self.supervisor.deployment
        if present is not None and self._former is None:
            self._former = present.champion.number
        now = datetime.now(UTC).isoformat(timespec="seconds")
        number, id_ = self.deployment.champion.number, self.deployment.id
        with contextlib.suppress(OSError):  # a full disk
            Handing(state, self._former, number, id_, now, reason).write(self.places)


def wanted(
    root_places: Places, deployment_id: str, present: Deployment
) -> tuple[Deployment, Places]:
    """Return the deployment that a command has prepared, and where it lies; the present one by its own id.

    Raises
    ------
    Undone
        If there is none of that id.
    """
    if deployment_id == present.id:
        return present, root_places
    with contextlib.suppress(ValueError, ShadowserveError):
        for places in homes.left_behind(root_places.root):
            found = deployments.read(places)
            if places.folder and found is not None and found.id == deployment_id:
                return found, places
    raise Undone(f"Nothing is prepared under {deployment_id}.", 2)
