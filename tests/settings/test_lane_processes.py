"""How many processes score for a version, as people write it."""

from __future__ import annotations

import pytest

from shadowserve.errors import SettingsError
from shadowserve.settings.lane_processes import processes, read


@pytest.mark.parametrize("written", ["0", "00", "-1", "two", "4=", "4=0", "=2", "4=3=2", "1.5"])
def test_what_is_no_number_of_processes_is_refused_in_one_line(written):
    with pytest.raises(ValueError, match="is no number of processes") as told:
        read(written)
    assert not isinstance(told.value, SettingsError)
    assert "\n" not in str(told.value)


def test_the_last_that_speaks_of_a_version_holds():
    given = read(["2", "v4=3", "5=auto"])
    assert [processes(given, version, cpus=8, lanes=2) for version in (3, 4, 5)] == [2, 3, 4]
    assert processes(read("4=3,2"), 4, cpus=8, lanes=2) == 2


def test_auto_is_at_least_one():
    assert processes(read("auto"), 4, cpus=1, lanes=3) == 1
