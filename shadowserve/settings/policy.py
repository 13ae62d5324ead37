"""The policy of findings and verdict: limits, margins and how much alpha they may spend.

It is read from ``[verdict]`` in the settings, printed with every verdict, and frozen when the
deployment starts.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from difflib import get_close_matches
from math import inf
from typing import Any, Self

from shadowserve.errors import SettingsError
from shadowserve.settings.vocabulary import LOSSES

ALARM_SHARE = 1 / 15
"""What an alarm that rests on a test may spend of the alarms' alpha, unless its module says another share.

All shares together leave a reserve: a kind of alarm that a later release adds to a running deployment
takes half of what is left of it. Every one of these tests holds at every look, so a share is spent once,
however often and however long one looks; by the union bound all of them together raise a false alarm with
at most the whole.
"""


@dataclass(frozen=True, slots=True)
class Policy:
    """Limits that a challenger must keep.

    Parameters
    ----------
    alpha : float
        Probability of a wrong promote or reject, over all looks. A challenger spends its share of the
        family's (`of_challenger`) on each limit.
    alarm_alpha_total : float
        Probability that a challenger without a fault ever raises an alarm, over all kinds and looks.
    max_disagreement : float
        Mean disagreement above the noise beyond which a challenger is not promoted without labels.
    min_disagreement : float
        Disagreement above the noise that is not worth an alarm.
    max_error_rate : float
        On how many more of all requests than the champion it may fail, as a share.
    latency_margin : float
        How much slower than the control it may be, as a share; at least 0.10.
    max_loss_increase : float
        How much of what the champion gains over the constant answer a challenger may lose once labels
        tell, as a share. Negative asks for a gain.
    loss_margin : float
        What is too little to matter, on top of it: "not worse" can only be proven with a margin. A
        share of the champion's gain, too.
    loss : str
        What labels are judged by: one of `LOSSES`, or a function of the team's own, as
        ``module:function``. Empty: as the kind of output has it.
    loss_cap : float
        The most that a loss without a bound of its own counts. 0: from the first labels.
    costs : mapping of label to (mapping of answer to cost)
        What each answer costs where each label is true; the mean cost then decides.
    min_labels : int
        Labels from which they decide in the place of disagreement.
    min_requests : int
        Requests that both must have answered before there is a verdict.
    min_examples : int
        Requests that it takes to call something more than a mishap.
    log_inputs : str or tuple of str
        Columns whose values findings may show.
    challenger : int
        Which challenger since the last switch it is for; it is no key of ``[verdict]``.
    family_alpha : float
        What all challengers since the last switch spend together; it is no key either.
    """

    alpha: float = 0.05
    alarm_alpha_total: float = 0.01
    max_disagreement: float = 0.1
    min_disagreement: float = 0.005
    max_error_rate: float = 0.005
    latency_margin: float = 0.10
    max_loss_increase: float = 0.0
    loss_margin: float = 0.3
    loss: str = ""
    loss_cap: float = 0.0
    costs: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    min_labels: int = 200
    min_requests: int = 1_000
    min_examples: int = 5
    log_inputs: str | tuple[str, ...] = "none"
    challenger: int = 0
    family_alpha: float = 0.0

    def of_challenger(self, k: int) -> Self:
        """Return the policy for the k-th challenger since the last switch.

        It spends ``alpha / (k (k + 1))`` on each limit. So all of them together, however many are
        tried, are wrongly promoted with at most alpha.

        Examples
        --------
        >>> Policy().of_challenger(1).alpha, round(Policy().of_challenger(4).alpha, 4)
        (0.025, 0.0025)
        """
        whole = self.family_alpha or self.alpha
        return replace(self, alpha=whole / (k * (k + 1)), family_alpha=whole, challenger=k)

    def describe(self) -> str:
        """Say in a line what is frozen: how much may be lost, by which loss, and how alpha is shared.

        Examples
        --------
        >>> Policy().describe()
        "may lose 30 % of what the champion gains over the constant answer, by the output's own loss; alpha 0.05"
        """
        by = (self.loss or "cost") if self.loss or self.costs else "the output's own loss"
        share = f"{100 * self.allowed_loss:.3g} %"
        limit = (
            f"may lose {share} of" if self.allowed_loss >= 0 else f"must gain {share[1:]} more than"
        )
        what = "what the champion gains over the constant answer"
        which = f" (challenger {self.challenger} of this champion)" if self.challenger else ""
        return f"{limit} {what}, by {by}; alpha {self.alpha:.3g}{which}"

    def alarm_alpha(self, share: float = ALARM_SHARE) -> float:
        """Return what one kind of alarm may spend, over all looks."""
        return self.alarm_alpha_total * share

    @property
    def allowed_loss(self) -> float:
        """Share of the champion's gain over the constant answer that a challenger may lose."""
        return self.max_loss_increase + self.loss_margin

    @classmethod
    def of(cls, table: Mapping[str, Any], *, log_inputs: str | tuple[str, ...] = "none") -> Self:
        """Read ``[verdict]``.

        Raises
        ------
        SettingsError
            With one line for each unknown key or impossible limit.
        """
        faults = list(faults_of(table))
        if faults:
            raise SettingsError("\n".join(faults))
        return cls(**table, log_inputs=log_inputs)

    def shown(self, columns: Collection[Any]) -> list[Any]:
        """Return the columns whose values may be shown."""
        if self.log_inputs == "all":
            return list(columns)
        return (
            [column for column in columns if column in self.log_inputs]
            if self.log_inputs != "none"
            else []
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the limits as they are printed with a verdict."""
        told = {name: value for name, value in asdict(self).items() if name != "log_inputs"}
        # Judged for no challenger, it has the keys of the settings file and no others.
        return told if self.challenger else {n: v for n, v in told.items() if n not in _NO_KEYS}


_NO_KEYS = ("challenger", "family_alpha", "log_inputs")
_OWN_LOSS = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")
_SHARES = (
    "alpha",
    "alarm_alpha_total",
    "max_disagreement",
    "min_disagreement",
    "max_error_rate",
    "loss_margin",
)
_COUNTS = ("min_labels", "min_requests", "min_examples")


def faults_of(table: Mapping[str, Any]) -> Iterator[str]:
    """Yield a line for each unknown key or impossible limit of ``[verdict]``."""
    names = [one.name for one in fields(Policy) if one.name not in _NO_KEYS]
    if table.get("loss") == "cost" and not table.get("costs"):
        yield "[verdict] loss: cost needs a matrix. Write [verdict.costs], a table for each label."
    for name, value in table.items():
        if name not in names:
            near = get_close_matches(name, names, n=1)
            hint = f" Do you mean {near[0]}?" if near else f" Known: {', '.join(names)}."
            yield f"[verdict] {name}: not known.{hint}"
        elif name == "loss":
            if not isinstance(value, str) or not (value in LOSSES or _OWN_LOSS.fullmatch(value)):
                yield f"[verdict] loss: one of {', '.join(LOSSES)}, or your own as module:function, is expected."
        elif name == "costs":
            yield from _faults_of_costs(value)
        # To Python, true is a number.
        elif isinstance(value, bool) or not isinstance(value, int | float):
            yield f"[verdict] {name}: a number is expected, {type(value).__name__} came."
        else:
            yield from _faults_of_number(name, value)


def _faults_of_number(name: str, value: float) -> Iterator[str]:
    if name in _SHARES and not 0 < value < 1:
        yield f"[verdict] {name}: a share above 0 and below 1 is expected."
    elif name == "latency_margin" and not 0.10 <= value <= 10:
        yield "[verdict] latency_margin: at least 0.10; two processes of one version differ by 2 % for ever."
    elif name == "max_loss_increase" and not -1 < value < 1:
        yield "[verdict] max_loss_increase: a share above -1 and below 1 is expected."
    elif name == "loss_cap" and not 0 < value < inf:
        yield "[verdict] loss_cap: a number above 0 is expected, the most that one loss counts."
    elif name in _COUNTS and (not isinstance(value, int) or value < 1):
        yield f"[verdict] {name}: a whole number of at least 1 is expected."


def _faults_of_costs(value: Any) -> Iterator[str]:
    """Yield the faults of a cost matrix: it needs, for each label, answers with a cost of 0 or more."""
    rows = list(value.values()) if isinstance(value, Mapping) else []
    costs = [cost for row in rows if isinstance(row, Mapping) for cost in row.values()]
    numbers = all(
        isinstance(cost, int | float) and not isinstance(cost, bool) and 0 <= cost < inf
        for cost in costs
    )
    if len(rows) < 2 or not all(isinstance(row, Mapping) for row in rows):
        yield (
            "[verdict] costs: a table for each of two labels or more is expected, of what each answer costs: "
            "fraud = { fraud = 0, fine = 50 }."
        )
    elif not numbers or not any(costs):
        yield "[verdict] costs: each cost is a number of at least 0, and one of them above it."
