"""Preflight of two versions, without traffic: who they are, whether they run, what can be compared."""

from shadowserve.check.pair import Check, Side, check
from shadowserve.check.trial import Trial
from shadowserve.check.trying import try_out

__all__ = ["Check", "Side", "Trial", "check", "try_out"]
