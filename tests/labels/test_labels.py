"""Labels are taken whole, joined by request id, and turned into a difference of losses."""

from __future__ import annotations

import json
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rig.labels import CHALLENGER, CONTROL, SIGNATURE, Kind, answers, serve, work
from shadowserve.errors import SettingsError
from shadowserve.labels import LabelsError, Losses, learn, read_body, read_file, take
from shadowserve.labels.chosen import own_loss
from shadowserve.labels.constant import Constant
from shadowserve.labels.gain import Loss
from shadowserve.labels.losses import Labelled, Wrong, losses_of
from shadowserve.labels.reading import Text
from shadowserve.labels.scale import FIRST
from shadowserve.labels.store import LabelStore
from shadowserve.labels.terms import Terms
from shadowserve.labels.typed import Expected, expected, typed
from shadowserve.settings.vocabulary import LOSSES
from shadowserve.state import classes
from shadowserve.state import deployment as deployments
from shadowserve.versions.version import Version


def labels(truth, first=1):
    return [(i + 1, f"request-{first + i}", label) for i, label in enumerate(truth)]


def read(path):
    return list(read_file(path, id_column="request_id", label_column="label"))


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.json", "a.parquet"])
def test_every_format_gives_the_same_labels(tmp_path, name):
    table = pd.DataFrame({"request_id": ["a", "b"], "label": [1, 0]})
    path = tmp_path / name
    {
        ".csv": lambda: table.to_csv(path, index=False),
        ".jsonl": lambda: table.to_json(path, orient="records", lines=True),
        ".json": lambda: table.to_json(path, orient="records"),
        ".parquet": lambda: table.to_parquet(path),
    }[path.suffix]()
    found = [(row, key, typed(label, Expected.NUMBER)) for row, key, label in read(path)]
    assert found == [(1, "a", 1), (2, "b", 0)]


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.csv", "id,label\na,1\n", "lacks request_id; its columns are id, label"),
        ("a.csv", "", "its columns are none"),
        ("a.txt", "a", "ending that is not known"),
        ("a.parquet", "no parquet", "cannot be read"),
        ("a.json", "", "No labels came"),
        ("a.json", "[1,", "no valid JSON list"),
    ],
)
def test_a_file_that_is_none_of_ours_is_refused(tmp_path, name, text, said):
    (tmp_path / name).write_text(text)
    with pytest.raises(LabelsError, match=said):
        read(tmp_path / name)


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("request_id,label\na,b,1\nc,1\n", [(1, None, "more fields"), (2, "c", "1")]),
        ("request_id,label\n a , 1\n", [(1, "a", " 1")]),
        ("request_id,label\r\na,1\r\n\r\nb,0\r\n", [(1, "a", "1"), (2, "b", "0")]),
    ],
)
def test_a_row_of_text_is_read_field_by_field_or_is_at_fault(tmp_path, text, rows):
    (tmp_path / "A.CSV").write_text(text)
    found = read(tmp_path / "A.CSV")
    assert [(row, one) for row, one, _ in found] == [(row, one) for row, one, _ in rows]
    for (_, _, label), (_, _, said) in zip(found, rows, strict=True):
        assert said in (label if isinstance(label, str) else label.text)


def test_numbers_of_a_warehouse_are_numbers(tmp_path):
    """Whole numbers beside missing ones are floats in pandas, and DECIMAL is no float at all."""
    pd.DataFrame({"request_id": [16.0, None], "label": [Decimal("1.5"), Decimal(1)]}).to_parquet(
        tmp_path / "a.parquet"
    )
    (one, other) = read(tmp_path / "a.parquet")
    assert one == (1, 16, 1.5)
    assert type(one[1]) is int
    assert other[2] == 1.0


def test_two_columns_of_one_name_are_refused(tmp_path):
    (tmp_path / "a.csv").write_text("request_id,label,label\na,1,0\n")
    with pytest.raises(LabelsError, match="more than one column label"):
        read(tmp_path / "a.csv")


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(LabelsError, match="There is no file"):
        read(tmp_path / "none.csv")


@pytest.mark.parametrize(
    ("label", "wanted", "value"),
    [
        (Text("1"), Expected.NUMBER, 1),
        (Text("0.5"), Expected.NUMBER, 0.5),
        (Text("1"), Expected.TEXT, "1"),
        (Text("true"), Expected.FLAG, True),
        (Text("[1, 2]"), Expected.NUMBER, [1, 2]),
        (Text("x"), Expected.ANY, "x"),
        (True, Expected.FLAG, True),
    ],
)
def test_a_label_takes_the_type_of_the_answers(label, wanted, value):
    assert typed(label, wanted) == value
    assert type(typed(label, wanted)) is type(value)


