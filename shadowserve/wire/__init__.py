"""The wire: protocols to typed rows, predictions to JSON.

`protocols` is the table; each protocol is a module. What other rooms need of MLflow's scoring
protocol, the form in which models' own examples are kept, is at hand here.
"""

from __future__ import annotations

from shadowserve.wire.answers import answer, nonfinite, read_answer
from shadowserve.wire.cut import split
from shadowserve.wire.invocations import parse

__all__ = ["answer", "nonfinite", "parse", "read_answer", "split"]
