"""Recorded requests are asked again of the files that will serve, in a process of its own."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import mlflow.sklearn
import pandas as pd
import pytest
from mlflow.models import infer_signature

from rig.scoring import pipeline, record
from shadowserve.promotion import requests
from shadowserve.promotion.replaying import Replayed
from shadowserve.state import deployment as deployments
from shadowserve.versions.mlmodel import read_manifest
from shadowserve.versions.version import digest_of


def asked(here, **changes):
    return requests.asked_again(here.places, replace(deployments.read(here.places), **changes), 4)


def files_of(here, tmp_path, number):
    """Return a copy of a version's files, to be spoilt."""
    path = tmp_path / "spoilt"
    shutil.copytree(deployments.read(here.places).files[number], path)
    return path


@pytest.mark.live
def test_a_version_that_answers_all_alike_has_nothing_against_it(replayable):
    found = asked(replayable)
    assert found == Replayed(n=300)
    assert list(requests.as_asked(found, 4)) == []


@pytest.mark.live
def test_it_is_asked_as_a_champion_without_an_adapter_or_an_environment_of_its_own(replayable):
    options = deployments.read(replayable.places).options
    lane_only = {"adapt_output": ("nowhere:euros",), "isolate": ("films:4",)}
    assert asked(replayable, options=replace(options, **lane_only)) == Replayed(n=300)


def in_place_of_four(here, path, model, **columns):
    """Return what to change so that other files are films:4's."""
    frame = pd.DataFrame([{**record(n), **columns} for n in range(8)])
    signature = infer_signature(frame, model.predict(frame[["age", "title"]]))
    mlflow.sklearn.save_model(
        model,
        str(path),
        signature=signature,
        serialization_format="cloudpickle",
        pip_requirements=[],
    )
    served = deployments.read(here.places)
    other = replace(
        served.challengers[0],
        digest=digest_of(path)[0],
        signature=read_manifest(path, pin=served.challengers[0].pin).signature,
    )
    return {"challengers": (other,), "files": {3: "", 4: str(path)}}


@pytest.mark.live
def test_answers_in_another_form_are_counted_by_form(replayable, tmp_path):
    found = asked(replayable, **in_place_of_four(replayable, tmp_path / "m", pipeline(labels=True)))
    assert (found.n, found.refused, sum(found.changed.values())) == (300, {}, 300)
    (one,) = requests.as_asked(found, 4)
    assert one.code == "form"


@pytest.mark.live
def test_requests_that_it_refuses_are_counted_by_why(replayable, tmp_path):
    found = asked(replayable, **in_place_of_four(replayable, tmp_path / "m", pipeline(), z=1.0))
    assert (found.n, sum(found.refused.values()), found.changed) == (300, 300, {})
    (one,) = requests.as_asked(found, 4)
    assert one.code == "refused"
    assert "in schema" in one.says


@pytest.mark.live
def test_files_that_no_longer_load_are_told(replayable, tmp_path):
    path = files_of(replayable, tmp_path, 4)
    (path / "MLmodel").write_text("spoilt: [")
    found = asked(replayable, files={3: "", 4: str(path)})
    assert found.failure is not None
    (one,) = requests.as_asked(found, 4)
    assert one.code == "replay"
    assert "could not be asked of v4 again" in one.says


def test_files_that_are_gone_are_told(replayable):
    found = asked(replayable, files={3: "", 4: str(Path("/nowhere/films"))})
    assert "no longer in /nowhere" in str(found.failure)


@pytest.mark.parametrize("change", [{"rescore": False}, {"probe": "none"}])
def test_a_version_whose_calls_leave_a_trace_is_not_asked(replayable, change):
    served = deployments.read(replayable.places)
    found = asked(replayable, options=replace(served.options, **change))
    assert (found.n, found.failure) == (0, None)
    assert "may leave a trace" in str(found.skipped)
    assert list(requests.as_asked(found, 4)) == []


def test_what_is_refused_or_of_another_form_is_told_by_kind():
    found = Replayed(
        n=300, refused={"ValueError in phrases": 3}, changed={"number becomes text": 2}
    )
    told = {one.code: one.says for one in requests.as_asked(found, 4)}
    assert "failed on 3 of 300 recorded requests" in told["refused"]
    assert "ValueError in phrases (3)" in told["refused"]
    assert "another form for 2 rows: number becomes text (2)" in told["form"]
