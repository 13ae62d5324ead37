"""Exceptions without their texts: what may be told of a failure that holds values.

An exception raised by a model often quotes the row that it could not take. What is recorded is its
type, the step and the frame that raised, and a hash of the text, so that two equal faults can be
told from two different ones without either being read.

An exception's class is the model's own code. None of it runs here: no ``__str__``, ``__repr__`` or
property, which could raise, hang or exit in its turn.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
from dataclasses import asdict, replace
from pathlib import Path
from types import TracebackType
from typing import Any

from shadowserve import withheld
from shadowserve.errors import RequestError
from shadowserve.records import Fault

MAX_NAME = 200
MAX_TEXT = 2**16
_PLAIN = (str, bytes, int, float, bool, type(None))
_UNKNOWN = "unknown"


class ToldFaultError(Exception):
    """An exception of another process, which told its fault and nothing else of it.

    Attributes
    ----------
    fault : Fault
    """

    def __init__(self, fault: Fault) -> None:
        super().__init__()
        self.fault = fault


def fault_of(error: BaseException, *, step: str | None = None) -> Fault:
    """Describe an exception by type, step, frame and a hash of its text. Never raises.

    Parameters
    ----------
    error : BaseException
        What was raised.
    step : str, optional
        The plan's step that was running; an error's own ``shadowserve_step`` note wins.
    """
    if type(error) is ToldFaultError:
        return error.fault if error.fault.step or step is None else replace(error.fault, step=step)
    name = _name(type(error))
    noted = _own_attribute(error, "shadowserve_step")
    own = noted[:MAX_NAME] if type(noted) is str else None
    column = None
    # By its type, not by isinstance, which would run the `__class__` of a model's exception.
    if issubclass(type(error), RequestError):
        code, at = _own_attribute(error, "code"), _own_attribute(error, "column")
        name = f"{name}:{code[:MAX_NAME]}" if type(code) is str else name
        column = str(at)[:MAX_NAME] if type(at) in (str, int) else None
    if asked := withheld.hint(error):
        name = f"{name} ({asked})"
    return Fault(
        type=name, step=own or step, frame=_frame(error), digest=_digest(error), column=column
    )


def tell(log: logging.Logger, message: str, *arguments: object) -> None:
    """Log an error, whatever a model has made of this process's logging or of its streams."""
    with contextlib.suppress(BaseException):
        log.error(message, *arguments, stacklevel=2)


def _name(kind: type) -> str:
    """Return a class's qualified name as the interpreter keeps it, past any metaclass."""
    name = type.__dict__["__name__"].__get__(kind)
    module = type.__dict__["__module__"].__get__(kind)
    if type(module) is not str or module == "builtins":
        module = ""
    return ".".join(filter(None, (_legible(module), _legible(name)))) or _UNKNOWN


def _legible(text: str) -> str:
    """Bound a name, and leave nothing in it that no file or terminal could take."""
    return text[:MAX_NAME] if text.isprintable() else _UNKNOWN


def _own_attribute(error: BaseException, name: str) -> Any:
    """Return what was set on the instance itself; None where there is nothing."""
    # Asked of BaseException itself: a model's class may run code when an attribute is read.
    own = BaseException.__dict__["__dict__"].__get__(error)
    return dict.get(own, name) if type(own) is dict else None


def _digest(error: BaseException) -> str:
    """Hash the arguments, as far as they are plain values; of others only the type tells."""
    given = BaseException.__dict__["args"].__get__(error)
    total = hashlib.sha256()
    # An exception may hold a whole frame of values: bounded, and none of its code is run.
    for each in given[:10]:
        kind = type(each)
        if kind is str:
            text = f"{len(each)}:{each[:MAX_TEXT]}".encode("utf-8", "replace")
        elif kind is bytes:
            text = each[:MAX_TEXT]
        elif kind is int:
            text = hex(each).encode()[:MAX_TEXT]
        else:
            text = repr(each).encode() if kind in _PLAIN else _name(kind).encode()
        total.update(text + b"\0")
    return total.hexdigest()[:12]


def _frame(error: BaseException) -> str:
    """Name the innermost frame; its source is not read, as `traceback` would do."""
    trace: TracebackType | None = BaseException.__dict__["__traceback__"].__get__(error)
    if trace is None:
        return ""
    while trace.tb_next is not None:
        trace = trace.tb_next
    code = trace.tb_frame.f_code
    return f"{_legible(Path(code.co_filename).name)}:{trace.tb_lineno} {_legible(code.co_name)}"


def to_json(fault: Fault) -> bytes:
    """Encode a fault for the journal and the lane's state file."""
    return json.dumps(asdict(fault)).encode()


def from_json(text: bytes | str) -> Fault:
    """Read what `to_json` wrote."""
    return Fault(**json.loads(text))
