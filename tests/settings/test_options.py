"""Options of a deployment: typed, defaults told once, and in its file as they always were."""

from __future__ import annotations

import json

import pytest

from rig.deployment import deployment
from shadowserve.settings.loading import load
from shadowserve.settings.options import Options
from shadowserve.state.deployment import Deployment

WRITTEN = {
    "method": "predict_proba", "sample_rate": 0.5, "entity": None, "entity_header": "x-customer",
    "output_kind": None, "log_inputs": ["title"], "hash_inputs": [], "drop_inputs": ["note"],
    "ignore_outputs": [], "batch": "earned", "probe": "full", "rescore": True, "one_job": False,
    "deadline": 10.0, "journal_budget": 2147483648, "max_body": 16777216, "strict_json": False,
    "lane_memory": 4294967296, "verdict": {"costs": {"a": {"b": 1}}, "max_disagreement": 0.1}, "tap": False,
    "challengers_before": 2,
}  # fmt: skip
"""As the release before wrote them, in its order."""


def test_what_the_release_before_wrote_is_read_and_written_alike():
    text = json.dumps(WRITTEN)
    assert json.dumps(Options.of(json.loads(text)).to_dict()) == text


def test_options_are_those_settings_that_were_made(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # where no file of settings lies
    settings = load({"sample_rate": "0.5", "log_inputs": "title,age", "champion": "v3"}, environ={})
    found = Options.from_settings(settings)
    assert (found.sample_rate, found.log_inputs, found.batch) == (0.5, ("title", "age"), "auto")
    assert found == Options(sample_rate=0.5, log_inputs=("title", "age"))


def test_what_a_file_of_another_release_lacks_was_not_asked_for_and_what_it_adds_is_left_out():
    raw = json.loads(deployment().to_json())
    raw["options"] = {"method": "predict", "from_tomorrow": 1}
    assert Deployment.from_json(json.dumps(raw)).options == Options()


@pytest.mark.parametrize("name", ["method", "verdict"])
def test_an_option_cannot_be_changed_once_it_is_read(name):
    with pytest.raises(AttributeError):
        setattr(Options(), name, None)
