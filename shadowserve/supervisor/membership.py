"""Who takes part: challengers join and leave while everybody else goes on.

A newcomer is fetched and checked by a process of its own (`joiner`). Then, within one turn of the supervisor's
loop, its lane's file is made behind what was journaled until now, and the deployment's file is replaced: that
instant it has joined. Who leaves has left with that file, too; then its lane is asked to end, and given a while.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import signal
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from shadowserve.ending import ending
from shadowserve.errors import SettingsError, ShadowserveError
from shadowserve.settings.policy import Policy
from shadowserve.settings.settings import Settings
from shadowserve.state import deployment as deployments
from shadowserve.state import joining
from shadowserve.state.deployment import Deployment, LaneName
from shadowserve.state.lane_condition import LEFT, Condition, condition
from shadowserve.state.lane_file import Unwritable
from shadowserve.state.places import Places
from shadowserve.supervisor.candidate import Candidate, refuse_member
from shadowserve.supervisor.child import Child
from shadowserve.supervisor.desk import Question, Visitor
from shadowserve.supervisor.processes import Processes
from shadowserve.supervisor.starving import Starving
from shadowserve.supervisor.watch import LaneWatch
from shadowserve.versions import pins
from shadowserve.versions.version import Version

LEAVE_S = 5.0
"""For a lane that has left to commit and close its window, before it is ended."""
CANCEL_S = 2.0
MOST_READ = 2**16
MOST_ANSWER = 2**24
_ENDED = ("running", "incompatible", "degraded")


@dataclass(slots=True)
class _Joining:
    """One version on its way in."""

    pin: str
    since: str
    child: Child
    answers: int
    visitor: Visitor
    cancelled_at: float | None = None
    heard: bytearray = field(default_factory=bytearray)
    told: str = "is resolved"
    starving: Starving = field(default_factory=Starving)


@dataclass(slots=True)
class _Waiting:
    """A visitor that waits for a newcomer's lane to run."""

    name: LaneName
    visitor: Visitor
    starving: Starving
    told: str | None = None


@dataclass(slots=True)
class _Leaving:
    """One lane on its way out."""

    watch: LaneWatch
    visitor: Visitor
    until: float


