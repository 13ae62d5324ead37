"""Requests that the champion refused are told with their number."""

from __future__ import annotations

import dataclasses

from rig.judging import known_of, of_champion
from rig.scoring import double, opaque
from shadowserve.judgement.findings import Severity


def test_requests_that_the_champion_refused_are_told_with_their_number(tmp_path):
    known = known_of(tmp_path, opaque(double), n=100)
    assert of_champion(known) == []
    counts = dataclasses.replace(known.ledger.champion, rejected=100)
    known = dataclasses.replace(known, ledger=dataclasses.replace(known.ledger, champion=counts))
    (one,) = of_champion(known)
    assert (one.kind, one.severity) == ("coverage", Severity.NOTE)
    assert "refused 100 of 200 requests" in one.message
