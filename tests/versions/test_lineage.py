from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from shadowserve.versions.lineage import Difference, differences
from shadowserve.versions.training import TrainingData
from shadowserve.versions.version import Version


def version(**facts: object) -> Version:
    return Version("films", 3, "2024-01-01T00:00:00+00:00", **facts)  # type: ignore[arg-type]


def inputs(**types: str) -> dict[str, object]:
    return {"inputs": [{"name": name, "type": kind} for name, kind in types.items()]}


def test_a_holiday_window_is_told_by_digest_range_and_rows() -> None:
    champion = version(training_data=(TrainingData("all", "d1", 97_000, "1997-09", "2020-01"),))
    challenger = version(training_data=(TrainingData("easter", "d2", 900, "2019-04", "2019-05"),))
    found = differences(champion, challenger)
    assert [str(difference) for difference in found] == [
        "training data easter: d1 → d2",
        "time range easter: 1997-09 to 2020-01 → 2019-04 to 2019-05",
        "rows easter: 97,000 → 900",
    ]


def test_a_second_data_set_on_one_side_is_a_difference() -> None:
    one = TrainingData("all", "d1")
    found = differences(
        version(training_data=(one,)), version(training_data=(one, TrainingData("x", "d2")))
    )
    assert found == [Difference("training_data", "x", None, "d2")]


def test_unknown_training_data_differ_from_known_only_where_something_is_known() -> None:
    assert differences(version(), version(training_data=(TrainingData("a"),))) == []
    (found,) = differences(version(), version(training_data=(TrainingData("a", until="2020"),)))
    assert found == Difference("time_range", "a", None, "? to 2020")


def test_columns_that_come_go_or_change_type_are_named() -> None:
    found = differences(
        version(signature=inputs(a="long", b="double", c="string")),
        version(signature=inputs(c="string", a="double", d="boolean")),
    )
    assert found == [
        Difference("input", "a", "long", "double"),
        Difference("input", "b", "double", None),
        Difference("input", "d", None, "boolean"),
    ]


def test_an_output_of_another_type_or_shape_is_told() -> None:
    tensor = {"type": "tensor", "tensor-spec": {"dtype": "int64", "shape": [-1]}}
    found = differences(
        version(signature={"outputs": [{"type": "string"}]}),
        version(signature={"outputs": [tensor]}),
    )
    assert found == [Difference("output", "", "string", "tensor int64 [-1]")]


def test_an_optional_column_is_not_a_required_one() -> None:
    optional = {"inputs": [{"name": "a", "type": "long", "required": False}]}
    (found,) = differences(version(signature=inputs(a="long")), version(signature=optional))
    assert str(found) == "input a: long → long, optional"


def test_libraries_are_compared_by_name() -> None:
    found = differences(
        version(libraries={"numpy": "1.26", "scipy": "1.1"}),
        version(libraries={"numpy": "2.0", "scipy": "1.1", "torch": "2"}),
    )
    assert [str(difference) for difference in found] == [
        "library numpy: 1.26 → 2.0",
        "library torch: none → 2",
    ]


versions = st.builds(
    version,
    libraries=st.dictionaries(st.sampled_from("abc"), st.sampled_from("12")),
    signature=st.none()
    | st.dictionaries(st.sampled_from("xy"), st.sampled_from(["long", "double"])).map(
        lambda types: inputs(**types)
    ),
    training_data=st.lists(
        st.builds(TrainingData, name=st.just("d"), digest=st.none() | st.sampled_from("12")),
        max_size=2,
    ).map(tuple),
)


@given(versions, versions)
def test_nothing_differs_from_itself_and_swapping_swaps_the_sides(
    one: Version, other: Version
) -> None:
    assert differences(one, one) == []
    swapped = {
        Difference(d.kind, d.name, d.challenger, d.champion) for d in differences(one, other)
    }
    assert swapped == set(differences(other, one))
    again = Version.from_dict(json.loads(json.dumps(one.to_dict())))
    assert differences(one, again) == []
