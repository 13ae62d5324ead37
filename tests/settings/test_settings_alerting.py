"""`[alerts]`: what can be set, what is refused, and that the address is told to nobody."""

from __future__ import annotations

import pytest

from rig.written_settings import faults_of, load
from shadowserve.settings.alerting import ABOUT, WEBHOOK_VARIABLE, Alerting
from shadowserve.settings.options import Options

URL = "https://hooks.example:8443/services/T0/s3cret?key=s3cret"
TABLE = f'[alerts]\nwebhook = "{URL}"\n'


def test_without_a_table_nothing_is_sent():
    assert Alerting.of(load().alerts, {}) == Alerting("")


def test_all_of_it_can_be_set():
    more = 'shape = "slack"\non = ["alarm"]\nper_hour = 3\nevidence_after = "10m"\n'
    found = Alerting.of(load(toml=TABLE + more).alerts, {})
    assert found == Alerting(URL, "slack", ("alarm",), 3, 600.0)
    assert Alerting.from_environment(found.environment()) == found
    assert Alerting.of(load(toml=TABLE).alerts, {}).on == ABOUT


def test_the_address_may_stand_in_a_variable_and_the_file_goes_before_it():
    assert Alerting.of({}, {WEBHOOK_VARIABLE: URL}).webhook == URL
    assert Alerting.of({"webhook": "http://a/"}, {WEBHOOK_VARIABLE: URL}).webhook == "http://a/"


@pytest.mark.parametrize(
    ("written", "says"),
    [
        ("webhok = 'https://a/'", "[alerts] webhok: not known. Do you mean webhook?"),
        ("webhook = 'ftp://s3cret/'", "[alerts] webhook: an address such as"),
        ("webhook = 'https://'", "[alerts] webhook: an address such as"),
        ("webhook = 'https://a:99999/s3cret'", "[alerts] webhook: an address such as"),
        ("webhook = 'https://a/s3cret\\r\\nX: y'", "[alerts] webhook: an address such as"),
        ("webhook = 'https://ann:s3cret@a/'", "[alerts] webhook: user and password are not sent."),
        ("webhook = 3", "[alerts] webhook: an address such as"),
        ("per_hour = 3", "[alerts] webhook: not given."),
        (
            "webhook = 'https://a/'\nshape = 'teams'",
            "[alerts] shape: one of json, slack is expected.",
        ),
        ("webhook = 'https://a/'\non = ['mood']", "[alerts] on: a list of"),
        ("webhook = 'https://a/'\non = []", "[alerts] on: a list of"),
        ("webhook = 'https://a/'\non = 'alarm'", "[alerts] on: a list of"),
        ("webhook = 'https://a/'\nper_hour = 0", "[alerts] per_hour: a whole number"),
        ("webhook = 'https://a/'\nper_hour = true", "[alerts] per_hour: a whole number"),
        ("webhook = 'https://a/'\nper_hour = 100000", "[alerts] per_hour: a whole number"),
        (
            "webhook = 'https://a/'\nevidence_after = 'soon'",
            "[alerts] evidence_after: 'soon' is no duration",
        ),
    ],
)
def test_what_cannot_be_is_told_and_no_address_is_quoted(written, says):
    found = faults_of(toml=f"[alerts]\n{written}\n")
    assert [one for one in found if one.startswith(says)], found
    assert "s3cret" not in "".join(found)


@pytest.mark.parametrize("where", ["toml", "environ"])
def test_what_is_no_table_is_told(where):
    given = 'alerts = "https://a/"\n' if where == "toml" else {"SHADOWSERVE_ALERTS": "https://a/"}
    assert "[alerts]" in faults_of(**{where: given})[0]


def test_a_deployments_file_knows_nothing_of_it():
    assert "s3cret" not in str(Options.from_settings(load(toml=TABLE)).to_dict())
    assert Alerting(URL).receiver == "https://hooks.example:8443"