@pytest.mark.parametrize(
    ("label", "wanted", "said"),
    [
        (Text("secret"), Expected.NUMBER, "a number is expected, a text came"),
        ("1", Expected.NUMBER, "a number is expected, a text came"),
        (1, Expected.TEXT, "a text is expected, a number came"),
        (True, Expected.NUMBER, "a number is expected, a boolean came"),
        (None, Expected.NUMBER, "the label is missing"),
        (Text(""), Expected.TEXT, "the label is missing"),
        (float("nan"), Expected.NUMBER, "the label is missing"),
        ({"a": 1}, Expected.ANY, "an object came"),
    ],
)
def test_a_label_of_another_type_is_refused_without_its_value(label, wanted, said):
    with pytest.raises(ValueError, match=said) as raised:
        typed(label, wanted)
    assert "secret" not in str(raised.value)


def test_the_answers_say_what_labels_must_be_and_else_the_signature():
    assert expected([[1, 2], 3.5], None) is Expected.NUMBER
    assert expected(["a"], SIGNATURE) is Expected.TEXT
    assert expected([], SIGNATURE) is Expected.NUMBER
    assert expected([], None) is Expected.ANY
    assert expected([1, "a"], None) is Expected.ANY


def test_a_set_of_labels_is_taken_whole_or_not_at_all(tmp_path):
    places, served = serve(tmp_path)
    work(places, CHALLENGER, answers(4)[1], part=True)
    bad = [(1, "request-1", 1), (2, "request-2", "secret"), (3, "", 0), (4, "request-4", "x")]
    with pytest.raises(LabelsError) as raised:
        take(places, served, bad)
    told = str(raised.value)
    assert "Rows 2, 4: a number is expected, a text came." in told
    assert "Row 3: the request id is missing." in told
    assert "secret" not in told
    assert raised.value.told()[0]["rows"] == [2, 4]
    with LabelStore(places.labels) as store:
        assert store.counts()["labels"] == 0


def test_json_rows_without_the_keys_are_refused_by_row(tmp_path):
    places, served = serve(tmp_path)
    body = b'{"request_id": "a", "label": 1}\n{"label": 1}\n[1]\nnonsense\n'
    with pytest.raises(LabelsError) as raised:
        take(places, served, read_body(body))
    assert "Row 2: request_id missing." in str(raised.value)
    assert "Rows 3, 4: an object" in str(raised.value)


def test_every_label_is_counted_as_what_it_is(tmp_path):
    places, served = serve(tmp_path)
    _, rows = answers(6)
    rows[4]["request_id"] = rows[5]["request_id"] = "twice"
    rows[3] |= {"outcome": "challenger_error", "champion": None, "lane": None}
    work(places, CHALLENGER, rows[:3], part=True)
    work(places, CHALLENGER, rows[3:], part=False)
    given = ["request-1", "request-2", "request-1", "request-2", "twice", "request-4", "stranger"]
    taken = take(places, served, [(i + 1, k, int(i == 3)) for i, k in enumerate(given)])
    assert taken.rows == 7
    assert taken.accepted == 5
    assert taken.duplicate.rows == [3]
    assert taken.conflicting.rows == [4]
    assert taken.ambiguous.rows == [5]
    assert taken.unknown.rows == [7]
    told = learn(places, served, challenger=CHALLENGER, kind=Kind.LABEL).to_dict(alpha=0.05)
    counts = (
        "labels",
        "joined",
        "duplicate",
        "conflicting",
        "ambiguous",
        "not_compared",
        "unknown",
    )
    assert [told[name] for name in counts] == [5, 2, 1, 1, 1, 1, 1]


def test_of_an_entity_only_the_first_requests_label_is_in_the_loss(tmp_path):
    """A bot's thousand labels say of one user what they say, whichever of them come first."""
    truth, rows = answers(30)
    for n, row in enumerate(rows):
        row["first"] = n < 10
    places, served = serve(tmp_path)
    for lane, part in ((CHALLENGER, True), (CONTROL, False)):
        work(places, lane, [dict(row) for row in rows], part=part)
    take(places, served, labels(truth)[::-1])
    losses = learn(places, served, challenger=CHALLENGER, kind=Kind.LABEL)
    told = losses.to_dict(alpha=0.05)
    assert (told["joined"], told["repeated"], told["loss"]["n"]) == (30, 20, 10)
    wrong = [row["champion"] != [label] for row, label in zip(rows[:10], truth[:10], strict=True)]
    assert told["loss"]["champion"] == pytest.approx(np.mean(wrong))


