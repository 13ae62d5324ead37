"""A finding as the report writes it."""

from __future__ import annotations

import json

from shadowserve.judgement.findings import Finding, Severity


def test_what_is_not_finite_is_null_in_json():
    from shadowserve.judgement.findings import Effect

    told = Finding("latency", Severity.NOTE, "x", effect=Effect("m", 1.0, 0.5, float("inf")))
    assert json.loads(json.dumps(told.to_dict(), allow_nan=False))["effect"]["high"] is None
