"""The kinds of output, each in a module of its own. To add one: its module, and its name here.

Those that a team may name stand in `settings.vocabulary` besides.
"""

from __future__ import annotations

from shadowserve.divergence.kind import OutputKind, register
from shadowserve.divergence.kinds.label import Label
from shadowserve.divergence.kinds.multi import Multi
from shadowserve.divergence.kinds.number import Number
from shadowserve.divergence.kinds.probability import Probability
from shadowserve.divergence.kinds.ranking import Ranking
from shadowserve.divergence.kinds.record import Record
from shadowserve.divergence.kinds.sets import ItemSet
from shadowserve.divergence.kinds.text import Text
from shadowserve.divergence.kinds.vector import Vector

# The later one stands, the earlier it is asked whether an output is its own: first the catch-alls.
KINDS: tuple[OutputKind, ...] = (
    Label(),
    Number(),
    Text(),
    Multi(),
    Ranking(),
    Vector(),
    Record(),
    Probability(),
    ItemSet(),
)

for one in KINDS:
    register(one)
