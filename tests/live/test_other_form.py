"""A version of another name, in another form, is scored with the same traffic; callers get the champion's answers."""

from __future__ import annotations

import warnings

import pytest
from mlflow import MlflowClient

from rig import tiny
from rig.served import Served, expected

pytestmark = [pytest.mark.live, pytest.mark.timeout(600)]

FORMS = """
def shifted(output):
    return output + 1000.0
"""
N = 40


def registered_as_other(uri):
    """Register tiny's better version twice under another name."""
    client = MlflowClient(uri, uri)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # MLflow's own, on first use
        source = client.get_model_version("tiny", str(tiny.BETTER))
        files = client.get_logged_model(source.source.removeprefix("models:/")).artifact_location
        client.create_registered_model("other")
        for _ in range(2):
            client.create_model_version("other", files, run_id=source.run_id)
    return client


def test_it_is_compared_as_its_adapter_makes_it_and_callers_never_meet_that(tmp_path, store):
    options = ("--challenger", "other:1", "--adapt-output", "1=forms:shifted", "--no-control")
    served = Served(tmp_path, store, *options, challengers=())
    client = registered_as_other(f"sqlite:///{served.store}")
    (tmp_path / "forms.py").write_text(FORMS)
    with served:
        # Its number is the champion's, so its lane has another.
        assert "challenger v1001 is other:1" in served.said()
        assert "other:1 is compared as forms:shifted makes it" in served.said()
        assert served.lane_pid(1001)
        answers = [served.post("nnn", x / 10) for x in range(N)]
        served.settled()
        report = served.report(1001)
        by_pin = served.client.get(
            f"{served.console}/report.json", params={"challenger": "other:1"}
        )
        assert by_pin.json()["challenger"] == 1001
        assert served.stop(seconds=180.0) == 0
    for x, answer in enumerate(answers):
        (value,) = answer.json()["predictions"]
        assert abs(value - expected(x / 10, "nnn")) < 0.5
        assert answer.headers["X-Shadowserve-Model"] == "tiny/1"
    told = ("compared", "challenger_model", "challenger_version")
    assert [report[name] for name in told] == [N, "other", 1]
    assert report["adapter"]["name"] == "forms:shifted"
    # Without it both answer alike.
    assert report["divergence"]["disagreement"]["mean"] > 0.9
    # What is told of a version in the registry is told of the right model's.
    assert "shadowserve.verdict" in client.get_model_version("other", "1").tags
    assert "shadowserve.verdict" not in client.get_model_version("tiny", "1").tags
