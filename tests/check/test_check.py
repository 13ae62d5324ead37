"""Preflight: each version tried in its own process, and what two of them can be compared in."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace

import cloudpickle
import pandas as pd
import pytest
from click.testing import CliRunner
from mlflow.models import infer_signature
from mlflow.pyfunc import PythonModel
from sklearn.linear_model import LinearRegression, LogisticRegression

from rig.check import PASSAGE, TRIAL, side
from rig.registry import FRAME, LABELS, register, shared_store, write_code
from shadowserve.check import Trial, check, try_out
from shadowserve.check.bodies import Bodies
from shadowserve.check.trial import Passage
from shadowserve.cli import main
from shadowserve.scorer.loading import input_example
from shadowserve.settings.options import Options
from shadowserve.versions.pins import Pin
from shadowserve.versions.registry import Registry


def test_a_version_against_itself_is_comparable_in_everything():
    found = check(side(3), side(4))
    assert found.compatible
    assert found.differences == ()
    assert found.not_comparable == ()
    assert "Answers, as number; on the champion's example 2 of 2 rows are answered alike." in (
        found.comparable
    )


def test_where_the_champions_example_fails_the_challengers_own_tells_what_it_answers():
    fault = Passage(fault="Request lacks 1 of 2 features: c. Order does not matter.")
    found = check(side(3), side(4, champion=fault, own=replace(PASSAGE, kind="label")))
    assert found.incompatible == (
        "v4 fails on v3's input example: Request lacks 1 of 2 features: c. Order does not matter.",
        "v3 answers a number, v4 a label, as far as their few answers to the examples tell. If "
        "they are of one kind, say which with --output-kind.",
    )


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"failure": "films:4 cannot be loaded"}, "films:4 cannot be loaded"),
        (
            {"columns": [["c", "double", True]]},
            "v4 requires column 'c', which v3's signature lacks",
        ),
        ({"columns": [["a", "string", True]]}, "Column 'a' is double for v3 and string for v4"),
        ({"champion": Passage(fault="KeyError at x.py:1 f")}, "v4 fails on v3's input example"),
        (
            {"champion": replace(PASSAGE, kind="label", answers=[0, 1])},
            "v3 answers a number, v4 a label",
        ),
        (
            {"champion": replace(PASSAGE, answers=["1", "2"])},
            "v3 answers numbers, v4 text",
        ),
    ],
)
def test_what_rules_a_comparison_out_is_said(changes, said):
    found = check(side(3), side(4, **changes))
    assert not found.compatible
    assert any(said in text for text in found.incompatible), found.incompatible
    assert found.comparable == found.not_comparable == ()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"own": None, "champion": None}, "Nothing was tried with v4"),
        ({"version": {"signature": None}}, "it has no signature"),
        ({"version": {"training_data": ()}}, "its run tells no training data"),
        ({"deterministic": False}, "differently on a second call"),
        ({"batched": False, "batching": "row by row: X may look"}, "served row by row: X may look"),
        ({"has_scores": True}, "Probabilities: v3 has none"),
        ({"steps": [{"name": "all", "kind": "opaque"}]}, "Time inside all of v4"),
        ({"columns": [["a", "double", True], ["b", "string", True]]}, "v4 requires it"),
        ({"columns": [["a", "long", True], ["b", "string", False]]}, "whole numbers only"),
        ({"columns": [["a", "double", True]]}, "The effect of b: v4 does not look at it"),
    ],
)
def test_what_cannot_be_compared_is_said_and_rules_nothing_out(changes, said):
    found = check(side(3), side(4, **changes))
    assert found.compatible
    assert any(said in text for text in found.not_comparable), found.not_comparable


def test_whole_numbers_and_fractions_are_one_form():
    whole = replace(PASSAGE, answers=[1, 2])
    assert check(side(3, champion=whole), side(4)).compatible


def test_the_answers_to_the_examples_are_never_told():
    told = json.dumps(check(side(3), side(4)).to_dict())
    assert "answers" not in json.loads(told)["champion"]["trial"]["own"]
    assert "2.5" not in told


def test_a_trial_survives_its_trip_through_json():
    assert Trial.from_dict(json.loads(json.dumps(TRIAL.to_dict()))) == TRIAL


# The children cannot import this file: its models travel whole.
cloudpickle.register_pickle_by_value(sys.modules[__name__])


class Crashing(PythonModel):
    def load_context(self, context):
        import os

        os._exit(7)

    def predict(self, context, model_input: pd.DataFrame):
        return model_input["a"]


class Chatty(PythonModel):
    def predict(self, context, model_input: pd.DataFrame):
        print('{"not": "the record"}')
        return model_input["a"]


class Holding(Chatty):
    """Asks what it is loaded for."""

    def load_context(self, context):
        import os

        if os.environ.get("SHADOWSERVE_ROLE") != "check":
            raise RuntimeError


class Waiting(Chatty):
    def load_context(self, context):
        import time

        time.sleep(600)


def fetched(name, number, folder):
    return Registry(shared_store().uris).fetch(Pin(name, number), folder)


@pytest.mark.live
def test_a_version_is_tried_in_a_process_of_its_own(tmp_path):
    one = fetched("films", 1, tmp_path)
    trial = try_out(one.version, one.path, champion_body=input_example(one.path))
    assert trial.failure is None
    assert trial.own == trial.champion
    assert trial.own.kind == "number"
    assert set(trial.own.phases_ms) == {"parse", "schema", "featurization", "inference", "encode"}
    assert [step["name"] for step in trial.steps] == list(trial.own.steps_ms)
    assert trial.batched
    assert trial.deterministic


@pytest.mark.live
def test_a_version_that_ends_its_process_is_a_failure_like_any_other(tmp_path):
    number = register(shared_store(), "crashing", Crashing())
    one = fetched("crashing", number, tmp_path)
    trial = try_out(one.version, one.path)
    assert "exit code 7" in trial.failure


@pytest.mark.live
def test_a_version_that_hangs_is_given_up_and_leaves_no_process(tmp_path):
    number = register(shared_store(), "waiting", Waiting())
    one = fetched("waiting", number, tmp_path)
    trial = try_out(one.version, one.path, patience_s=15)
    assert "was not ready within 15 s" in trial.failure
    listed = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True)
    assert str(one.path) not in listed.stdout


@pytest.mark.live
def test_what_a_version_prints_does_not_mix_with_the_record(tmp_path):
    number = register(shared_store(), "chatty", Chatty(), input_example=FRAME[:2])
    one = fetched("chatty", number, tmp_path)
    trial = try_out(one.version, one.path)
    assert trial.own.fault is None
    assert "row by row" in trial.batching
    assert trial.calls == 2 + 2  # tried twice, and sent through the whole path twice
    untried = try_out(one.version, one.path, options=Options(probe="none"))
    assert (untried.own, untried.calls) == (None, 0)


@pytest.mark.live
def test_a_version_finds_that_it_is_loaded_for_a_check(tmp_path):
    number = register(shared_store(), "holding", Holding())
    one = fetched("holding", number, tmp_path)
    assert try_out(one.version, one.path).failure is None


@pytest.mark.live
def test_two_versions_that_ship_one_module_name_are_each_tried_with_their_own(tmp_path):
    store = shared_store()
    for factor in (2, 3):
        code = write_code(
            tmp_path / str(factor),
            "shipped_factor.py",
            f"""
            from mlflow.pyfunc import PythonModel
            class Model(PythonModel):
                def predict(self, context, model_input):
                    return model_input["a"] * {factor}
            """,
        )
        script = tmp_path / f"entry{factor}.py"
        script.write_text(
            "from mlflow.models import set_model\nfrom shipped_factor import Model\nset_model(Model())\n"
        )
        _log_code(store, script, code)
    found = run("shipping", "v1", "v2")
    told = json.loads(found.stdout)
    assert found.exit_code == 0, told
    assert "0 of 2 rows are answered alike" in told["checks"][0]["comparable"][0]


def _log_code(store, script, code):
    """Log a model from code in a process of its own: two modules of one name do not mix here either."""
    text = f"""
