"""Labels that come after a handover count where their requests were answered."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rig.evidence import deployment, state_directory
from rig.labels import CHALLENGER, Running, answers, wait_for_owner, work
from shadowserve.comparison.outputs import kind_compared
from shadowserve.errors import UnreachableError
from shadowserve.labels import learn, take
from shadowserve.labels.store import LabelStore
from shadowserve.state import deployment as deployments
from shadowserve.state.shelves import find

OPTIONS = {"method": "predict"}


def labels(truth, name, first=1):
    return [(i + 1, f"{name}-{i + 1}", label) for i, label in enumerate(truth, first - 1)]


def answered(places, n, name, *, seed, part):
    """Let the challenger's lane compare requests whose ids begin with a name; return what was true."""
    truth, rows = answers(n, seed=seed)
    named = [row | {"request_id": f"{name}-{i + 1}"} for i, row in enumerate(rows)]
    work(places, CHALLENGER, named, part=part)
    return truth


@pytest.fixture
def succession(tmp_path):
    """A deployment with forty answers in the archive, and the one that took over."""

    def begin():
        first = deployment("sqlite:///unused.db", control=True, options=OPTIONS, id="films-first")
        places = state_directory(tmp_path, first)
        truth = answered(places, 40, "old", seed=1, part=True)
        deployments.archive(places, first)
        second = deployment("sqlite:///unused.db", control=True, options=OPTIONS, id="films-second")
        return places, second, truth

    return begin


def joined(places, served):
    found = learn(
        places,
        served,
        challenger=CHALLENGER,
        kind=kind_compared(places.lane(CHALLENGER.role, 4).state),
    )
    return 0 if found is None else found.joined


def earlier(places):
    shelf = find(places, "films-first")
    return shelf.places, shelf.deployment


def test_labels_of_both_find_their_requests_whole(tmp_path, succession):
    places, second, old = succession()
    state_directory(tmp_path, second)
    new = answered(places, 30, "new", seed=2, part=False)
    handed = [*labels(old, "old"), *labels(new, "new"), (71, "never", 0)]
    taken = take(places, second, [(i + 1, *one[1:]) for i, one in enumerate(handed)])
    assert (taken.rows, taken.accepted, taken.unknown.n) == (71, 71, 1)
    assert taken.earlier.rows == list(range(1, 41))
    assert joined(places, second) == 30
    assert joined(*earlier(places)) == 40
    again = take(places, second, [*labels(old[:39], "old"), (40, "old-40", 1 - old[39])])
    assert (again.accepted, again.duplicate.n, again.conflicting.rows) == (0, 39, [40])
    with LabelStore(places.labels) as store:
        assert store.counts()["labels"] == 31


def test_what_the_earlier_deployment_cannot_take_is_taken_nowhere(tmp_path, succession):
    places, second, _ = succession()
    state_directory(tmp_path, second)
    answered(places, 30, "new", seed=2, part=True)
    earlier(places)[0].labels.mkdir()  # where its file would lie
    with pytest.raises(UnreachableError, match="labels' file"):
        take(places, second, [(1, "new-1", 0), (2, "old-1", 1)])
    assert joined(places, second) == 0
    with LabelStore(places.labels) as store:
        assert store.counts()["labels"] == 0


def test_a_label_that_came_while_the_deployments_changed_is_moved_once_the_former_is_archived(
    tmp_path, succession
):
    places, second, old = succession()
    state_directory(tmp_path, second)
    new = answered(places, 30, "new", seed=2, part=True)
    with (
        LabelStore(places.labels) as store,
        store.writing(),
    ):  # nobody could know yet whose they are
        for _, request_id, label in [*labels(old, "old"), *labels(new, "new"), (0, "never", 1)]:
            store.append(request_id, str(label))
    with Running(places, second):
        wait_for_owner(places)
        take(places, second, [])  # it has moved them before it takes anything
    assert joined(places, second) == 30
    assert joined(*earlier(places)) == 40
    with LabelStore(places.labels) as store:
        assert store.counts()["labels"] == 31


def test_an_earlier_deployment_that_can_take_nothing_holds_up_no_label_of_the_present_one(
    tmp_path, succession, caplog
):
    places, second, _ = succession()
    state_directory(tmp_path, second)
    new = answered(places, 30, "new", seed=2, part=True)
    with LabelStore(places.labels) as store, store.writing():
        store.append("old-1", "1")
    earlier(places)[0].labels.mkdir()  # where its file would lie
    with Running(places, second):
        wait_for_owner(places)
        taken = take(places, second, labels(new, "new"))
    assert (taken.accepted, joined(places, second)) == (30, 30)
    assert caplog.text.count("stay here") == 1
    with LabelStore(places.labels) as store:
        assert store.label_of("old-1") == "1"


def test_of_one_id_in_both_the_present_deployments_request_counts(tmp_path, succession):
    places, second, _ = succession()
    state_directory(tmp_path, second)
    new = answered(places, 40, "old", seed=2, part=True)  # ids of a shop that begins to count anew
    taken = take(places, second, labels(new, "old"))
    assert (taken.accepted, taken.earlier.n) == (40, 0)
    assert (joined(places, second), joined(*earlier(places))) == (40, 0)


def test_another_models_answers_are_none_of_its_concern(tmp_path, succession):
    places, _, old = succession()
    made = deployment("sqlite:///unused.db", control=True, options=OPTIONS, id="x-second")
    challengers = tuple(replace(one, model="x") for one in made.challengers)
    other = replace(made, champion=replace(made.champion, model="x"), challengers=challengers)
    state_directory(tmp_path, other)
    taken = take(places, other, labels(old, "old"))
    assert (taken.earlier.n, taken.unknown.n) == (0, 40)


def test_a_damaged_deployment_in_the_archive_holds_up_nobody(tmp_path, succession):
    places, second, old = succession()
    for part in (places.archive / "films-first").rglob("*.parquet"):
        part.write_bytes(b"no table")
    state_directory(tmp_path, second)
    new = answered(places, 5, "new", seed=2, part=True)
    taken = take(places, second, [*labels(old, "old"), *labels(new, "new")])
    assert (taken.earlier.n, taken.accepted, taken.unknown.n) == (0, 45, 40)
