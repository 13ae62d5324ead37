"""Names of the registered models that are locks of promotions, and no models: nobody serves or lists them."""

from __future__ import annotations

import hashlib
import re

_LONGEST = 180
_SUFFIX = "-shadowserve-switching"
_OURS = re.compile(rf".+{re.escape(_SUFFIX)}(-[0-9a-f]{{16}})?", re.DOTALL)


def root_of(model: str) -> str:
    """Return the name of a model's lock.

    Examples
    --------
    >>> root_of("films")
    'films-shadowserve-switching'
    """
    short = model
    if len(model) > _LONGEST:
        short = f"{model[:_LONGEST]}-{hashlib.sha256(model.encode()).hexdigest()[:16]}"
    return f"{short}{_SUFFIX}"


def is_lock(name: str) -> bool:
    """Tell whether a registered model is a lock and no model.

    Examples
    --------
    >>> is_lock("films-shadowserve-switching"), is_lock("films")
    (True, False)
    """
    return _OURS.fullmatch(name) is not None
