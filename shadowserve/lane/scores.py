"""Probabilities by class, so that a label that comes later can say how good they were."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np

MAX_CLASSES = 20


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
    return {json.dumps(label): p for label, p in known if isinstance(p, float) and p == p}
