"""States told by a table read as a release wrote them that had each by hand, and are written alike."""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path
from typing import ClassVar

import orjson
import pytest

from shadowserve.comparison.episodes import Episodes
from shadowserve.comparison.failures import Noise
from shadowserve.errors import StateError
from shadowserve.statistics.stored import Stored, plain
from shadowserve.statistics.tally import Worst

WRITTEN = json.loads((Path(__file__).parent / "states_before.json").read_text())


@pytest.mark.parametrize("name", WRITTEN)
def test_what_an_earlier_release_stored_goes_on_byte_by_byte(name):
    module, _, kind = name.partition(" ")[0].rpartition(".")
    stored = getattr(import_module(f"shadowserve.{module}"), kind)
    again = stored.from_state(WRITTEN[name]).state()
    known = {part: again.pop(part) for part in WRITTEN[name]}
    assert orjson.dumps(known) == orjson.dumps(WRITTEN[name])
    begun = stored().state() if again else {}  # what it did not know begins anew
    assert again == {part: begun[part] for part in again}


def test_a_part_that_an_earlier_release_did_not_know_begins_anew():
    told = dict(WRITTEN["comparison.failures.Noise"])
    del told["dependent"], told["dependent_examples"]
    found = Noise.from_state(told)
    assert (found.proofs, found.dependent, found.dependent_examples) == (2, 0, [])
    assert Episodes.from_state({}).state() == Episodes().state()


def test_requests_that_an_earlier_release_kept_as_examples_are_one_occasion_each():
    told = dict(WRITTEN["comparison.failures.Noise"])
    del told["occasions"]
    assert Noise.from_state(told).occasions == 2


def test_a_part_that_was_always_there_must_not_lack():
    told = dict(WRITTEN["comparison.failures.Noise"])
    del told["again"]
    with pytest.raises(KeyError, match="again"):
        Noise.from_state(told)


def test_a_labelled_state_of_another_summary_is_refused():
    with pytest.raises(StateError, match="expected 'worst'"):
        Worst.from_state({**WRITTEN["statistics.tally.samples.Worst"], "kind": "moments"})


def test_what_is_restored_shares_nothing_with_what_it_was_restored_from():
    told = json.loads(json.dumps(WRITTEN["comparison.lasting.Lasting"]))
    module = import_module("shadowserve.comparison.lasting")
    module.Lasting.from_state(told).asked.append(99)
    assert told == WRITTEN["comparison.lasting.Lasting"]


def test_what_a_constructor_takes_is_given_to_it():
    class Pair(Stored):
        parts: ClassVar = {"low": plain, "n": plain.at("_n")}
        given = ("low",)

        def __init__(self, low):
            self.low, self._n = low, 0

    found = Pair.from_state({"low": 1, "n": 4})
    assert (found.low, found._n, found.state()) == (1, 4, {"low": 1, "n": 4})
