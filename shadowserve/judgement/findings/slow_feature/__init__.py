"""Slow featurization by name: steps that get slow on long inputs, on every call, or now and then."""

from __future__ import annotations

from shadowserve.judgement.findings.slow_feature.ways import look

__all__ = ["look"]
