"""The report: one for each challenger, in the contract's form, finite and without a value."""

from __future__ import annotations

import json
from contextlib import nullcontext

import pytest

from rig.deployment import deployment
from rig.judging import FEW, shadowed
from rig.scoring import double, native, opaque, pipeline, record, version
from rig.unwritable import digests, unwritable
from shadowserve.errors import SettingsError
from shadowserve.labels import take
from shadowserve.report import build
from shadowserve.state.places import Places

SECRET = "s3cret-value"
CONTRACT = {
    "schema", "model", "champion", "challenger", "requests", "windows", "verdict", "findings",
    "divergence", "latency", "features", "slices", "ledger",
}  # fmt: skip


def test_a_report_has_the_contracts_form(tmp_path):
    places, served = shadowed(tmp_path, native(pipeline(), number=4), champion=native(pipeline()))
    told = build.build(places, served, challenger=4)
    assert set(told) >= CONTRACT
    assert (told["model"], told["champion"], told["challenger"]) == ("films", 3, 4)
    assert (told["requests"], told["compared"], told["windows"]) == (420, 420, 1)
    assert told["verdict"] == "continue"
    assert told["ledger"]["balanced"]
    json.dumps(told, allow_nan=False)


def test_every_step_of_every_role_is_told(tmp_path):
    places, served = shadowed(tmp_path, native(pipeline(), number=4), champion=native(pipeline()))
    features = build.build(places, served, challenger=4)["features"]
    named = {(one["role"], one["step"]) for one in features}
    steps = ("columns/scale", "columns/words", "model")
    assert named >= {(role, step) for role in ("challenger", "control") for step in steps}
    (words,) = [
        one for one in features if (one["role"], one["step"]) == ("challenger", "columns/words")
    ]
    assert words["columns"] == ["title"]
    assert words["p50_ms"] > 0
    assert words["p99_ms"] is None  # below a thousand effective observations there is none
    shares = [one["share"] for one in features if one["role"] == "challenger"]
    assert 0.2 < sum(shares) <= 1.01


def test_no_value_of_a_request_is_in_a_report(tmp_path):
    def fail(frame, params):
        if (frame["age"] % 5 == 0).any():
            raise ValueError(frame.to_json())
        return double(frame, params) + (frame["title"] == SECRET).to_numpy() * 1000.0

    sent = [{**record(n), "title": SECRET if n % 3 else "red"} for n in range(420)]
    places, served = shadowed(tmp_path, opaque(fail), sent=sent)
    told = build.build(places, served, challenger=4)
    assert {one["kind"] for one in told["findings"]} >= {"error_rate", "prediction_divergence"}
    assert SECRET not in json.dumps(told)


@pytest.mark.parametrize("rights", ["any", "none to write"])
def test_a_report_changes_no_byte_and_needs_no_right_to_write(tmp_path, rights):
    """Also where labels came that nobody has paired yet."""
    places, served = shadowed(tmp_path, native(pipeline(), number=4), champion=native(pipeline()))
    take(places, served, [(1, "nobody's", 1)])
    before = digests(places.root)
    expected = build.build(places, served, challenger=4)["labels"]
    assert expected["unknown"] == 1
    copied = nullcontext(places.root) if rights == "any" else unwritable(places.root)
    with copied as root:
        assert build.build(Places(root), served, challenger=4)["labels"] == expected
        assert digests(root) == before


def test_before_its_first_request_a_report_is_empty_but_whole(tmp_path):
    places, served = shadowed(tmp_path, opaque(double), sent=[])
    told = build.build(places, served, challenger=4)
    assert set(told) >= CONTRACT
    assert (told["requests"], told["compared"], told["verdict"]) == (0, 0, "continue")
    json.dumps(told, allow_nan=False)


def test_a_report_without_a_control_says_so(tmp_path):
    places, served = shadowed(tmp_path, opaque(double), control=False)
    told = build.build(places, served, challenger=4)
    assert told["divergence"]["noise_floor"] is None
    assert told["latency"]["control"] is None
    assert told["latency"]["paired_ratio"]["n"] == 0


def test_the_noise_floor_is_the_controls(tmp_path):
    places, served = shadowed(tmp_path, opaque(double))
    assert build.build(places, served, challenger=4)["divergence"]["noise_floor"] == 0.0


@pytest.mark.parametrize(
    ("given", "number"), [(None, 5), ("v4", 4), ("4", 4), ("films:4", 4), ("models:/films/5", 5)]
)
def test_a_challenger_is_named_in_any_spelling_else_the_first(given, number):
    served = deployment(challengers=(version(5), version(4)))
    assert build.number_of(served, given) == number


@pytest.mark.parametrize(("given", "challengers"), [("v9", (version(4),)), (None, ())])
def test_a_challenger_that_is_not_there_is_refused_with_those_that_are(given, challengers):
    with pytest.raises(SettingsError, match=r"Its challengers: (v4|none)"):
        build.number_of(deployment(challengers=challengers), given)


def test_the_policy_is_the_one_that_was_frozen_at_the_start():
    served = deployment(options={"verdict": FEW, "log_inputs": ["title"]})
    policy = build.policy_of(served, 4)
    assert policy.min_requests == 100
    assert policy.shown(["age", "title"]) == ["title"]
