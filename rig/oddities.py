"""Exceptions as a model's own code may raise them: each a way to harm whoever looks at one."""

from __future__ import annotations

import asyncio
import time
from types import TracebackType
from typing import Any

MARKER = "ZQMARKQZ"


class Raising(Exception):
    def __str__(self) -> str:
        raise ValueError(MARKER)

    __repr__ = __str__


class Exiting(Exception):
    def __str__(self) -> str:
        raise SystemExit(MARKER)

    __repr__ = __str__


class Hanging(Exception):
    def __str__(self) -> str:
        time.sleep(3600)
        return MARKER

    __repr__ = __str__


class NoText(Exception):
    def __str__(self) -> Any:
        return 7


class Huge(Exception):
    def __str__(self) -> str:
        return MARKER * 10**9


class Guarded(Exception):
    def __getattribute__(self, name: str) -> Any:
        raise SystemExit(MARKER)


class Disguised(Exception):
    @property
    def __class__(self) -> Any:
        raise KeyboardInterrupt(MARKER)


class Stepping(Exception):
    @property
    def shadowserve_step(self) -> Any:
        raise SystemExit(MARKER)


class Traceless(Exception):
    @property
    def __traceback__(self) -> Any:
        raise SystemExit(MARKER)


class Argless(Exception):
    @property
    def args(self) -> Any:
        raise SystemExit(MARKER)


class Meta(type):
    @property
    def __name__(cls) -> str:  # type: ignore[override]
        raise SystemExit(MARKER)

    @property
    def __module__(cls) -> str:  # type: ignore[override]
        raise SystemExit(MARKER)

    def __getattribute__(cls, name: str) -> Any:
        raise SystemExit(MARKER)

    def __subclasscheck__(cls, other: type) -> bool:
        raise SystemExit(MARKER)


class Nameless(Exception, metaclass=Meta):
    pass


class Placeless(Exception):
    __module__ = 7  # type: ignore[assignment]


class Own(BaseException):
    pass


class EvilArgument:
    def __repr__(self) -> str:
        raise SystemExit(MARKER)

    __str__ = __repr__

    def __hash__(self) -> int:
        raise SystemExit(MARKER)

    def __eq__(self, other: object) -> bool:
        raise SystemExit(MARKER)


class EvilText(str):
    def encode(self, *_: Any) -> bytes:
        raise SystemExit(MARKER)

    def __str__(self) -> str:
        raise SystemExit(MARKER)


def cyclic() -> Exception:
    one, other = ValueError(MARKER), KeyError(MARKER)
    one.__cause__, other.__cause__ = other, one
    one.__context__, other.__context__ = other, one
    return one


def with_made_up_trace() -> Exception:
    try:
        raise ValueError(MARKER)
    except ValueError as error:
        trace = error.__traceback__
        assert trace is not None
        return error.with_traceback(TracebackType(None, trace.tb_frame, 0, 10**6))


def noted() -> Exception:
    error = ValueError(MARKER)
    error.__dict__["shadowserve_step"] = EvilText(MARKER)
    return error


def unicode_error() -> Exception:
    return UnicodeEncodeError("utf-8", f"{MARKER}\ud800", 0, 1, MARKER)


ERRORS: dict[str, Any] = {
    "text raises": lambda: Raising(MARKER),
    "text exits": lambda: Exiting(MARKER),
    "text hangs": lambda: Hanging(MARKER),
    "text is a number": lambda: NoText(MARKER),
    "text is huge": lambda: Huge(MARKER),
    "argument is huge": lambda: ValueError(MARKER * 10**6),
    "number is huge": lambda: ValueError(10**100_000),
    "argument is evil": lambda: ValueError(EvilArgument()),
    "text is an evil string": lambda: ValueError(EvilText(MARKER)),
    "every attribute exits": lambda: Guarded(MARKER),
    "class exits": lambda: Disguised(MARKER),
    "step exits": lambda: Stepping(MARKER),
    "step is an evil string": noted,
    "traceback exits": lambda: Traceless(MARKER),
    "arguments exit": lambda: Argless(MARKER),
    "name exits": lambda: Nameless(MARKER),
    "module is a number": lambda: Placeless(MARKER),
    "name is not to be written": lambda: type("\u202e\x1b[2J", (Exception,), {})(MARKER),
    "name is long": lambda: type("x" * 10**6, (Exception,), {})(MARKER),
    "surrogates": lambda: ValueError(f"{MARKER}\ud800"),
    "unicode": unicode_error,
    "causes in a circle": cyclic,
    "made-up traceback": with_made_up_trace,
    "key": lambda: KeyError(MARKER),
    "group": lambda: BaseExceptionGroup(MARKER, [SystemExit(MARKER), Raising(MARKER)]),
    "system exit": lambda: SystemExit(MARKER),
    "interrupt": lambda: KeyboardInterrupt(MARKER),
    "generator exit": lambda: GeneratorExit(MARKER),
    "cancelled": lambda: asyncio.CancelledError(MARKER),
    "stop iteration": lambda: StopIteration(MARKER),
    "base exception": lambda: Own(MARKER),
    "recursion": lambda: RecursionError(MARKER),
    "memory": lambda: MemoryError(MARKER),
}