import mlflow, pandas as pd
mlflow.set_tracking_uri({store.uris.tracking!r})
mlflow.set_experiment("train")
frame = pd.DataFrame({{"a": [1.0, 2.0]}})
with mlflow.start_run():
    mlflow.pyfunc.log_model(name="model", python_model={str(script)!r}, code_paths=[{str(code)!r}],
        input_example=frame, signature=mlflow.models.infer_signature(frame, frame["a"]),
        pip_requirements=[], registered_model_name="shipping")
"""
    env = {"PYTHONPATH": str(code.parent), "PATH": "/usr/bin:/bin", "HOME": str(code.parent)}
    subprocess.run(
        [sys.executable, "-c", text], check=True, capture_output=True, env=env, cwd=code.parent
    )


def run(model, champion, challenger, *more):
    store = shared_store()
    arguments = ["check", "--champion", champion, "--challenger", challenger, "--model", model]
    where = ["--tracking-uri", store.uris.tracking, "--state-dir", str(store.root / "none")]
    return CliRunner().invoke(main, [*arguments, *where, "--json", *more])


@pytest.mark.live
def test_a_challenger_that_needs_a_column_the_traffic_lacks_is_incompatible():
    found = run("films", "v1", "v2")
    told = json.loads(found.stdout)["checks"][0]
    assert found.exit_code == 3
    assert "v2 requires column 'c'" in told["incompatible"][0]
    assert any("training_data" in d["kind"] for d in told["differences"])
    assert told["challenger"]["trial"]["threads"]
    for role in ("champion", "challenger"):  # all roles are served with one thread count
        pools = told[role]["trial"]["pools"]
        assert {pool["api"] for pool in pools} >= {"blas"}
        assert len({pool["threads"] for pool in pools}) == 1
    assert 2 in {part["n_jobs"] for part in told["challenger"]["trial"]["threads"]}
    assert told["champion"]["age"]
    assert told["champion"]["trial"]["own"]["phases_ms"]["inference"] > 0


@pytest.mark.live
def test_an_estimator_against_a_better_one_is_fine():
    store = shared_store()
    for strength in (1.0, 10.0):
        model = LogisticRegression(C=strength).fit(FRAME, LABELS)
        signature = infer_signature(FRAME, model.predict(FRAME))
        register(store, "fine", model, signature=signature, input_example=FRAME[:2])
    found = run("fine", "v1", "v2")
    told = json.loads(found.stdout)["checks"][0]
    assert found.exit_code == 0
    assert "Probabilities beside the labels that callers get." in told["comparable"]


@pytest.mark.live
def test_a_classifier_in_the_place_of_a_regressor_is_incompatible():
    store = shared_store()
    for model in (LinearRegression(), LogisticRegression()):
        model.fit(FRAME, LABELS)
        register(store, "mixed", model, input_example=FRAME[:2])
    found = run("mixed", "v1", "v2")
    assert found.exit_code == 3
    assert "v1 answers a number, v2 a label" in found.stdout


class Leaving(PythonModel):
    def load_context(self, context):
        from pathlib import Path

        Path("loaded-all-the-same").touch()

    def predict(self, context, model_input: pd.DataFrame):
        return model_input["a"]


@pytest.mark.live
def test_what_may_not_be_loaded_is_incompatible_and_is_not_loaded(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    numbers = [register(shared_store(), "leaving", Leaving()) for _ in range(2)]
    digests = [fetched("leaving", number, tmp_path / "files").version.digest for number in numbers]
    another = ("1" if digests[0][0] == "0" else "0") + digests[0][1:]
    found = run("leaving", "v1", "v2", "--allow-digest", another)
    assert found.exit_code == 3
    told = json.loads(found.stdout)["checks"][0]
    assert [digest in text for digest, text in zip(digests, told["incompatible"], strict=True)]
    assert "--allow-digest" in told["incompatible"][0]
    assert not (tmp_path / "loaded-all-the-same").exists()
    allowed = [option for digest in digests for option in ("--allow-digest", digest)]
    assert run("leaving", "v1", "v2", *allowed).exit_code == 0
    assert (tmp_path / "loaded-all-the-same").exists()


@pytest.mark.live
def test_other_library_versions_are_refused_where_that_is_asked_for():
    older = {"pip_requirements": ["orjson==1.0.0"], "input_example": FRAME[:2]}
    model = LinearRegression().fit(FRAME, LABELS)
    for _ in range(2):
        register(shared_store(), "older", model, **older)
    assert run("older", "v1", "v2").exit_code == 0
    found = run("older", "v1", "v2", "--strict-versions")
    assert found.exit_code == 3
    assert "trained with other libraries: orjson 1.0.0 in training" in found.stdout


@pytest.mark.parametrize("command", ["check", "serve", "pins"])
def test_a_store_that_is_not_there_is_not_reached_by_anyone(tmp_path, command):
    away = ["--tracking-uri", f"sqlite:///{tmp_path / 'nowhere.db'}"]
    pins = ["--champion", "v1"] * (command != "pins") + ["--challenger", "v2"] * (
        command == "check"
    )
    where = ["--state-dir", str(tmp_path / "s"), "--port", "0", "--console-port", "0"]
    asked = [command, *pins, *away, *(where if command == "serve" else [])]
    found = CliRunner().invoke(main, asked)
    assert (found.exit_code, found.stdout) == (4, "")
    assert "does not exist" in found.stderr
    assert not (tmp_path / "nowhere.db").exists()


def test_misuse_and_a_missing_store_have_exit_codes_of_their_own(tmp_path):
    assert CliRunner().invoke(main, ["check", "--champion", "v1"]).exit_code == 2
    away = ["--tracking-uri", "http://127.0.0.1:1"]
    asked = ["check", "--champion", "v1", "--challenger", "v2", *away]
    assert CliRunner().invoke(main, asked).exit_code == 4


def test_the_limit_of_bodies_is_told_and_an_example_beyond_it_too():
    assert str(Bodies.of(None, limit=2**20)) == (
        "Bodies of requests: 1MiB at most (--max-body), a larger one gets 413 and is compared with nothing."
    )
    example = {"dataframe_split": {"columns": ["a"], "data": [[1.5]]}}
    size = len(json.dumps(example, separators=(",", ":")))
    assert Bodies.of(example, limit=size).fits
    beyond = Bodies.of(example, limit=size - 1)
    assert not beyond.fits
    assert f"example has {size} bytes: raise it." in str(beyond)


@pytest.mark.live
def test_check_tells_the_limit_of_bodies_that_serve_would_hold():
    store = shared_store()
    for _ in range(2):
        register(store, "small", LinearRegression().fit(FRAME, LABELS), input_example=FRAME[:2])
    told = json.loads(run("small", "v1", "v2", "--max-body", "20B").stdout)
    assert told["bodies"]["limit"] == 20
    assert told["bodies"]["example"] > 20


FORMS = """
def doubled(output):
    return 2 * output

def failing(output):
    raise ValueError(output)
"""


@pytest.mark.live
@pytest.mark.parametrize("name", ["forms:doubled", "forms:failing"])
def test_an_adapter_is_tried_on_the_examples_and_one_that_raises_is_a_failure(
    tmp_path, monkeypatch, name
):
    (tmp_path / "forms.py").write_text(FORMS)
    monkeypatch.chdir(tmp_path)
    one = fetched("films", 1, tmp_path)
    options = Options.of({"adapt_output": (name,)})
    bare = try_out(one.version, one.path)
    trial = try_out(one.version, one.path, options=options, champion=one.version)
    if name == "forms:failing":
        assert "its adapter fails on that: ValueError at forms.py" in trial.failure
        assert "leave --adapt-output away" in trial.failure
    else:
        assert trial.own.answers == [2 * value for value in bare.own.answers]
        assert "its answers are compared as forms:doubled makes them" in trial.notes