def test_labels_join_however_late_requests_or_labels_come(tmp_path):
    """Half of the labels come before their requests; looking in between changes nothing."""
    places, served = serve(tmp_path)
    truth, rows = answers(300, better=0.1)
    assert learn(places, served, challenger=CHALLENGER, kind=Kind.LABEL) is None
    work(places, CHALLENGER, rows[:100], part=True)
    take(places, served, labels(truth[:200]))
    assert learn(places, served, challenger=CHALLENGER, kind=Kind.LABEL).joined == 100
    work(places, CHALLENGER, rows[100:250], part=True)
    work(places, CHALLENGER, rows[250:], part=False)
    assert learn(places, served, challenger=CHALLENGER, kind=Kind.LABEL).joined == 200
    take(places, served, labels(truth))
    for _ in range(2):
        found = learn(places, served, challenger=CHALLENGER, kind=Kind.LABEL)
        assert (found.joined, found.unknown) == (300, 0)
        wrong = [
            np.mean(
                [
                    row[side][0] != t
                    for row, t in zip(answers(300, better=0.1)[1], truth, strict=True)
                ]
            )
            for side in ("champion", "lane")
        ]
        assert [found.decisive.champion, found.decisive.challenger] == pytest.approx(wrong)


def test_a_team_chooses_the_loss_and_may_bring_its_own(tmp_path, monkeypatch):
    """A false 'no' costs five times a false 'yes'; a label that the function does not know counts apart."""
    (tmp_path / "costs_of_ours.py").write_text(
        "def cost(label, answer):\n"
        "    if label == 2:\n"
        "        raise ValueError('s3cret')\n"
        "    return 5.0 * (label > answer) + (label < answer)\n"
    )
    monkeypatch.chdir(tmp_path)
    truth, rows = answers(40)
    chosen = {"method": "predict", "verdict": {"loss": "costs_of_ours:cost"}}
    places, served = serve(tmp_path, options=chosen)
    work(places, CHALLENGER, rows, part=True)
    take(places, served, labels([*truth[:39], 2]))
    found = learn(places, served, challenger=CHALLENGER, kind=Kind.LABEL)
    assert (found.joined, found.mismatched) == (39, 1)
    assert (found.decisive.measure, found.decisive.n) == ("own", 39)
    costs = [
        5.0 * (t > row["champion"][0]) + (t < row["champion"][0])
        for t, row in zip(truth[:39], rows, strict=False)
    ]
    assert found.decisive.champion == pytest.approx(np.mean(costs))
    assert found.measures["error"].n == 39
    again = learn(places, served, challenger=CHALLENGER, kind=Kind.LABEL)
    assert again.decisive.champion == found.decisive.champion


@pytest.mark.parametrize("chosen", ["no_such_module:cost", "math:no_such_function", "math:pi"])
def test_a_loss_that_cannot_be_called_is_refused_with_its_name(chosen):
    with pytest.raises(SettingsError, match=f"loss: {chosen}"):
        own_loss(chosen)


def test_every_loss_that_a_policy_may_name_is_one():
    costs = Terms(costs={"0": {"1": 1.0}, "1": {"0": 5.0}})
    one = ([[1]], [[1]]), {"1": 1.0}
    found = set()
    for kind in Kind:
        answers = [[1]] if kind in (Kind.RANKING, Kind.SET) else [1]
        request = Labelled([1], answers, answers, one[1], one[1])
        found |= set(losses_of(request, kind, Constant(), costs))
    assert found | {"rank"} == set(LOSSES)  # ranks come of pairs of labels


def test_nothing_is_joined_before_the_kind_of_output_is_known(tmp_path):
    places, served = serve(tmp_path)
    truth, rows = answers(5)
    work(places, CHALLENGER, rows, part=True)
    take(places, served, labels(truth))
    assert learn(places, served, challenger=CHALLENGER, kind=None).joined == 0
    assert learn(places, served, challenger=CHALLENGER, kind=Kind.LABEL).joined == 5


