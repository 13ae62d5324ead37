"""The desk: where commands ask the running supervisor, over a socket in the state directory.

One line of JSON asks, and lines of JSON answer until one is the last. The supervisor looks at it between other
things and never waits: what a command does not send or does not read costs nobody but itself.
"""

from __future__ import annotations

import contextlib
import json
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from shadowserve.host import unix_socket
from shadowserve.state.places import Places

MOST_VISITORS = 16
MOST_BYTES = 2**16
"""Of a question, and of answers that a command has not read yet."""
READS, READ_BYTES = 20, 2**12
"""At one turn, of one command."""
PATIENCE_S = 10.0
"""For a whole question to come, and for the last answer to be read."""

Question = Mapping[str, Any]


@dataclass(slots=True, eq=False)
class Visitor:
    """One command at the desk."""

    line: socket.socket
    since: float = field(default_factory=time.monotonic)
    asked: bool = False
    ended: bool = False
    gone: bool = False
    _heard: bytearray = field(default_factory=bytearray)
    _unsent: bytearray = field(default_factory=bytearray)

    def tell(self, text: str) -> None:
        """Tell how it goes, in words."""
        self._write({"told": text})

    def end(self, **facts: Any) -> None:
        """Tell the last of it."""
        self._write({"end": facts})
        self.ended, self.since = True, time.monotonic()

    def refuse(self, text: str, *, exit_code: int = 2) -> None:
        """Tell that nothing was done, and why."""
        self.end(refused=text, exit_code=exit_code)

    def hear(self) -> Question | None:
        """Take what has come of its question; return it once it is whole."""
        with contextlib.suppress(BlockingIOError):
            for _ in range(READS):  # whoever sends without end is heard no longer than others
                came = self.line.recv(READ_BYTES)
                if not came:
                    self.gone = True
                    return None
                if not self.asked:
                    self._heard += came
        if self.asked or b"\n" not in self._heard:
            if len(self._heard) > MOST_BYTES:
                self.refuse(f"A question of more than {MOST_BYTES} bytes is none.")
            return None
        self.asked = True
        return self._understood(bytes(self._heard.partition(b"\n")[0]))

    def _understood(self, line: bytes) -> Question | None:
        with contextlib.suppress(ValueError, RecursionError):
            told = json.loads(line)
            if isinstance(told, dict):
                return told
        self.refuse("A question is a JSON object on one line.")
        return None

    def _write(self, told: Mapping[str, Any]) -> None:
        if not self.gone and not self.ended:
            self._unsent += json.dumps(told).encode() + b"\n"
            self.send()

    def send(self) -> None:
        """Send what it takes now."""
        try:
            while self._unsent:
                del self._unsent[: self.line.send(self._unsent)]
        except BlockingIOError:
            self.gone = self.gone or len(self._unsent) > MOST_BYTES
        except OSError:
            self.gone = True

    @property
    def is_done(self) -> bool:
        """Whether there is nothing more to say to it, or nobody to say it to."""
        late = time.monotonic() - self.since > PATIENCE_S
        return self.gone or (self.ended and (not self._unsent or late)) or (late and not self.asked)


class Desk:
    """Listens, and hands questions on.

    Parameters
    ----------
    places : Places
        The state directory, which this process holds.
    answer : callable
        Is given each visitor with its question; it answers at once or in later turns, and never waits.
    """

    def __init__(self, places: Places, answer: Callable[[Visitor, Question], None]) -> None:
        self._path = places.desk
        self._answer = answer
        self._listening: socket.socket | None = unix_socket.listen(self._path)
        self._visitors: list[Visitor] = []

    def turn(self) -> None:
        """Look once: who has come, who has asked, who takes more of an answer."""
        self._admit()
        for one in self._visitors:
            try:
                asked = None if one.ended else one.hear()
            except OSError:
                one.gone = True
                continue
            if asked is not None:
                self._answer(one, asked)
            one.send()
        for one in [one for one in self._visitors if one.is_done]:
            self._visitors.remove(one)
            one.line.close()

    def _admit(self) -> None:
        while self._listening is not None:
            try:
                line, _ = self._listening.accept()
            except OSError:  # nobody has come, or no descriptor is left: then they wait
                return
            line.setblocking(False)
            visitor = Visitor(line)
            if len(self._visitors) >= MOST_VISITORS:
                visitor.refuse(
                    f"{MOST_VISITORS} commands ask the supervisor already. Try again in a moment.",
                    exit_code=4,
                )
                line.close()
                continue
            self._visitors.append(visitor)

    def close(self, why: str) -> None:
        """Let nobody in any more, and tell those who wait."""
        if self._listening is None:
            return
        self._listening.close()
        self._listening = None
        self._path.unlink(missing_ok=True)
        for one in self._visitors:
            if not one.ended:
                one.refuse(why, exit_code=4)
            one.line.close()
        self._visitors.clear()
