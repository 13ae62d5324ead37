"""Which challengers run isolated is settled with the pins, and the champion never does."""

from __future__ import annotations

from pathlib import Path

import pytest

from rig.deployment import deployment
from rig.scoring import version
from shadowserve.errors import SettingsError
from shadowserve.settings.loading import load
from shadowserve.settings.options import Options
from shadowserve.state import joining
from shadowserve.state.places import Places
from shadowserve.supervisor.refusals import file_faults, isolated_of
from shadowserve.versions.pins import Pin
from shadowserve.versions.version import Version

CHAMPION, CHALLENGERS = Pin("films", 3), (Pin("films", 4), Pin("films", 5))


def settings(*isolate, **flags):
    given = {"champion": "v3", "challengers": ("v4", "@next"), "isolate": isolate, **flags}
    return load(given, environ={}) if "environ" in load.__annotations__ else load(given)


def isolated(*texts):
    return isolated_of(settings(*texts), CHAMPION, CHALLENGERS)


def test_challengers_are_named_as_pins_are():
    assert isolated("v4") == isolated("4") == isolated("films:4") == ("films:4",)
    assert isolated("@next") == ("films:5",)
    assert isolated("5", "v4", "4") == ("films:5", "films:4")
    assert isolated() == ()


def test_the_champion_is_refused_with_what_to_do():
    with pytest.raises(
        SettingsError, match=r"films:3 is the champion, and only challengers run isolated"
    ):
        isolated("v3")


@pytest.mark.parametrize("text", ["v9", "@other", "books:4"])
def test_what_is_no_challenger_is_refused(text):
    with pytest.raises(SettingsError, match=r"names none of the challengers: films:4, films:5"):
        isolated(text)


def test_who_joined_while_serving_runs_as_it_joined():
    at = "2026-01-02T00:00:00+00:00"
    served = deployment(options=Options(isolate=("films:4",)))
    served = joining.joined(served, version(5), path="/5", at=at, isolated=True)
    served = joining.joined(served, version(6), path="/6", at=at)
    challengers = [one.pin for one in served.challengers]

    def isolated_again(*texts):
        return isolated_of(settings(*texts), CHAMPION, challengers, recorded=served)

    assert isolated_again("v4") == ("films:4", "films:5")
    assert isolated_again() == ("films:5",)
    assert isolated_again("v4", "v6") == ("films:4", "films:5")
    left = joining.without(Places(Path("/nowhere")), served, 5, at=at)
    challengers = [one.pin for one in left.challengers]
    assert isolated_again("v4", "v5") == ("films:4",)


def test_other_libraries_are_no_fault_of_a_version_that_has_its_own():
    version = Version(model="films", number=4, created="", libraries={"scikit-learn": "0.1"})
    strict = settings(strict_versions=True)
    assert file_faults(strict, version)
    assert file_faults(strict, version, isolated=True) == []


def test_credentials_of_an_index_stand_in_no_deployment():
    options = Options.from_settings(
        settings(package_index="https://ann:s3cret@host.example/simple")
    )
    assert options.package_index == "https://host.example/simple"
    assert "s3cret" not in str(options.to_dict())


def test_an_index_that_is_no_address_is_refused_without_repeating_it():
    with pytest.raises(SettingsError) as raised:
        settings(package_index="ann:s3cret@host.example/simple")
    assert "s3cret" not in str(raised.value)
