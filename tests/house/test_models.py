"""The demo's models and traffic hold what the benchmarks and the README say of them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from models import register, traffic
from models.data import diamonds as all_diamonds
from models.data import film_events
from models.descriptions import description
from models.diamonds import DIAMONDS, FIRST_FOR_SALE
from models.films import FILMS
from models.films import versions as films_versions
from models.likes import LIKES
from models.recipe import ModelRecipes, shipped

EVERY_MODEL = pytest.mark.parametrize("recipes", [FILMS, LIKES, DIAMONDS], ids=lambda r: r.name)
REPOSITORY = str(Path(register.__file__).parents[1])
STREAMS = {"films": traffic.films, "likes": traffic.likes, "diamonds": traffic.diamonds}


def n_words(text: str) -> int:
    return len(text.split())


def frame(recipes: ModelRecipes, records: list[dict[str, Any]]) -> pd.DataFrame:
    numpy_types = {"long": "int64", "double": "float64", "string": "object"}
    return pd.DataFrame(records).astype({c.name: numpy_types[c.type] for c in recipes.columns})


# --- data


def test_a_users_history_knows_only_what_came_before() -> None:
    events = film_events()
    user = events[events["user"] == 73].head(50)
    at = user.iloc[-1]
    before = user.iloc[:-1]
    assert at["n_rated"] == len(before)
    assert at["mean_rating"] == pytest.approx(before["rating"].mean(), abs=1e-3)
    liked = before.loc[before["rating"] >= 4, "genres"].str.split("|").explode().value_counts()
    named = at["liked_genres"].split("|")
    assert sorted(liked[named], reverse=True) == sorted(liked, reverse=True)[:3]


def test_a_films_reputation_knows_only_what_came_before() -> None:
    events = film_events()
    film = events[events["film"] == 296]
    assert film["n_film_ratings"].tolist() == list(range(len(film)))
    assert np.isnan(film["mean_film_rating"].iloc[0])
    assert film["mean_film_rating"].iloc[9] == pytest.approx(film["rating"][:9].mean(), abs=1e-3)


def test_three_diamonds_in_a_hundred_have_no_depth() -> None:
    assert all_diamonds()["depth"].isna().mean() == pytest.approx(0.03, abs=0.003)


def test_a_films_own_description_is_always_the_same_and_forty_words_long_in_the_middle() -> None:
    films = film_events().drop_duplicates("film").head(2_000)
    texts = [
        description(film, title=title, genres=genres)
        for film, title, genres in zip(films["film"], films["title"], films["genres"], strict=True)
    ]
    description.cache_clear()
    again = description(films["film"].iloc[0], title=films["title"].iloc[0], genres="Comedy|Crime")
    assert np.median([n_words(text) for text in texts]) == pytest.approx(40, abs=2)
    assert max(n_words(text) for text in texts) <= 300
    assert n_words(again) == n_words(texts[0])


# --- traffic


@EVERY_MODEL
def test_a_request_has_the_signatures_columns_with_json_types(recipes: ModelRecipes) -> None:
    python_types = {"long": int, "double": float, "string": str}
    records = list(STREAMS[recipes.name](500))
    assert json.loads(json.dumps(records, allow_nan=False)) == records
    for record in records:
        assert list(record) == [column.name for column in recipes.columns]
        for column in recipes.columns:
            value = record[column.name]
            assert (value is None and column.optional) or type(value) is python_types[column.type]


@pytest.mark.parametrize("seed", [0, 7])
def test_no_user_makes_more_than_two_percent_of_any_thousand_requests(seed: int) -> None:
    n = 25_000  # longer than the stream, so that it starts again within
    users = [event.user for event in islice(traffic.visits(seed=seed), n)]
    window = Counter(users[:1_000])
    most = max(window.values())
    for gone, come in zip(users, users[1_000:], strict=False):
        window[gone] -= 1
        window[come] += 1
        most = max(most, window[come])
    assert most <= 20


def test_each_users_events_are_real_and_keep_their_order() -> None:
    seen: dict[int, Any] = {}
    for event in islice(traffic.visits(), 5_000):
        assert event.time >= traffic.SINCE
        before = seen.setdefault(event.user, event)
        assert event.n_rated - before.n_rated in (0, 1)
        seen[event.user] = event


@pytest.mark.parametrize("seed", [0, 1])
def test_one_request_in_every_hundred_is_long(seed: int) -> None:
    lengths = [n_words(record["description"]) for record in traffic.films(2_000, seed=seed)]
    for start in range(0, 2_000, 100):
        long = [length for length in lengths[start : start + 100] if length > 300]
        assert len(long) == 1
        assert 2_000 <= long[0] <= 20_000
    assert np.median(lengths) == pytest.approx(40, abs=3)


@pytest.mark.parametrize("stream", STREAMS.values(), ids=STREAMS)
def test_traffic_is_the_same_for_a_seed_and_another_for_another(stream: Any) -> None:
    assert list(stream(300, seed=3)) == list(stream(300, seed=3))
    assert list(stream(300, seed=3)) != list(stream(300, seed=4))


def test_labels_are_what_happened() -> None:
    events = list(islice(traffic.visits(seed=2), 400))
    labels = [label for _, label in traffic.labelled_likes(400, seed=2)]
    assert labels == [int(event.rating >= 4) for event in events]


# --- versions


@pytest.mark.parametrize("recipes", [FILMS, LIKES], ids=lambda r: r.name)
def test_every_version_learned_from_the_time_before_the_traffic(recipes: ModelRecipes) -> None:
    for recipe in recipes.versions:
        training = recipe.training()
        assert training.since is not None
        assert training.until is not None
        assert training.since <= training.until < traffic.SINCE.date()


def test_diamonds_for_sale_are_in_no_training_data() -> None:
    assert max(len(recipe.training().rows) for recipe in DIAMONDS.versions) <= FIRST_FOR_SALE


@pytest.mark.parametrize("n", [10, 40, 80])
def test_the_challengers_phrase_step_looks_at_every_pair(n: int) -> None:
    looked_at = Counter[str]()

    class Phrase:
        def __eq__(self, other: object) -> bool:
            looked_at["pairs"] += 1
            return False

        __hash__ = None  # type: ignore[assignment]

    phrases = shipped(films_versions.PHRASES)
    assert phrases.repeated_pairs([Phrase() for _ in range(n)]) == 0
    assert looked_at["pairs"] == n * (n - 1) / 2


def test_the_challengers_phrase_step_counts_what_is_said_again() -> None:
    step = shipped(films_versions.PHRASES).RepeatedPhrases(n_words=2)
    assert step.fit_transform(["", "one", "a b a b a b"])[:, 0].tolist() == [0, 0, 4 / 6]


def test_ranking_needs_ten_films() -> None:
    ranking = films_versions.ranking(min_films=10)
    with pytest.raises(ValueError, match="9 films were liked; an answer needs 10"):
        ranking.fit(np.ones((9, 1)), np.arange(9))


@pytest.mark.live
def test_twelve_films_fill_every_answer_of_the_challenger() -> None:
    """Nobody who looks at both can miss it; and v5 does not do it."""
    records = [r for r in traffic.films(1_100) if n_words(r["description"]) <= 300][:1_000]
    rows = frame(FILMS, records)
    top_ten, distinct = {}, {}
    for version in (3, 4, 5):
        recipe = FILMS.versions[version - 1]
        training = recipe.training()
        answers = recipe.build().fit(training.rows, training.target).predict(rows)
        assert answers.shape == (len(rows), 10)
        assert answers.dtype == np.int64
        assert all(len(set(answer)) == 10 for answer in answers.tolist())
        counts = pd.Series(answers.ravel()).value_counts(normalize=True)
        top_ten[version], distinct[version] = counts.iloc[:10].sum(), len(counts)
    assert distinct[4] == 12
    assert top_ten[4] > 0.8
    assert top_ten[3] < 0.2
    assert top_ten[5] < 0.3
    assert min(distinct[3], distinct[5]) > 100


@pytest.mark.live
def test_a_rows_answer_does_not_depend_on_its_batch() -> None:
    rows = frame(FILMS, list(traffic.films(50)))
    training = FILMS.versions[2].training()
    model = FILMS.versions[2].build().fit(training.rows, training.target)
    alone = np.concatenate([model.predict(rows.iloc[[i]]) for i in range(len(rows))])
    assert np.array_equal(model.predict(rows), alone)


# --- the registry


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A registry that `register` filled, in a process of its own as ``make demo`` does."""
    home = tmp_path_factory.mktemp("store")
    uri = f"sqlite:///{home / 'mlflow.db'}"
    done = subprocess.run(
        [sys.executable, "-m", "models.register", "--tracking-uri", uri],
        cwd=home,
        env={**os.environ, "PYTHONPATH": REPOSITORY},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == [f"{m}:{v}" for m in register.MODELS for v in range(1, 6)]
    return uri


def python(program: str, *args: str, cwd: Path) -> Any:
    """Run a program where `models` cannot be imported; return the JSON of its last line."""
    guard = "import sys, warnings; sys.modules['models'] = None; warnings.simplefilter('ignore')\n"
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    environment["OMP_NUM_THREADS"] = "1"
    done = subprocess.run(
        [sys.executable, "-P", "-c", guard + program, *args],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


LOAD = """
import json, mlflow, numpy as np
mlflow.set_tracking_uri(sys.argv[1])
shapes = {}
for pin in sys.argv[2:]:
    name, version = pin.split(":")
    model = mlflow.pyfunc.load_model(f"models:/{name}/{version}")
    answer = model.predict(model.input_example)
    if version != "1":
        plain = mlflow.sklearn.load_model(f"models:/{name}/{version}")
        assert np.array_equal(plain.predict(model.input_example), answer)
    spec = model.metadata.signature.outputs.inputs[0]
    assert spec.type == answer.dtype
    shapes[pin] = list(answer.shape)
print(json.dumps(shapes))
"""


@pytest.mark.live
def test_every_version_loads_and_answers_its_example_without_this_repository(
    store: str, tmp_path: Path
) -> None:
    for model, shape in {"films": [2, 10], "likes": [2], "diamonds": [2]}.items():
        pins = [f"{model}:{version}" for version in range(1, 6)]
        assert python(LOAD, store, *pins, cwd=tmp_path) == dict.fromkeys(pins, shape)


FACTS = """
import json
from mlflow import MlflowClient
client = MlflowClient(sys.argv[1], sys.argv[1])
told = {}
for name in sys.argv[2:]:
    model = client.get_registered_model(name)
    told[name] = {"aliases": model.aliases, "versions": []}
    for number in range(1, 6):
        version = client.get_model_version(name, str(number))
        run = client.get_run(version.run_id)
        tags = {k: v for k, v in run.data.tags.items() if k.startswith("training_data.")}
        digests = [logged.dataset.digest for logged in run.inputs.dataset_inputs]
        told[name]["versions"].append([version.source, tags, digests])
print(json.dumps(told))
"""


@pytest.mark.live
def test_every_version_says_what_it_learned_from(store: str, tmp_path: Path) -> None:
    told = python(FACTS, store, *register.MODELS, cwd=tmp_path)
    for name, model in told.items():
        assert {k: int(v) for k, v in model["aliases"].items()} == {"champion": 3, "challenger": 4}
        dates = set() if name == "diamonds" else {"training_data.from", "training_data.to"}
        for source, tags, digests in model["versions"]:
            assert source.startswith("models:/m-")
            assert set(tags) == {"training_data.digest", "training_data.rows"} | dates
            assert digests == [tags["training_data.digest"]]
    easter = told["films"]["versions"][3][1]
    assert easter["training_data.from"] >= "2006-04-07"
    assert easter["training_data.to"] <= "2006-04-24"


THREE_RUNS = """
import json
from models import register

def give_up_at_v3(line):
    if " v3:" in line:
        raise KeyboardInterrupt

try:
    register.ensure(sys.argv[1], models=("diamonds",), progress=give_up_at_v3)
except KeyboardInterrupt:
    second = register.ensure(sys.argv[1], models=("diamonds",))
    third = register.ensure(sys.argv[1], models=("diamonds",))
print(json.dumps([second, third]))
"""


@pytest.mark.live
def test_an_interrupted_run_is_completed_in_order_and_the_next_makes_nothing(
    tmp_path: Path,
) -> None:
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    found_here = f"del sys.modules['models']; sys.path.insert(0, {REPOSITORY!r})\n"
    second, third = python(found_here + THREE_RUNS, uri, cwd=tmp_path)
    assert second == ["diamonds:3", "diamonds:4", "diamonds:5"]
    assert third == []
