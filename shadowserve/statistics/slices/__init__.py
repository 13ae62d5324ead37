"""Slices of the traffic: which values or ranges of which features carry the disagreement."""

from shadowserve.statistics.slices.canonical import Kind, kind_of
from shadowserve.statistics.slices.columns import Columns
from shadowserve.statistics.slices.condition import Condition
from shadowserve.statistics.slices.search import SliceSearch
from shadowserve.statistics.slices.slice import Slice

__all__ = ["Columns", "Condition", "Kind", "Slice", "SliceSearch", "kind_of"]
