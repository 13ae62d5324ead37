"""Cost of a call against cost of a row: a look-up of 30 ms hides in the average of a batch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from shadowserve.statistics.growth import robust_line
from shadowserve.statistics.octaves import Octaves


@dataclass(frozen=True, slots=True)
class CallCost:
    """What a step costs per call and per row.

    Parameters
    ----------
    fixed_ms : float
        Cost of a call, whatever its rows; of a call of the usual size where rows never differed.
    per_row_ms : float or None
        Cost of one further row; None where all calls had about the same number of rows.
    n : int
        Calls fitted.
    """

    fixed_ms: float
    per_row_ms: float | None
    n: int


class CallCostFit(Octaves):
    """Keeps the latest calls of every size of batch, and tells the two costs apart on request.

    Notes
    -----
    Fitted to relative errors with Huber's weights; see `shadowserve.statistics.growth.robust_line`.

    Examples
    --------
    >>> import numpy as np
    >>> fit = CallCostFit()
    >>> n_rows = np.tile([1, 1, 8, 64], 20)
    >>> fit.add(n_rows, 30 + 0.01 * n_rows)
    >>> cost = fit.fit()
    >>> round(cost.fixed_ms, 2), round(cost.per_row_ms, 3)
    (30.0, 0.01)
    """

    per_octave = 64

    def add(self, n_rows: ArrayLike, ms: ArrayLike) -> None:
        """Take in calls: rows of each, and what the step took in ms (NaN is left out)."""
        rows, took = np.atleast_1d(np.asarray(n_rows, np.int64), np.asarray(ms, np.float64))
        self.keep(rows.tolist(), np.where(rows > 0, took, np.nan).tolist())

    def fit(self) -> CallCost | None:
        """Fit both costs; None before ten calls."""
        n_rows, ms = self.kept()
        if n_rows.size < 10:
            return None
        # Sizes that hardly differ would tell the two costs apart by noise alone.
        if n_rows.max() < 2 * n_rows.min():
            return CallCost(float(np.median(ms)), None, n_rows.size)
        fixed, variable, _ = robust_line((n_rows / n_rows.max())[None], np.maximum(ms, 1e-6))
        return CallCost(float(fixed[0]), float(variable[0] / n_rows.max()), n_rows.size)
