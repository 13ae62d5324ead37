"""The lock by which one of two promoters wins, wherever they are: a registered model, since making one is atomic.

MLflow sets an alias whatever it stood for before. So whoever moves one first registers a model of a name
that belongs to the lock, whose tags say who it is and what is being done, and deletes it afterwards.

A holder that dies leaves it. Nobody deletes another's lock: who takes over registers a further link, named
by the token of the link before it, so of two who do, one wins. The last link of the chain holds the lock;
letting go deletes the chain from its beginning. A link that is not reached from there holds nothing.
"""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from shadowserve.errors import ShadowserveError, UnreachableError
from shadowserve.versions.calls import Calls
from shadowserve.versions.lock_names import is_lock, root_of
from shadowserve.versions.whereabouts import Whereabouts

WAIT_S = 20.0
"""How long a promoter waits for another one."""
HOLD_S = 60.0
"""After so long a holder moves nothing any more, so that whoever breaks its lock later is alone."""
BREAK_AFTER_S = 300.0
"""How old a lock must be before it is broken on somebody's word."""
_LOOK_S = 0.2
_TOKEN = re.compile(r"[0-9a-f]{16}")
_TAG = "shadowserve.switching."
_SAID = "The lock of a promotion by shadowserve; gone when that is done. 'shadowserve promote' says whose it is."


class HeldError(UnreachableError):
    """Somebody else holds the lock."""


@dataclass(frozen=True, slots=True)
class Link:
    """One link of the chain.

    Parameters
    ----------
    name : str
        Of the registered model that it is.
    token : str
        Of this one holding; no other ever has it.
    by : str
        Who made it.
    at_s : float
        When, since the epoch, by the clock of whoever made it.
    where : Whereabouts
    intent : str
        What was to be done, as the holder wrote it.
    """

    name: str
    token: str
    by: str
    at_s: float
    where: Whereabouts
    intent: str

    @property
    def age_s(self) -> float:
        """Seconds since it was made, as far as the clocks agree."""
        return time.time() - self.at_s


@dataclass(slots=True)
class Held:
    """The lock, held by this process.

    Parameters
    ----------
    left : tuple of Link
        Of holders that died, the oldest first: what they had begun.
    """

    lock: SwitchLock
    own: Link
    left: tuple[Link, ...]
    _until: float = field(default_factory=lambda: _clock_s() + HOLD_S)

    def check(self) -> None:
        """Make sure, before something is changed, that the lock is still held.

        Raises
        ------
        HeldError
            If it was broken, or has been held for so long that it may be at any moment.
        """
        if _clock_s() > self._until:
            raise HeldError(
                f"This took longer than {HOLD_S:g} s, after which others may take over. Nothing was changed "
                "from here. Try again when the registry answers faster."
            )
        chain = self.lock.chain()
        if not chain or chain[-1].token != self.own.token:
            raise HeldError(
                f"Somebody broke the lock {self.own.name!r} of this promotion meanwhile. Nothing was changed "
                "from here. See what was: 'shadowserve pins'."
            )


