"""Columns of features laid side by side by their values on recorded rows; names prove nothing.

Two columns are the same where they agree on every row. A column that agrees on most of the rows where it says anything
is the same one changed on the others, unless it only has other names for its values: codes may have changed places, and an
estimator may have learnt with either. What agrees on none may be the same in another unit, or after a refit that its
estimator learnt with: values cannot tell, so it is not matched.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from shadowserve.judgement.cause.vectors import ATOL, RTOL, same

LEAST_AGREEING = 0.5
"""Of the rows where either column is not at its commonest value."""
LEAST_ROWS = 10
MOST_CODES = 0.25
"""Different values for each row; a column with more holds no codes."""


@dataclass(frozen=True, slots=True)
class Matched:
    """Which columns are which.

    Parameters
    ----------
    pairs : tuple of (int, int)
        Champion's and challenger's place of each column that both have.
    changed : tuple of (int, int)
        Those of them whose values are not all the same.
    champion, challenger : tuple of int
        Columns without a counterpart that are not 0 on every row.
    """

    pairs: tuple[tuple[int, int], ...]
    changed: tuple[tuple[int, int], ...]
    champion: tuple[int, ...]
    challenger: tuple[int, ...]

    @property
    def is_same(self) -> bool:
        """Whether all columns that say anything are the same, in whatever order."""
        return not (self.changed or self.champion or self.challenger)


def matched(champion: np.ndarray, challenger: np.ndarray) -> Matched:
    """Match columns by their values.

    Parameters
    ----------
    champion, challenger : ndarray of shape (n_rows, n_columns)
    """
    keys = [_keys(one) for one in (champion, challenger)]
    free: dict[bytes, list[int]] = {}
    for at, key in enumerate(keys[1]):
        free.setdefault(key, []).append(at)
    pairs: dict[int, int] = {}
    for at, key in enumerate(keys[0]):
        places = free.get(key, [])
        if places:
            # Equal columns change places at no cost; the own place is the likeliest.
            pairs[at] = places.pop(places.index(at) if at in places else 0)
    left = [
        [at for at in range(own.shape[1]) if at not in done and (own[:, at] != 0).any()]
        for own, done in ((champion, pairs.keys()), (challenger, set(pairs.values())))
    ]
    partly = _partly(champion, challenger, *left)
    pairs |= partly
    taken = set(partly.values())
    # Where values lie at the edge of a rounding, equal ones come as far as here.
    changed = {a: b for a, b in partly.items() if not same(champion[:, a], challenger[:, b]).all()}
    return Matched(
        tuple(sorted(pairs.items())),
        tuple(sorted(changed.items())),
        tuple(at for at in left[0] if at not in partly),
        tuple(at for at in left[1] if at not in taken),
    )


def _keys(own: np.ndarray) -> list[bytes]:
    """Return what equal columns have in common: their values as far as sums in another order agree."""
    with np.errstate(all="ignore"):
        places = np.where(own == 0, 0, 10 - np.floor(np.log10(np.abs(own))) - 1)
        scale = 10.0 ** np.clip(np.nan_to_num(places), -300, 12)
        rounded = np.round(own * scale) / scale + 0.0
    return [rounded[:, at].tobytes() for at in range(own.shape[1])]


def _partly(
    champion: np.ndarray, challenger: np.ndarray, own: list[int], others: list[int]
) -> dict[int, int]:
    """Match what agrees on most rows: each the other's best, and better than any else."""
    if not own or not others:
        return {}
    found = _agreeing(champion[:, own], challenger[:, others])
    # Renamed values cost a look at each, so they are looked for only where columns could be matched.
    for row, column in np.argwhere(found >= LEAST_AGREEING):
        if _is_renamed(champion[:, own[row]], challenger[:, others[column]]):
            found[row, column] = 0.0
    made = {}
    for row, a in enumerate(own):
        best = int(found[row].argmax())
        rivals = np.append(np.delete(found[row], best), np.delete(found[:, best], row))
        if found[row, best] >= LEAST_AGREEING and not (rivals >= found[row, best]).any():
            made[a] = others[best]
    return made


def _agreeing(own: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return the share of rows that agree where either says something: ndarray of shape (n_own, n_others)."""
    common, theirs = (np.column_stack([_is_commonest(c) for c in t.T]) for t in (own, others))
    shares = np.zeros((own.shape[1], others.shape[1]))
    for at, column in enumerate(own.T):
        telling = ~(common[:, at, None] & theirs)
        agree = np.isclose(column[:, None], others, rtol=RTOL, atol=ATOL, equal_nan=True) & telling
        n = agree.sum(axis=0)
        shares[at] = np.where(n >= LEAST_ROWS, n / np.maximum(telling.sum(axis=0), 1), 0.0)
    return shares


def _is_renamed(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether each of few values became one other, and two at least another: as codes do that changed places."""
    values, places = np.unique(a, return_inverse=True)
    others, theirs = np.unique(b, return_inverse=True)
    if max(len(values), len(others)) > len(a) * MOST_CODES:
        return False
    ways = set(zip(places.tolist(), theirs.tolist(), strict=True))
    one_to_one = len(ways) == len(values) == len(others)
    moved = sum(not np.isclose(values[x], others[y], rtol=RTOL, atol=ATOL) for x, y in ways)
    return one_to_one and moved > 1


def _is_commonest(own: np.ndarray) -> np.ndarray:
    values, counts = np.unique(own, return_counts=True)
    return np.asarray(own == values[counts.argmax()])
