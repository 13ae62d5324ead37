"""A version that learned from a short time is named."""

from __future__ import annotations

import dataclasses

import pytest

from rig.deployment import deployment
from rig.judging import found, known_of
from rig.scoring import double, opaque, version
from shadowserve.judgement.findings import Severity
from shadowserve.versions.training import TrainingData


def trained(number, since, until):
    data = TrainingData("events", rows=100, since=since, until=until)
    return dataclasses.replace(version(number), training_data=(data,))


@pytest.mark.parametrize(
    ("since", "severity"), [("2020-04-05", Severity.WARNING), ("2018-06-01", Severity.INFO)]
)
def test_a_version_that_learned_from_a_short_time_is_named(tmp_path, since, severity):
    known = known_of(tmp_path, opaque(double), n=30)
    apart = deployment(
        champion=trained(3, "2018-01-01", "2020-04-12"),
        challengers=(trained(4, since, "2020-04-12"),),
    )
    known = dataclasses.replace(known, deployment=apart, challenger=apart.challengers[0])
    assert found(known)["lineage"].severity is severity
