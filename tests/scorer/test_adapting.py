"""An adapter puts a challenger's output into the champion's form; where it fails, that is the challenger's error."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from rig.deployment import CHALLENGER, OPTIONS, deployment, made
from rig.lane import answer, records, work
from rig.scoring import double, opaque, version
from shadowserve.errors import ModelError, SettingsError
from shadowserve.report import build
from shadowserve.scorer import adapting
from shadowserve.scorer.adapting import Adapter
from shadowserve.settings import adapting as names
from shadowserve.settings.options import Options
from shadowserve.state import deployment as deployments

SOURCE = """
from units import CENTS  # a module beside it

def euros(output):
    return output["cents"] / CENTS

def failing(output):
    raise ValueError(output)

number = 3
"""


@pytest.fixture
def here(tmp_path, monkeypatch):
    """The directory where serve is started, with adapters in it."""
    (tmp_path / "forms.py").write_text(SOURCE)
    (tmp_path / "units.py").write_text("CENTS = 100")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def given(*texts):
    return Options.of({"adapt_output": texts, "adapters": adapting.digests(texts)})


def in_cents(frame, params):
    return {"cents": 100 * double(frame, params)}


def test_it_is_found_where_serve_was_started_beside_what_it_imports(here):
    found = adapting.of(given("4=forms:euros"), version(4))
    assert found.name == "forms:euros"
    assert found({"cents": np.array([250.0])}).tolist() == [2.5]
    assert adapting.of(given("4=forms:euros"), version(5)) is None


def test_a_model_that_ships_a_module_of_the_same_name_keeps_its_own(here):
    import sys

    adapting.load("forms:euros")
    assert "forms" not in sys.modules
    assert str(here) not in sys.path


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("nothing:here", "there is no module nothing in"),
        ("forms:absent", "forms:absent cannot be imported .AttributeError."),
        ("forms:number", "forms:number is no function of an output"),
        ("broken:euros", "broken:euros cannot be imported .ZeroDivisionError."),
    ],
)
def test_one_that_cannot_be_used_is_told_in_a_line(here, text, says):
    (here / "broken.py").write_text("1 / 0")
    with pytest.raises(SettingsError, match=says):
        adapting.load(text)


def test_what_names_no_function_is_told():
    for text in ("forms", "forms:", "4=forms", "0=forms:euros", "for ms:euros", "forms:a:b"):
        with pytest.raises(ValueError, match="names no function"):
            names.read(text)


def test_one_that_was_changed_since_the_start_is_not_loaded(here):
    options = given("forms:euros")
    (here / "forms.py").write_text(SOURCE + "\n")
    with pytest.raises(
        ModelError, match=r"adapter forms:euros is not what it was.*Start 'shadowserve serve' again"
    ):
        adapting.of(options, version(4))


def test_another_adapter_or_another_source_begins_a_new_deployment(here):
    options = Options.of(OPTIONS)
    before = deployment(
        options=replace(options, adapt_output=("forms:euros",), adapters={"forms:euros": "1"})
    )
    changed = replace(before.options, adapters={"forms:euros": "2"})
    assert deployment(options=before.options).same_as(before)
    assert before.differs_in(replace(before, options=changed)) == ["adapters"]
    assert before.differs_in(replace(before, options=options)) == ["adapt_output", "adapters"]


def test_answers_are_compared_as_it_makes_them(here, tmp_path):
    found = told(tmp_path, "forms:euros")
    assert (found["compared"], found["verdict"] != "reject", found["findings"]) == (420, True, [])
    assert found["adapter"]["name"] == "forms:euros"
    assert len(found["adapter"]["digest"]) == 64


def test_a_request_on_which_it_raises_is_the_challengers_error_and_says_where(here, tmp_path):
    found = told(tmp_path, "forms:failing")
    (lane,) = [one for one in found["ledger"]["lanes"] if one["role"] == "challenger"]
    assert (lane["challenger_error"], lane["both_ok"]) == (420, 0)
    (error,) = [one for one in found["findings"] if one["kind"] == "error_rate"]
    assert "adapt_output" in str(error)
    assert "ValueError" in error["message"]


def test_one_that_answers_for_other_rows_is_an_error_too(tmp_path):
    found = told(tmp_path, adapter=Adapter("forms:short", lambda output: output["cents"][:0]))
    (lane,) = [one for one in found["ledger"]["lanes"] if one["role"] == "challenger"]
    assert lane["challenger_error"] == 420


def told(tmp_path, *texts, adapter=None):
    """Let a challenger that answers in cents be compared, and return its report."""
    options = given(*texts) if texts else Options()
    own = adapter or adapting.of(options, version(4))
    places = made(tmp_path / "state", CHALLENGER)
    answer(places, records(420))
    work(places, replace(opaque(in_cents), adapter=own))
    served = deployment(
        options={**OPTIONS, "adapt_output": options.adapt_output, "adapters": options.adapters},
        control=False,
    )
    deployments.write(places, served)
    return build.build(places, served, challenger=4)