def test_probabilities_are_judged_where_both_versions_have_them(tmp_path):
    """The challenger's are known for all requests, the champion's for those the control scored."""
    places, served = serve(tmp_path)
    truth, rows = answers(20)
    for row, t in zip(rows, truth, strict=True):
        row["lane_scores"] = {str(t): 0.9, str(1 - t): 0.1}
    work(places, CHALLENGER, rows, part=True)
    sure = [{"position": i, "lane_scores": {"0": 0.5, "1": 0.5}} for i in range(1, 6)]
    work(places, CONTROL, sure, part=True)
    take(places, served, labels(truth))
    found = learn(places, served, challenger=CHALLENGER, kind=Kind.LABEL).measures
    assert {name: loss.n for name, loss in found.items()} == {
        "error": 20,
        "brier": 5,
        "log_loss": 5,
        "rank": found["rank"].n,
    }
    assert 0 < found["rank"].n < 5
    assert found["brier"].champion == pytest.approx(0.25)
    assert found["brier"].challenger == pytest.approx(0.01)
    assert found["log_loss"].challenger == pytest.approx(-np.log(0.9))


def test_probabilities_that_the_champion_answers_are_judged_on_every_label(tmp_path):
    """Its classes may stand in another order than the challenger's."""
    places, served = serve(tmp_path)
    classes.tell(places.classes(served.champion.number), [1, 0])
    rows = [
        {
            "position": i,
            "champion": [[0.75, 0.25]],
            "lane": [[0.0, 1.0]],
            "lane_scores": {"0": 0.0, "1": 1.0},
        }
        for i in range(1, 21)
    ]
    work(places, CHALLENGER, rows, part=True)
    take(places, served, labels([1] * 20))
    found = learn(places, served, challenger=CHALLENGER, kind=Kind.PROBABILITY).decisive
    assert (found.measure, found.n) == ("brier", 20)
    assert found.champion == pytest.approx(0.25**2)
    assert found.challenger == 0.0


ALPHAS = {"alpha": 0.05, "broken_alpha": 0.0125}


def errors(better: float, n: int = 2_000) -> Loss:
    """The share of wrong answers; the label is one of two as frequent ones."""
    truth, rows = answers(n, better=better)
    loss = Loss("error", Terms(), decides=True)
    loss.add(
        [
            Wrong(row["champion"][0] != t, row["lane"][0] != t, t == 1)
            for row, t in zip(rows, truth, strict=True)
        ]
    )
    return loss


def test_a_better_challenger_is_proven_no_worse_and_a_worse_one_broken():
    for better, standing in ((0.05, "kept"), (-0.15, "broken")):
        assert errors(better).standing(**ALPHAS) == standing


def test_twins_need_labels_to_be_proven_alike_but_never_break():
    assert Loss("error", Terms()).standing(**ALPHAS) == "undecided"
    loss = errors(0.0)
    assert loss.to_dict(alpha=0.05)["difference"] == 0
    assert loss.standing(**ALPHAS) == "kept"


def test_the_cap_of_an_unbounded_loss_is_set_once_by_the_first_truths_alone():
    rng = np.random.default_rng(0)
    loss = Loss("absolute_error", Terms())
    truths = rng.random(FIRST)
    loss.add([Wrong(1e6, 1e9, 0.5, (float(t),)) for t in truths[:-1]])
    assert loss.interval(0.05) == (None, None)
    assert loss.needed(**ALPHAS) == 1
    loss.add([Wrong(1e6, 1e9, 0.5, (float(truths[-1]),))])
    assert loss.scale.cap == pytest.approx(2 * np.ptp(truths))
    loss.add([Wrong(0.1, 1e9, 0.5, (0.5,))] * 50)
    assert loss.scale.cap == pytest.approx(2 * np.ptp(truths))
    assert (loss.n, loss.judged) == (FIRST + 50, 50)


def test_a_number_that_is_missing_counts_nowhere():
    loss = Loss("absolute_error", Terms())
    request = Labelled([1.0], [None], [2.0])
    one = losses_of(request, Kind.NUMBER, Constant(), Terms())["absolute_error"]
    loss.add([one, Wrong(1.0, 2.0, 3.0)])
    assert (loss.n, loss.champion, loss.challenger, loss.constant) == (1, 1.0, 2.0, 3.0)