@dataclass(slots=True)
class Membership:
    """Lets challengers join and leave.

    Parameters
    ----------
    places, settings, processes
        As the supervisor has them.
    deployment : Deployment
    lanes : list of LaneWatch
        What the supervisor looks after; a newcomer's is put in, of who leaves it is taken out.
    watch : callable
        Makes what looks after a lane, given its name and how many lanes there are.
    say : callable
        Tells the user, one line a call.
    """

    places: Places
    settings: Settings
    processes: Processes
    deployment: Deployment
    lanes: list[LaneWatch]
    watch: Callable[[LaneName], LaneWatch]
    say: Callable[[str], None]
    _joining: _Joining | None = None
    _leaving: list[_Leaving] = field(default_factory=list)
    _waiting: list[_Waiting] = field(default_factory=list)
    _champion: Mapping[str, Any] | None = None
    _last: str | None = None

    def __post_init__(self) -> None:
        for name in self.deployment.left_lanes:  # of an earlier start that was cut off
            self._has_left(name)
        self._crowd()

    @property
    def watches(self) -> list[LaneWatch]:
        """What looks after all lanes, those on their way out too."""
        return [*self.lanes, *(one.watch for one in self._leaving)]

    @property
    def children(self) -> Iterator[Child]:
        """Processes that are not lanes."""
        if self._joining is not None:
            yield self._joining.child

    @property
    def holds(self) -> list[Mapping[int, int]]:
        """Cursors behind which the journal must stay for who is on its way in."""
        wants_past = self._joining is not None and self._joining.since != joining.NOW
        return [{}] if wants_past else []

    def answer(self, visitor: Visitor, question: Question) -> None:
        """Take up what a command asks for."""
        asked = {"add": self._add, "remove": self._remove, "list": self._list}
        act = asked.get(str(question.get("ask")))
        if act is None:
            visitor.refuse("The supervisor is of a release that does not know this. Restart it.")
            return
        try:
            act(visitor, question)
        except ShadowserveError as error:
            visitor.refuse(str(error), exit_code=error.exit_code)
        except OSError as error:  # a full disk, or no process more
            visitor.refuse(
                f"Nothing has changed: {error.strerror or error}. Free space there, and try again.",
                exit_code=4,
            )

    def turn(self) -> None:
        """Go on with who joins and who leaves."""
        if self._joining is not None:
            self._hear(self._joining)
        for one in list(self._leaving):
            self._see_off(one)
        for waiting in list(self._waiting):
            self._look_at(waiting)

    def end(self) -> None:
        """End what is on its way in or out."""
        if self._joining is not None:
            self._joining.child.end(deadline_s=CANCEL_S)
            self._forget()
        for one in self._leaving:
            one.watch.child.end(deadline_s=LEAVE_S)
            self._has_left(one.watch.name)

    def kill(self) -> None:
        """End all of it now."""
        for child in (*self.children, *(one.watch.child for one in self._leaving)):
            child.kill()

    def _add(self, visitor: Visitor, question: Question) -> None:
        text, since = str(question.get("pin")), _checked(question.get("since"))
        reference = pins.parse(text)
        asked = None
        if reference.version is not None:
            asked = pins.Pin(reference.model or self.deployment.model, reference.version)
            refuse_member(self.deployment, asked)
        if self._joining is not None:
            visitor.refuse(
                f"{self._joining.pin} is joining just now. Wait for it ('shadowserve challengers list'), or "
                f"end that with 'shadowserve challengers remove {self._joining.pin}'.",
                exit_code=4,
            )
            return
        leaving = [self.deployment.version_of(one.watch.name).pin for one in self._leaving]
        if asked in leaving:
            visitor.refuse(f"{text} is leaving just now. Try again in a moment.", exit_code=4)
            return
        isolated = question.get("isolate") is True
        self._joining = self._begin(visitor, text, since, isolated=isolated)
        self.say(f"Joining        {text} is fetched and checked")
        if question.get("wait") is False:
            visitor.end(joining=text)

    def _begin(self, visitor: Visitor, pin: str, since: str, *, isolated: bool) -> _Joining:
        asked = Candidate(
            pin=pin,
            deployment=self.deployment,
            models=self.places.models,
            allowed=self.settings.allow_digests,
            strict=self.settings.strict_versions,
            passed=self.settings.pass_env,
            champion=self._champion,
            isolated=isolated,
        )
        with contextlib.ExitStack() as opened:
            file = opened.enter_context(tempfile.TemporaryFile("w+", dir=self.places.scratch))
            file.write(asked.to_json())
            file.flush()
            answers, theirs = os.pipe()
            opened.callback(os.close, theirs)
            os.set_blocking(answers, False)
            child = self.processes.joiner(file.fileno(), theirs)
            try:
                child.start()
            except OSError:
                os.close(answers)
                raise
        return _Joining(pin, since, child, answers, visitor)

    def _hear(self, one: _Joining) -> None:
        """Take what the joiner has said since, and notice its end."""
        if one.cancelled_at is not None and time.monotonic() - one.cancelled_at > CANCEL_S:
            one.child.kill()
        running = one.child.running  # before the pipe is read: what it said last must be heard
        with contextlib.suppress(BlockingIOError):
            while came := os.read(one.answers, MOST_READ):
                one.heard += came
                if len(one.heard) > MOST_ANSWER:
                    one.child.kill()
                    break
        while b"\n" in one.heard:
            line, _, rest = bytes(one.heard).partition(b"\n")
            one.heard = bytearray(rest)
            if self._take(one, json.loads(line)):
                return
        if running and (hungry := one.starving.look(one.child)) is not None:
            one.visitor.tell(hungry)
        if not running:
            how = ending(one.child.exit_code)
            told = f"the process that checks it ended ({how}); {one.child.log} says more."
            if one.cancelled_at is not None:
                told = "it was asked to leave."
            self._refuse(one, f"{one.pin} has not joined: {told}")

    def _take(self, one: _Joining, said: Mapping[str, Any]) -> bool:
        """Take one line of the joiner's; True if it was the last."""
        if "told" in said:
            one.told = str(said["told"])
            one.visitor.tell(one.told)
            return False
        if "refused" in said:
            self._refuse(one, str(said["refused"]), exit_code=int(said["exit_code"]))
            return True
        found = said["found"]
        self._champion = found["champion"]
        try:
            version, path = Version.from_dict(found["version"]), str(found["path"])
            self._join(one, version, path, isolated=found.get("isolated", False))
        except (ShadowserveError, OSError, Unwritable) as error:
            known = isinstance(error, ShadowserveError)
            why = str(error) if known else f"its files cannot be written ({error})"
            self._refuse(one, f"{one.pin} has not joined: {why}")
        return True

    def _join(self, one: _Joining, version: Version, path: str, *, isolated: bool) -> None:
        """Let it join: from here on all that is journaled is meant for it, too."""
        refuse_member(self.deployment, version.pin)  # somebody else may have come meanwhile
        at = datetime.now(UTC).isoformat(timespec="seconds")
        wanted = joining.joined(self.deployment, version, path=path, at=at, isolated=isolated)
        name = wanted.lane_of(wanted.number_of(version))
        after = joining.place_to_begin(self.places, _moment(one.since))
        joining.begin(self.places, name, after=after)
        deployments.write(self.places, wanted)
        self._take_over(wanted)
        self._forget()
        watch = self.watch(name)
        watch.expect()
        self.lanes.insert(len(wanted.challengers) - 1, watch)
        self._crowd()
        k = wanted.place_of(name.version)
        told = (
            f"{name} joined behind {sum(after.values()):,} requests, as challenger {k} of this champion "
            f"(alpha {Policy.of(wanted.options.verdict).of_challenger(k).alpha:.3g})"
        )
        self.say(f"Joined         {told}")
        one.visitor.tell(f"{told}; it is loaded.")
        self._waiting.append(_Waiting(name, one.visitor, one.starving))

    def _look_at(self, waiting: _Waiting) -> None:
        """Tell who waits for a newcomer's lane how it fares."""
        name, visitor = waiting.name, waiting.visitor
        self._waiting.remove(waiting)
        if visitor.gone or visitor.ended:
            return
        state, reason = condition(self.places.lane(name.role, name.version, name.stay))
        if name not in self.deployment.lanes:
            visitor.refuse(f"{name} has left again.")
        elif state == "running":
            visitor.end(joined=str(name), version=name.version, state=state)
        elif state in _ENDED:
            visitor.refuse(
                f"{name} joined and is {state}: {reason} 'shadowserve challengers remove v{name.version}' lets "
                "it leave again.",
                exit_code=3,
            )
        else:
            if reason is not None and reason != waiting.told:
                visitor.tell(f"{name} {reason}.")
            watch = next(one for one in self.lanes if one.name == name)
            if (hungry := waiting.starving.look(watch.child)) is not None:
                visitor.tell(hungry)
            waiting.told = reason
            self._waiting.append(waiting)

    def _refuse(self, one: _Joining, why: str, *, exit_code: int = 4) -> None:
        self._last = why
        self.say(f"Joining        {why}")
        self._forget()
        one.visitor.refuse(why, exit_code=exit_code)

    def _forget(self) -> None:
        if self._joining is not None:
            self._joining.child.kill()
            os.close(self._joining.answers)
            self._joining = None

    def _remove(self, visitor: Visitor, question: Question) -> None:
        text = str(question.get("pin"))
        if self._joining is not None and text == self._joining.pin:
            self._joining.cancelled_at = time.monotonic()
            self._joining.child.signal(signal.SIGTERM)
            visitor.end(cancelled=text)
            return
        number = self._member(text)
        wanted = joining.without(
            self.places,
            self.deployment,
            number,
            at=datetime.now(UTC).isoformat(timespec="seconds"),
        )
        name = self.deployment.lane_of(number)
        deployments.write(self.places, wanted)
        self._take_over(wanted)
        watch = next(one for one in self.lanes if one.name == name)
        self.lanes.remove(watch)
        self._crowd()
        watch.child.hasten()
        watch.child.signal(signal.SIGTERM)
        self._leaving.append(_Leaving(watch, visitor, time.monotonic() + LEAVE_S))
        self.say(f"Left           {name}; its evidence is brought to the end")

    def _member(self, text: str) -> int:
        """Return the challenger that a text names.

        Raises
        ------
        ShadowserveError
            If it is none, or the last.
        """
        reference = pins.parse(text)
        names = _listed(self.deployment)
        if reference.version is None:
            raise ShadowserveError(
                f"{text} may be another version by now. Name the number; the challengers are {names}."
            )
        number = self.deployment.number_named(reference)
        if number is None or number not in self.deployment.numbers:
            raise ShadowserveError(
                f"{text} is no challenger of this deployment. Its challengers: {names}."
            )
        if len(self.deployment.challengers) == 1:
            raise ShadowserveError(
                f"{text} is the only challenger. Let another join first, or stop the deployment."
            )
        return number

    def _see_off(self, one: _Leaving) -> None:
        """Notice the end of a lane that has left, or bring it about."""
        child = one.watch.child
        if child.running and time.monotonic() < one.until:
            return
        child.kill()  # and what its model had started
        self._leaving.remove(one)
        self._has_left(one.watch.name)
        one.visitor.end(left=str(one.watch.name), version=one.watch.name.version)

    def _has_left(self, name: LaneName) -> None:
        lane = self.places.lane(name.role, name.version, name.stay)
        with contextlib.suppress(OSError):  # a full disk: the next start says it
            if lane.root.is_dir():
                Condition(LEFT).write(lane)

    def _list(self, visitor: Visitor, _question: Question) -> None:
        now = None
        if self._joining is not None:
            now = {"pin": self._joining.pin, "told": self._joining.told}
        visitor.end(joining=now, last_refused=self._last)

    def _take_over(self, deployment: Deployment) -> None:
        self.deployment = deployment

    def _crowd(self) -> None:
        """Let lanes score one at a time while they are more than the CPUs that they have."""
        n = len(self.deployment.lanes)
        with contextlib.suppress(OSError):
            if self.processes.placement.is_crowded(n):
                self.places.crowded.touch(mode=0o600)
            else:
                self.places.crowded.unlink(missing_ok=True)


def _checked(since: object) -> str:
    """Return since when a newcomer's requests are: a word, or seconds before it joins.

    Raises
    ------
    SettingsError
    """
    text = str(since or joining.NOW)
    if text not in (joining.NOW, joining.START):
        try:
            if not 0 < float(text) < math.inf:
                raise ValueError(text)
        except ValueError:
            raise SettingsError(f"--from {text}: write now, start, or a duration as 1h.") from None
    return text


def _moment(since: str) -> str | int:
    """Return what `place_to_begin` takes: a word, or nanoseconds since the epoch for so many seconds ago."""
    if since in (joining.NOW, joining.START):
        return since
    return time.time_ns() - int(float(since) * 1e9)


def _listed(deployment: Deployment) -> str:
    return ", ".join(map(deployment.name_of, deployment.numbers)) or "none"
