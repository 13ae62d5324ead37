"""Labels that come later: taken whole, joined by request id, turned into a difference of losses."""

from shadowserve.labels.gain import Loss
from shadowserve.labels.joining import Losses, learn
from shadowserve.labels.reading import LabelsError, RowList, read_body, read_file
from shadowserve.labels.taking import Taken, take

__all__ = [
    "LabelsError",
    "Loss",
    "Losses",
    "RowList",
    "Taken",
    "learn",
    "read_body",
    "read_file",
    "take",
]
