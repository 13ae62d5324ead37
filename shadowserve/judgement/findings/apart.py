"""How far answers lie apart in one place and in another, in words that say what the share is of."""

from __future__ import annotations

from shadowserve.divergence import Kind
from shadowserve.judgement.findings.finding import share


def apart(kind: Kind | None, here: float, there: float, *, where: str) -> str:
    """Say how far a challenger's answers lie from the champion's, here and there.

    Parameters
    ----------
    kind : Kind or None
        Of output. Of labels a share of requests is told, of other answers a mean distance.
    here, there : float
        Mean disagreement, 0 the same answer, 1 wholly another one.
    where : str
        What the second is, such as ``"elsewhere"`` or ``"before"``.

    Examples
    --------
    >>> apart(Kind.LABEL, 0.16, 0.03, where="elsewhere")
    'gives another label for 16 % of requests, elsewhere for 3 %'
    >>> apart(Kind.SET, 0.16, 0.03, where="before")
    'answers 16 % apart from the champion on average, before 3 % (0 % is the same answer, 100 % wholly another)'
    """
    if kind is Kind.LABEL:
        return f"gives another label for {share(here)} of requests, {where} for {share(there)}"
    return (
        f"answers {share(here)} apart from the champion on average, {where} {share(there)} "
        "(0 % is the same answer, 100 % wholly another)"
    )
