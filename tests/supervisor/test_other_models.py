"""A challenger of another registered name meets the same traffic, unless its number would be mistaken for another's."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rig.deployment import deployment
from rig.scoring import version
from shadowserve.errors import SettingsError
from shadowserve.report.wording import headline
from shadowserve.settings.settings import Settings
from shadowserve.supervisor.refusals import refuse_adapters, refuse_clashes
from shadowserve.versions.pins import Pin

THREE, FOUR, OTHER = Pin("films", 3), Pin("films", 4), Pin("films_onnx", 7)


def test_a_version_of_another_name_is_let_in():
    refuse_clashes(THREE, [FOUR, OTHER])


@pytest.mark.parametrize("challengers", [[Pin("films_onnx", 3)], [FOUR, Pin("films_onnx", 4)]])
def test_two_versions_of_one_number_are_refused_with_what_to_do(challengers):
    with pytest.raises(
        SettingsError, match=r"have the same number.*Register one of them once more"
    ):
        refuse_clashes(THREE, challengers)


def test_one_given_twice_is_refused():
    with pytest.raises(SettingsError, match="is given twice"):
        refuse_clashes(THREE, [OTHER, OTHER])


def test_the_champion_beside_itself_is_let_in():
    refuse_clashes(THREE, [THREE])


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
