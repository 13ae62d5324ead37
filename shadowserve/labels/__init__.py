"""Labels that come later: taken whole, joined by request id, turned into a difference of losses."""

from shadowserve.labels.gain import Loss
from shadowserve.labels.joining import Losses
from shadowserve.labels.owner import Owner, pair_if_nobody_does, take
from shadowserve.labels.pairing import learn
from shadowserve.labels.reading import LabelsError, RowList, read_body, read_file
from shadowserve.labels.taken import Taken

__all__ = [
    "LabelsError",
    "Loss",
    "Losses",
    "Owner",
    "RowList",
    "Taken",
    "learn",
    "pair_if_nobody_does",
    "read_body",
    "read_file",
    "take",
]
