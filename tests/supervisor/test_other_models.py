"""A challenger of another registered name meets the same traffic, as a lane of its own even where its number is another's."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rig.deployment import deployment
from rig.scoring import version
from shadowserve.errors import SettingsError
from shadowserve.report.wording import headline
from shadowserve.settings.settings import Settings
from shadowserve.state.lane_numbers import assigned
from shadowserve.state.places import Places
from shadowserve.supervisor.refusals import refuse_adapters, refuse_repeated
from shadowserve.supervisor.succession import promoted
from shadowserve.versions.pins import Pin

THREE, FOUR, OTHER = Pin("films", 3), Pin("films", 4), Pin("films_onnx", 7)


def test_a_version_of_another_name_is_let_in_whatever_its_number():
    refuse_repeated([FOUR, OTHER, Pin("films_onnx", 4), Pin("films_onnx", 3)])


def test_one_given_twice_is_refused():
    with pytest.raises(SettingsError, match="is given twice"):
        refuse_repeated([OTHER, OTHER])


def test_the_champion_beside_itself_is_let_in():
    refuse_repeated([THREE])
    assert assigned(THREE, [THREE]) == {}


def test_an_adapter_of_the_champion_or_of_nobody_is_refused():
    settings = Settings(adapt_output=("3=forms:euros",))
    with pytest.raises(SettingsError, match=r"v3 is no challenger\. Challengers: v4, v7"):
        refuse_adapters(settings, [FOUR, OTHER])
    refuse_adapters(replace(settings, adapt_output=("forms:any", "7=forms:euros")), [FOUR, OTHER])


def test_it_is_called_by_its_whole_name():
    other = replace(version(7), model="films_onnx")
    served = deployment(challengers=(version(4), other))
    assert [served.name_of(number) for number in (3, 4, 7)] == ["v3", "v4", "films_onnx:7"]
    told = {"model": "films", "champion": 3, "challenger": 7, "challenger_model": "films_onnx"}
    assert headline({**told, "compared": 1, "requests": 1}).startswith(
        "films: champion v3, challenger films_onnx:7;"
    )


def test_it_is_called_by_its_own_number_though_its_lane_has_another():
    told = {"model": "films", "champion": 3, "challenger": 1003, "challenger_model": "other"}
    assert headline({**told, "challenger_version": 3, "compared": 1, "requests": 1}).startswith(
        "films: champion v3, challenger other:3;"
    )


@pytest.mark.parametrize("kept", [True, False])
def test_a_promotion_to_a_number_that_another_models_lane_has_keeps_both(tmp_path, kept):
    other = replace(version(5), model="other")
    served = deployment(
        challengers=(version(4), other), files={3: "/films/3", 4: "/films/4", 5: "/other/5"}
    )
    follows = promoted(
        Places(tmp_path), served, version(5), files={5: "/films/5"}, keep_former=kept, salt="salt"
    )
    lie = {str(follows.version(number).pin): path for number, path in follows.files.items()}
    former = {"films:3": "/films/3"} if kept else {}
    assert lie == {"films:5": "/films/5", "films:4": "/films/4", "other:5": "/other/5", **former}
    assert follows.lane_numbers == {"other:5": 1005}
