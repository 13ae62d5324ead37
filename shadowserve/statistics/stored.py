"""Stored state, told by a table: which attribute is stored under which name, and how.

Most summaries are the sum of their parts. Such a class says so once, in `parts`, and is written and
read by it. A class whose state is something else writes its own `state` and `from_state`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, ClassVar, Self

import numpy as np

from shadowserve.errors import StateError

State = dict[str, Any]
STATE_VERSION = 1


def labelled(kind: str, **content: Any) -> State:
    """Put kind and version on a state."""
    return {"kind": kind, "version": STATE_VERSION, **content}


def checked(state: Mapping[str, Any], kind: str) -> Mapping[str, Any]:
    """Return the state if it is of this kind and version.

    Raises
    ------
    StateError
        If it is another summary's, or another release's.
    """
    found = (state.get("kind"), state.get("version"))
    if found != (kind, STATE_VERSION):
        raise StateError(
            f"Saved summary is {found[0]!r} version {found[1]!r}; expected {kind!r} version "
            f"{STATE_VERSION}. Start a new deployment, or read it with the release that wrote it."
        )
    return state


@dataclass(frozen=True, slots=True)
class Part:
    """How one attribute is stored.

    Parameters
    ----------
    write, read : callable
        Attribute to JSON values, and back.
    attribute : str
        Its name where that is not the stored one.
    may_lack : bool
        Whether an earlier release may have stored none: then it stays as a new object has it.
    """

    write: Callable[[Any], Any]
    read: Callable[[Any], Any]
    attribute: str = ""
    may_lack: bool = False

    def at(self, attribute: str) -> Part:
        """Return the same of an attribute with another name than the stored one."""
        return replace(self, attribute=attribute)

    @property
    def young(self) -> Part:
        """The same, where an earlier release knew nothing of it."""
        return replace(self, may_lack=True)


class Stored:
    """Whatever is stored part by part.

    Attributes
    ----------
    parts : mapping of name to Part
        In the order in which they are written.
    given : tuple of str
        Parts that the constructor takes, by their attributes' names without an underscore.
    label : str
        Kind that the state names; without one the state is the parts alone.
    """

    __slots__ = ()
    parts: ClassVar[Mapping[str, Part]]
    given: ClassVar[tuple[str, ...]] = ()
    label: ClassVar[str] = ""

    def state(self) -> State:
        """Return everything as JSON-able values; `from_state` gives the same back."""
        told = {
            name: part.write(getattr(self, part.attribute or name))
            for name, part in self.parts.items()
        }
        return labelled(self.label, **told) if self.label else told

    @classmethod
    def from_state(cls, state: Mapping[str, Any] | None) -> Self:
        """Read what `state` wrote; parts that an earlier release did not know begin anew.

        Raises
        ------
        StateError
            If a labelled state is another summary's, or another release's.
        KeyError
            If a part is missing that was always there.
        """
        found = checked(state or {}, cls.label) if cls.label else state or {}
        read = {
            name: part.read(found[name])
            for name, part in cls.parts.items()
            if name in found or not part.may_lack
        }
        # What the constructor takes it also checks; the rest is set over what it began with.
        it = cls(**{name: read.pop(name) for name in cls.given})
        for name, value in read.items():
            setattr(it, cls.parts[name].attribute or name, value)
        return it


def _same(value: Any) -> Any:
    return value


plain = Part(_same, _same)
"""A number, a text or None."""
listed = Part(_same, list)
table = Part(_same, dict)
tupled = Part(list, tuple)
counted = Part(dict, Counter)


def of(kind: Any) -> Part:
    """Store a summary by its own state."""
    return Part(lambda held: held.state(), kind.from_state)


def record(kind: Any) -> Part:
    """Store a dataclass by the names of its fields."""
    return Part(asdict, lambda told: kind(**told))


def row(kind: Any) -> Part:
    """Store a dataclass by its values alone, in the order of its fields."""
    names = [field.name for field in fields(kind)]
    return Part(lambda held: [getattr(held, name) for name in names], lambda told: kind(*told))


def array(dtype: Any) -> Part:
    """Store an array as a list of numbers."""
    return Part(lambda held: held.tolist(), lambda told: np.asarray(told, dtype=dtype))


def maybe(part: Part) -> Part:
    """Store what may be None."""
    return Part(
        lambda held: None if held is None else part.write(held),
        lambda told: None if told is None else part.read(told),
    )


def each(part: Part) -> Part:
    """Store a list of things."""
    return Part(
        lambda held: [part.write(one) for one in held], lambda told: list(map(part.read, told))
    )


def named(part: Part) -> Part:
    """Store things by name."""
    return Part(
        lambda held: {name: part.write(one) for name, one in held.items()},
        lambda told: {name: part.read(one) for name, one in told.items()},
    )


def numbered(part: Part) -> Part:
    """Store things by whole numbers, which are texts as names in JSON."""
    return Part(
        lambda held: {str(number): part.write(one) for number, one in held.items()},
        lambda told: {int(number): part.read(one) for number, one in told.items()},
    )


def keyed(part: Part) -> Part:
    """Store things by keys of any type, as a list of key and thing."""
    return Part(
        lambda held: [(key, part.write(one)) for key, one in held.items()],
        lambda told: {key: part.read(one) for key, one in told},
    )