@pytest.mark.parametrize(
    ("kind", "request_", "losses"),
    [
        (Kind.LABEL, Labelled([1], [1.0], [0]), {"error": (0, 1)}),
        (Kind.LABEL, Labelled([1, 0], [1, 1], [1, 0]), {"error": (0.5, 0)}),
        (Kind.LABEL, Labelled(["a"], ["b"], ["a"]), {"error": (1, 0)}),
        (
            Kind.NUMBER,
            Labelled([2.0], [1.0], [4.0]),
            {"absolute_error": (1, 2), "squared_error": (1, 4)},
        ),
        (
            Kind.RANKING,
            Labelled([7], [[7, 8]], [[9, 7]]),
            {"miss": (0, 0), "rank_loss": (0, 0.5)},
        ),
        (
            Kind.RANKING,
            Labelled([[7, 1]], [[7, 8]], [[9, 5]]),
            {"miss": (0.5, 1), "rank_loss": (0, 1)},
        ),
        (Kind.TEXT, Labelled(["a"], ["a"], ["b"]), {}),
    ],
)
def test_losses_are_as_by_hand(kind, request_, losses):
    found = losses_of(request_, kind, Constant(), Terms())
    assert {name: one[:2] for name, one in found.items()} == losses


@given(st.floats(0.001, 0.999), st.sampled_from(["0", "1", "2"]))
def test_the_brier_score_of_two_classes_is_the_squared_distance_of_one(p, truth):
    scores = {"0": 1 - p, "1": p}
    request = Labelled([int(truth)], [0], [0], champion_scores=scores, challenger_scores=scores)
    found = losses_of(request, Kind.PROBABILITY, Constant(), Terms())["brier"][0]
    if truth in scores:
        assert found == pytest.approx((1 - scores[truth]) ** 2)
    assert 0 <= found <= 1


def test_what_was_learnt_survives_its_state():
    losses = Losses(Kind.NUMBER)
    losses.measure("absolute_error").add([Wrong(1.0, 2.0, 3.0, (float(i),)) for i in range(120)])
    state = json.loads(json.dumps(losses.state()))
    assert Losses.from_state(state).to_dict(alpha=0.05) == losses.to_dict(alpha=0.05)


def test_answers_beyond_the_bound_make_room_for_newer_ones(tmp_path):
    places, served = serve(tmp_path)
    work(places, CHALLENGER, answers(10)[1], part=True)
    take(places, served, labels([1]))
    with LabelStore(places.labels) as store:
        with store.writing():
            store.forget_oldest(str(CHALLENGER), keep=4)
        assert [store.requests_with(f"request-{i}") for i in (6, 7)] == [0, 1]


def test_labels_go_to_the_archive_with_their_deployment(tmp_path):
    places, served = serve(tmp_path)
    take(places, served, [(1, "a", 1)])
    shelf = deployments.archive(places, served)
    assert (shelf / "labels.db").exists()
    assert not places.labels.exists()


def test_a_version_without_a_signature_takes_any_label(tmp_path):
    champion = Version(model="m", number=3, created="2026-01-01T00:00:00+00:00")
    places, served = serve(tmp_path, champion=champion)
    assert take(places, served, [(1, "a", "x"), (2, 7, 1.5)]).accepted == 2


@pytest.mark.parametrize(
    ("was", "became"),
    [("000007", "7"), ("000007", 7), ("120000", "1.2E+05"), ("1234", "1,234"), ("42", "42.0"), ("0", "0.0"), ("x1", "x1 ")],
)  # fmt: skip
def test_an_id_that_a_spreadsheet_changed_is_noticed(was, became):
    from shadowserve.labels.respelt import before

    assert was in list(before(str(became)))


@pytest.mark.parametrize(
    "strange", ["abc", "", "1e999999999", "9" * 1_000, "-7", "nan", "1.5", "inf"]
)
def test_an_id_that_is_no_number_is_not_respelt(strange):
    from shadowserve.labels.respelt import before

    assert list(before(strange)) == []


def test_unknown_ids_that_requests_bear_in_another_spelling_are_told_apart(tmp_path):
    places, deployment = serve(tmp_path)
    work(places, CHALLENGER, answers(3)[1], part=True)
    taken = take(places, deployment, [(1, "request-1 ", 1), (2, "stranger", 0), (3, "7", 0)])
    assert (taken.unknown.rows, taken.respelt.rows) == ([1, 2, 3], [1])
    assert taken.to_dict()["respelt"] == {"n": 1, "rows": [1]}
