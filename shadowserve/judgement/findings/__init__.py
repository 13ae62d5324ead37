"""Findings: what is wrong with a challenger, named, in plain words.

Each module looks at one side of what is known and returns the findings it can stand by. A finding of
severity warning or critical is an alarm.
"""

from __future__ import annotations

from shadowserve.judgement.findings.finding import Effect, Finding, Severity, Where
from shadowserve.judgement.findings.looking import kinds, look

__all__ = ["Effect", "Finding", "Severity", "Where", "kinds", "look"]
