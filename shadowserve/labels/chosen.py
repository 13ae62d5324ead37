"""The loss that a team chose: one of those known here, or a function of its own.

A function lies in a module that Python finds, or in the directory where `serve` was started. It is
handed the label and the answer of one row and returns how bad that is.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

from shadowserve.errors import SettingsError
from shadowserve.faults import fault_of

OwnLoss = Callable[[Any, Any], float]


@lru_cache(maxsize=8)
def own_loss(chosen: str) -> OwnLoss | None:
    """Return the function that ``module:function`` names; None for a loss that is known here.

    Raises
    ------
    SettingsError
        If there is no such module or function.
    """
    module, colon, name = chosen.partition(":")
    if not colon:
        return None
    try:
        with _from_here():
            found = getattr(importlib.import_module(module), name)
    except BaseException as error:  # whatever importing it raises
        raise SettingsError(
            f"[verdict] loss: {chosen} cannot be imported ({fault_of(error).type}). Install its module, or "
            "start in the directory where it lies."
        ) from error
    if not callable(found):
        raise SettingsError(f"[verdict] loss: {chosen} is no function of a label and an answer.")
    return found  # type: ignore[no-any-return]


@contextmanager
def _from_here() -> Any:
    here = os.getcwd()  # noqa: PTH109 - sys.path holds strings
    sys.path.insert(0, here)
    try:
        yield
    finally:
        sys.path.remove(here)
