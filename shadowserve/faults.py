"""Exceptions without their texts: what may be told of a failure that holds values.

An exception raised by a model often quotes the row that it could not take. What is recorded is its
type, the step and the frame that raised, and a hash of the text, so that two equal faults can be
told from two different ones without either being read.
"""

from __future__ import annotations

import hashlib
import json
import traceback
from dataclasses import asdict
from pathlib import Path

from shadowserve.errors import RequestError
from shadowserve.records import Fault


def fault_of(error: BaseException, *, step: str | None = None) -> Fault:
    """Describe an exception by type, step, frame and a hash of its text.

    Parameters
    ----------
    error : BaseException
        What was raised.
    step : str, optional
        The plan's step that was running; an error's own ``shadowserve_step`` note wins.
    """
    kind = type(error)
    name = kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__name__}"
    text = str(error).encode("utf-8", "replace")
    column = error.column if isinstance(error, RequestError) else None
    return Fault(
        type=f"{name}:{error.code}" if isinstance(error, RequestError) else name,
        step=getattr(error, "shadowserve_step", None) or step,
        frame=_frame(error),
        digest=hashlib.sha256(text).hexdigest()[:12],
        column=None if column is None else str(column),
    )


def _frame(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    if not frames:
        return ""
    innermost = frames[-1]
    return f"{Path(innermost.filename).name}:{innermost.lineno} {innermost.name}"


def to_json(fault: Fault) -> bytes:
    """Encode a fault for the journal and the lane's state file."""
    return json.dumps(asdict(fault)).encode()


def from_json(text: bytes | str) -> Fault:
    """Read what `to_json` wrote."""
    return Fault(**json.loads(text))