class SwitchLock:
    """The lock of one model's aliases.

    Parameters
    ----------
    calls : Calls
    model : str
        Registered name.
    """

    def __init__(self, calls: Calls, model: str) -> None:
        self._calls = calls
        self._root = root_of(model)

    @contextmanager
    def held(
        self,
        *,
        by: str,
        intent: str,
        broken: str | None = None,
        say: Callable[[str], None] = lambda _: None,
        wait_s: float = WAIT_S,
    ) -> Iterator[Held]:
        """Hold the lock for the length of a block.

        Parameters
        ----------
        by : str
            Who takes it.
        intent : str
            What is to be done, for whoever finds the lock of a holder that died.
        broken : str, optional
            Token of a holding that somebody says is over.
        wait_s : float
            How long another holder is waited for.

        Raises
        ------
        HeldError
            If another one holds it all the time.
        UnreachableError
            If the registry cannot be used.
        """
        token = secrets.token_hex(8)
        told = {"token": token, "by": by, "at": repr(time.time()), "intent": intent}
        told |= Whereabouts.own().to_dict()
        try:
            held = self._take(token, told, broken=broken, say=say, wait_s=wait_s)
        except BaseException:
            with suppress(ShadowserveError):
                self._withdraw(token)
            raise
        try:
            yield held
        finally:
            # The registry may be away by now: then the next one sees that this process is gone.
            with suppress(ShadowserveError):
                self._let_go(held)

    def chain(self) -> list[Link]:
        """Return the links from the first to the one that holds; empty where nobody does."""
        found: list[Link] = []
        name = self._root
        while (link := self._look(name)) is not None:
            found.append(link)
            name = self._after(link)
        return found

    def is_left(self, broken: str | None = None) -> bool:
        """Tell whether a holder that is gone has left it, as far as can be known."""
        chain = self.chain()
        return bool(chain) and _may_succeed(chain[-1], broken)

    def _take(
        self,
        token: str,
        told: Mapping[str, str],
        *,
        broken: str | None,
        say: Callable[[str], None],
        wait_s: float,
    ) -> Held:
        until, waits = _clock_s() + wait_s, False
        while True:
            chain = self.chain()
            if chain and chain[-1].token != token:
                last = chain[-1]
                if not _may_succeed(last, broken):
                    if _clock_s() > until:
                        raise HeldError(_held(last))
                    if not waits:
                        say(f"Waiting        for {last.by}, who is moving an alias just now")
                        waits = True
                    time.sleep(_LOOK_S)
                    continue
                say(f"Taking over    the lock that {last.by} left ({_where(last)})")
            name = self._after(chain[-1]) if chain else self._root
            if self._make(name, told):
                chain = self.chain()
                if chain and chain[-1].token == token:
                    self._sweep(chain)
                    return Held(self, chain[-1], tuple(chain[:-1]))
                # What it was to follow was let go of meanwhile: it holds nothing.
                self._delete(name)

    def _let_go(self, held: Held) -> None:
        chain = self.chain()
        # One that was taken over belongs to whoever did, to the end.
        if chain and chain[-1].token == held.own.token:
            # From the beginning: what remains if this is cut off is reached from nowhere.
            for link in chain:
                self._delete(link.name)

    def _withdraw(self, token: str) -> None:
        """Delete a link of ours that was made and holds nothing yet."""
        chain = self.chain()
        if chain and chain[-1].token == token:
            for link in chain if len(chain) == 1 else chain[-1:]:
                self._delete(link.name)

    def _sweep(self, chain: list[Link]) -> None:
        """Delete links that are reached from nowhere."""
        own = {link.name for link in chain}
        for name in self._calls.registered():
            if name.startswith(self._root) and is_lock(name) and name not in own:
                self._delete(name)

    def _after(self, link: Link) -> str:
        return f"{self._root}-{link.token}"

    def _look(self, name: str) -> Link | None:
        tags = self._calls.model_tags(name)
        if tags is None:
            return None
        told = {k.removeprefix(_TAG): v for k, v in tags.items() if k.startswith(_TAG)}
        token, at = told.get("token", ""), told.get("at", "")
        return Link(
            name=name,
            # Whoever made it by hand gave it none; the chain ends there then.
            token=token if _TOKEN.fullmatch(token) else "0" * 16,
            by=told.get("by", "somebody"),
            at_s=_number(at),
            where=Whereabouts.of(told),
            intent=told.get("intent", ""),
        )

    def _make(self, name: str, told: Mapping[str, str]) -> bool:
        tags = {f"{_TAG}{key}": value for key, value in told.items()}
        return self._calls.register(name, tags=tags, said=_SAID)

    def _delete(self, name: str) -> None:
        self._calls.unregister(name)


def _may_succeed(last: Link, broken: str | None) -> bool:
    """Whether a holder is known to be gone, or somebody answers for that and it is old enough."""
    if last.where.is_gone:
        return True
    if broken is None or broken != last.token or last.where.is_gone is False:
        return False
    return last.age_s >= BREAK_AFTER_S


def _where(link: Link) -> str:
    return f"process {link.where.pid} of {link.where.host or 'an unknown host'}"


def _held(last: Link) -> str:
    """Say who holds it, and what to do, by what can be known of them."""
    since = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(last.at_s))
    who = f"{last.by} has been moving an alias of this model since {since} UTC ({_where(last)})."
    if last.where.is_gone is False:
        return f"{who} It runs. Wait for it, or end it; nothing was changed from here."
    return (
        f"{who} Whether it still runs cannot be seen from here; ask there. If it is dead, "
        f"--break-lock {last.token} takes over, once the lock is {BREAK_AFTER_S / 60:g} minutes old. Nothing was changed."
    )


def _clock_s() -> float:
    """Return seconds that also pass while the machine sleeps, where the system counts them."""
    clock: Any = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
    return time.clock_gettime(clock)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0
