"""What both lanes keep of a burst's request has one form."""

from __future__ import annotations

import pytest

from shadowserve.comparison.bursts import BurstRecord

WRITTEN = b'{"ms":1.5,"steps":[1.0,0.5],"scores":null,"unit":7,"at":9,"server_ms":0.25}'


def test_a_record_is_read_and_written_as_the_release_before_did():
    assert BurstRecord.decode(WRITTEN) == BurstRecord(1.5, [1.0, 0.5], None, 7, 9, 0.25)
    assert BurstRecord.decode(WRITTEN).encode() == WRITTEN


@pytest.mark.parametrize("name", ["unit", "at", "server_ms"])
def test_an_older_record_lacks_what_nobody_had_noted(name):
    text = b'{"ms":null,"steps":[],"scores":[0.5,0.5]}'
    assert getattr(BurstRecord.decode(text), name) == getattr(BurstRecord(None, [], None), name)
