"""Feeding a rescoring: each recorded request once, in order, also by a feeder that was killed."""

from __future__ import annotations

import orjson
import pandas as pd
import pytest

from rig.archived import journal, served
from rig.deployment import deployment, made
from rig.rescored import fed, journaled, rescoring
from rig.scoring import record
from shadowserve.errors import UnreachableError
from shadowserve.journal.reader import JournalReader
from shadowserve.lane.steady import BLOCK
from shadowserve.rescoring import feeding
from shadowserve.rescoring.asked import Asked, directory
from shadowserve.rescoring.feeding import feed
from shadowserve.state import counters
from shadowserve.state import deployment as deployments
from shadowserve.state import fed as source
from shadowserve.state.archive.table_file import TableError
from shadowserve.state.archive.table_names import Names
from shadowserve.state.places import Places

N = BLOCK + 200


def held(places: Places) -> list:
    tail, found = JournalReader(places.journal, cursor={}), []
    while some := tail.read(10_000).requests:
        found += some
    tail.close()
    return found


def table(root, n: int = N, **columns):
    path = root / "past.parquet"
    rows = {
        "age": [float(i) for i in range(n)],
        "title": ["red"] * n,
        "prediction": [float(i) for i in range(n)],
    }
    pd.DataFrame({**rows, **columns}).to_parquet(path)
    return path


def of_table(path, **changes) -> Asked:
    asked = Asked(str(path), str(path.parent), Names(), **changes)
    return asked.of(asked.open(deployment().champion.signature))


def test_recorded_answers_stay_and_times_go(tmp_path):
    places, sent = served(tmp_path / "served")
    found = held(fed(tmp_path / "again", journaled(places)))
    assert [one.body for one in found] == [one.body for one in sent]
    assert [one.answer for one in found] == [one.answer for one in sent]
    assert [one.request_id for one in found] == [one.request_id for one in sent]
    assert [one.position for one in found] == list(range(1, len(sent) + 1))
    assert {one.times for one in found} == {feeding._NO_TIMES}


def test_a_feeder_that_was_cut_off_goes_on_where_the_journal_ends(tmp_path, monkeypatch):
    asked = of_table(table(tmp_path, label=[1.0] * N))
    whole = fed(tmp_path / "whole", asked)
    places, wanted = rescoring(tmp_path / "cut", asked)
    step, steps = feeding.Counters.journal_step, []

    def killed(self, **counted):
        steps.append(counted)
        raise KeyboardInterrupt  # after the append, before it is counted

    monkeypatch.setattr(feeding.Counters, "journal_step", killed)
    with pytest.raises(KeyboardInterrupt):
        feed(places, wanted, asked)
    monkeypatch.setattr(feeding.Counters, "journal_step", step)
    assert source.total(places) is None
    feed(places, wanted, asked)
    assert [one[:-1] for one in held(places)] == [one[:-1] for one in held(whole)]
    assert counters.read(places.counters(0)).answered == N == source.total(places)
    assert places.label_rows.read_bytes() == whole.label_rows.read_bytes()
    assert len(places.label_rows.read_bytes().splitlines()) == N


def test_a_bad_row_ends_it_by_number_and_column_or_is_left_out(tmp_path):
    ages = [float(i) for i in range(N)]
    path = table(tmp_path, title=[None if i == 600 else "red" for i in range(N)], age=ages)
    places, wanted = rescoring(tmp_path / "stop", of_table(path))
    with pytest.raises(TableError, match="row 601: Column 'title'"):
        feed(places, wanted, of_table(path))
    assert source.read(places) is None
    places = fed(tmp_path / "skip", of_table(path, skip_bad=True))
    told = source.read(places)
    assert told == {"requests": N - 1, "bad_rows": 1, "bad": [{"row": 601, "column": "title"}]}
    assert [orjson.loads(one.answer)["predictions"] for one in held(places)][600] == [601.0]


def test_what_left_the_journal_meanwhile_is_told(tmp_path):
    places, _ = served(tmp_path / "served")
    asked = journaled(places)
    sorted(places.journal.glob("*.db"))[0].unlink()
    again, wanted = rescoring(tmp_path / "again", asked)
    with pytest.raises(UnreachableError, match="begin anew"):
        feed(again, wanted, asked)


def test_the_same_words_go_on_with_what_was_cut_off(tmp_path):
    places, _ = served(tmp_path / "served")
    base, wanted = made(tmp_path / "base"), deployment()
    first = journaled(places)
    path = directory(base, first, wanted)
    assert path.name.startswith("v3-v4-")
    assert path.name.endswith("-1")
    Places(path).make()
    first.write(Places(path))
    journal(places, [record(1)])  # traffic goes on
    later = journaled(places)
    assert later.identity != first.identity
    assert directory(base, later, wanted) == path
    Places(path).rescored_whole.touch()
    assert directory(base, first, wanted) == path
    assert directory(base, later, wanted).name.endswith("-2")
    assert directory(base, later, deployment(control=False)).name.endswith("-1")


def test_a_table_that_has_changed_is_another(tmp_path):
    base, wanted = made(tmp_path / "base"), deployment()
    first = of_table(table(tmp_path))
    path = directory(base, first, wanted)
    Places(path).make()
    first.write(Places(path))
    assert directory(base, of_table(table(tmp_path)), wanted) != path
    assert Asked.read(Places(path)) == first


def test_a_deployment_of_callers_is_none_of_a_rescoring(tmp_path):
    _, wanted = rescoring(tmp_path, of_table(table(tmp_path)))
    assert (
        deployments.read(Places(tmp_path)).rescored
        == str(tmp_path / "past.parquet")
        == wanted.rescored
    )
    assert deployment().rescored is None
    assert "rescored" not in deployment().options.to_dict()
