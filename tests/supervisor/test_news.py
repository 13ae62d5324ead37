"""A start, a change and a stop say whether evidence arrives, and if not how much waits and why."""

from __future__ import annotations

import pytest

from rig.evidence import CHALLENGER, close_windows, deployment, state_directory
from shadowserve.evidence.condition import Condition
from shadowserve.evidence.shipped import Shipped
from shadowserve.evidence.undelivered import UndeliveredError
from shadowserve.supervisor.news import EvidenceNews, last_words

REFUSED = UndeliveredError("x answered 502 while opening the run.", kind="sink_error", status=502)


@pytest.fixture
def served():
    return deployment("sqlite:///none.db")


def test_a_stop_whose_evidence_did_not_arrive_says_how_much_why_and_what_then(tmp_path, served):
    places = state_directory(tmp_path, served)
    close_windows(places, CHALLENGER, 3)
    Condition(places.arrival).bad(REFUSED, {})
    told = last_words(places, served)
    assert "3 windows have not arrived in MLflow" in told
    assert "502" in told
    assert f"from {places.root} delivers them, whatever it serves" in told


def test_a_stop_whose_evidence_arrived_says_so(tmp_path, served):
    places = state_directory(tmp_path, served)
    close_windows(places, CHALLENGER, 2)
    shipped = Shipped(places.evidence, served.id)
    shipped.begin(str(CHALLENGER), "run")
    shipped.arrived(str(CHALLENGER), 1)
    shipped.close()
    assert last_words(places, served).endswith("all windows have arrived in MLflow.")
    close_windows(places, CHALLENGER, 1)
    assert "1 window has not arrived" in last_words(places, served)


def test_a_change_is_told_once_and_counts_that_grow_are_none(tmp_path, served):
    places = state_directory(tmp_path, served)
    news, condition = EvidenceNews(places), Condition(places.arrival)
    assert news.look() is None  # nothing was tried yet
    condition.good({})
    assert news.look() is None  # as it should be
    for waiting in (1, 2):
        condition.bad(REFUSED, {"challenger v4": {"waiting": waiting, "arrived": 0}})
        told = news.look()
        assert (told is None) == (waiting == 2)
    condition.good({"challenger v4": {"waiting": 0, "arrived": 2}})
    assert "arrives again" in (news.look() or "")
    assert news.look() is None
