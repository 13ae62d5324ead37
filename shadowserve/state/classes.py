"""A version's class labels, in the order of its probabilities: told by who has loaded it.

A lane loads its own version only, yet lays the champion's probabilities beside its own by class; and a
label that comes later says how good the probabilities of both were.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from shadowserve.state.files import write_whole

MAX_CLASSES = 20


def tell(path: Path, classes: Sequence[Any] | None) -> None:
    """Leave the labels at a place; a full disk is no reason not to serve."""
    with contextlib.suppress(OSError):
        write_whole(path, json.dumps(list(classes) if classes else None))


def told(path: Path) -> list[Any] | None:
    """Read them back; None where the version has none, or nothing was left."""
    try:
        found: list[Any] | None = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    return found


def by_class(
    scores: np.ndarray | None, served: Sequence[Any] | None, classes: Sequence[Any] | None
) -> dict[str, float]:
    """Return the probabilities of a request's only row.

    Parameters
    ----------
    scores : ndarray of shape (n_rows, n_classes), optional
        Computed beside labels.
    served : sequence of JSON values, optional
        The answer, one a row; it counts where the probabilities themselves are served.
    classes : sequence, optional
        Labels in the order of the probabilities.

    Returns
    -------
    dict of str to float
        Keys are the classes as JSON text. Empty for several rows, more than `MAX_CLASSES` classes,
        or where there are no probabilities.

    Examples
    --------
    >>> by_class(np.array([[0.25, 0.75]]), [1], [0, 1])
    {'0': 0.25, '1': 0.75}
    """
    rows = scores.tolist() if scores is not None else served
    if rows is None or classes is None or len(rows) != 1 or len(classes) > MAX_CLASSES:
        return {}
    row = rows[0]
    if not isinstance(row, list) or len(row) != len(classes):
        return {}
    known = zip(classes, row, strict=True)
    return {_text(label): p for label, p in known if isinstance(p, float) and p == p}


def class_texts(classes: Sequence[Any]) -> tuple[str, ...]:
    """Return the keys that `by_class` tells probabilities by."""
    return tuple(map(_text, classes))


def _text(label: Any) -> str:
    return json.dumps(label) if isinstance(label, list) else _scalar_text(label)


@lru_cache(maxsize=1_024, typed=True)  # 1, 1.0 and true are texts of their own
def _scalar_text(label: Any) -> str:
    return json.dumps(label)
