from __future__ import annotations

from mlflow.entities import Dataset, DatasetInput, InputTag

from shadowserve.versions.training import TrainingData, training_data

TAGS = {"training_data.from": "2020-04-01", "training_data.to": "2020-04-13", "other": "x"}


def logged(
    context: str | None, name: str = "events", profile: str | None = '{"num_rows": 4}', **own
):
    tags = [InputTag(key, value) for key, value in own.items()]
    tags += [InputTag("mlflow.data.context", context)] if context else []
    return DatasetInput(Dataset(name, "d1", "local", "s", profile=profile), tags)


def test_training_data_are_told_from_other_inputs() -> None:
    inputs = [logged("validation", "v"), logged("training"), logged(None, "plain")]
    assert training_data(inputs, {}) == (
        TrainingData("events", "d1", 4),
        TrainingData("plain", "d1", 4),
    )


def test_the_runs_tags_complete_the_first_data_set() -> None:
    first, second = training_data([logged("training"), logged("training", "more")], TAGS)
    assert first == TrainingData("events", "d1", 4, "2020-04-01", "2020-04-13")
    assert second == TrainingData("more", "d1", 4)


def test_a_data_sets_own_tags_win() -> None:
    (found,) = training_data([logged("training", **{"training_data.from": "1999"})], TAGS)
    assert (found.since, found.until) == ("1999", "2020-04-13")


def test_tags_alone_tell_of_training_data() -> None:
    tags = {**TAGS, "training_data.rows": "100", "training_data.digest": "abc"}
    assert training_data([], tags) == (
        TrainingData("training data", "abc", 100, "2020-04-01", "2020-04-13"),
    )
    assert training_data([], {"other": "x"}) == ()


def test_what_cannot_be_counted_is_unknown() -> None:
    for profile in (None, "", "[]", '{"num_rows": {"a": 1}}', "not json"):
        (found,) = training_data([logged("training", profile=profile)], {})
        assert found.rows is None
    (found,) = training_data([logged("training")], {"training_data.rows": "many"})
    assert found.rows is None
