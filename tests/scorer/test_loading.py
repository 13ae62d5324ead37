from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
import sklearn
from mlflow.models import ModelSignature, infer_signature
from mlflow.types import ColSpec, ParamSchema, ParamSpec, Schema
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import VotingClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.multioutput import MultiOutputClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from rig.registry import (
    FRAME,
    LABELS,
    REQUIREMENTS,
    Store,
    forest,
    register,
    shared_store,
    write_code,
)
from shadowserve.errors import ModelError, RequestError
from shadowserve.scorer.loading import Loaded, input_example, load, version_differences
from shadowserve.versions.pins import Pin
from shadowserve.versions.registry import Fetched, Registry

pytestmark = pytest.mark.live


@pytest.fixture(scope="module")
def store() -> Store:
    return shared_store()


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


def fetched(store: Store, model: str, number: int, cache: Path) -> Fetched:
    return Registry(store.uris).fetch(Pin(model, number), cache)


def loaded(
    store: Store,
    name: str,
    cache: Path,
    model: Any,
    *,
    method="predict",
    one_job=False,
    **options,
) -> Loaded:
    number = register(store, name, model, **options)
    found = fetched(store, name, number, cache)
    return load(found.path, method=method, version=found.version, one_job=one_job)


def in_a_process(
    found: Fetched, program: str, *, cwd: Path, environ: dict[str, str] | None = None
) -> Any:
    """Load a version in a fresh process, run a program on `it`, and return what `answer` is."""
    source = f"""
import json, sys
from pathlib import Path
import pandas as pd
from shadowserve.errors import ModelError
from shadowserve.scorer.loading import load
from shadowserve.versions.version import Version
sys.path.insert(0, "")
version = Version.from_dict(json.loads({json.dumps(found.version.to_dict())!r}))
path = Path({str(found.path)!r})
FRAME = pd.DataFrame({FRAME.to_dict("list")!r})
{program}
print(json.dumps(answer))
"""
    done = subprocess.run(
        [sys.executable, "-c", source],
        capture_output=True,
        text=True,
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), **(environ or {})},
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


PREDICT = "answer = load(path, version=version).predict(FRAME, {}).tolist()"


def test_an_sklearn_version_is_loaded_as_it_is(store: Store, cache: Path) -> None:
    found = fetched(store, "films", 2, cache)
    it = load(found.path, version=found.version)
    assert type(it.native).__name__ == "Pipeline"
    assert it.method == "predict"
    assert it.classes == [0, 1]
    assert it.feature_names == ["a", "b"]
    assert it.probabilities is not None
    assert it.probabilities(FRAME).shape == (4, 2)
    assert [(t.part, t.n_jobs, t.effective) for t in it.threads] == [
        ("columntransformer", 2, 2),
        ("logisticregression", None, 1),
    ]
    assert it.warnings == ()


def test_the_answer_is_what_mlflows_own_server_would_give(store: Store, cache: Path) -> None:
    for number in (1, 2):
        found = fetched(store, "films", number, cache)
        ours = load(found.path).predict(FRAME, {})
        theirs = mlflow.pyfunc.load_model(str(found.path)).predict(FRAME.assign(c=1.0))
        np.testing.assert_array_equal(ours, theirs)


def test_probabilities_are_served_where_asked_for(store: Store, cache: Path) -> None:
    found = fetched(store, "films", 2, cache)
    it = load(found.path, method="predict_proba")
    np.testing.assert_array_equal(it.predict(FRAME, {}), it.native.predict_proba(FRAME))
    assert it.method == "predict_proba"


def test_a_method_the_model_lacks_is_named(store: Store, cache: Path) -> None:
    found = fetched(store, "films", 1, cache)
    with pytest.raises(ModelError, match=r"films:1 has no predict_proba\(\)"):
        load(found.path, method="predict_proba", version=found.version)
    with pytest.raises(ModelError, match="not one of predict, predict_proba"):
        load(found.path, method="transform")


def test_what_the_version_was_logged_to_answer_is_what_it_answers(
    store: Store, cache: Path
) -> None:
    """Under MLflow's server a version logged with pyfunc_predict_fn answers with that."""
    model = LogisticRegression().fit(FRAME, LABELS)
    it = loaded(store, "proba", cache, model, pyfunc_predict_fn="predict_proba")
    assert it.method == "predict_proba"
    assert it.predict(FRAME, {}).shape == (4, 2)


def test_every_n_jobs_is_told(store: Store, cache: Path) -> None:
    it = loaded(store, "forest", cache, make_pipeline(StandardScaler(), forest()))
    (found,) = it.threads
    assert (found.part, found.n_jobs) == ("randomforestclassifier", -1)
    assert found.effective >= 1


def test_on_demand_every_part_runs_in_one_job_fitted_parts_within_parts_too(
    store: Store, cache: Path
) -> None:
    """Pools for one row cost more than they save; what a part computes stays the same (SS-023)."""
    scale = ColumnTransformer([("scale", StandardScaler(), ["a", "b"])], n_jobs=2)
    vote = VotingClassifier([("forest", forest()), ("line", LogisticRegression())], n_jobs=2)
    model = make_pipeline(scale, vote).fit(FRAME, LABELS)
    as_fitted = loaded(store, "jobs", cache, model)
    it = loaded(store, "jobs", cache, model, one_job=True)
    assert {part.n_jobs for part in it.threads if part.n_jobs is not None} == {1}
    assert {part.effective for part in it.threads} == {1}
    assert it.native[-1].estimators_[0].n_jobs == 1
    assert as_fitted.native[-1].estimators_[0].n_jobs == -1
    assert (it.predict(FRAME, {}) == as_fitted.predict(FRAME, {})).all()


def test_classes_of_every_output_are_told(store: Store, cache: Path) -> None:
    both = np.column_stack([LABELS, ["x", "y", "z", "x"]])
    it = loaded(store, "multi", cache, MultiOutputClassifier(LogisticRegression()).fit(FRAME, both))
    assert it.classes == [["0", "1"], ["x", "y", "z"]]


def test_a_skops_version_loads(store: Store, cache: Path) -> None:
    model = LogisticRegression().fit(FRAME, LABELS)
    number = register(store, "skops", model, serialization_format="skops")
    found = fetched(store, "skops", number, cache)
    assert (found.version.serialization, found.version.executes_code) == ("skops", True)
    np.testing.assert_array_equal(load(found.path).predict(FRAME, {}), model.predict(FRAME))


class Scaled(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):
        return model_input["a"] * params["factor"] + params["shift"]


class Plain(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input):
        return model_input["a"].tolist()


PARAMS = ModelSignature(
    Schema([ColSpec("double", "a"), ColSpec("double", "b")]),
    None,
    ParamSchema([ParamSpec("factor", "double", 2.0), ParamSpec("shift", "long", 0)]),
)


def test_a_pyfunc_gets_its_parameters_with_defaults_as_from_mlflow(
    store: Store, cache: Path
) -> None:
    number = register(store, "scaled", Scaled(), signature=PARAMS)
    found = fetched(store, "scaled", number, cache)
    it = load(found.path, version=found.version)
    theirs = mlflow.pyfunc.load_model(str(found.path))
    assert it.native is None
    for params in ({}, {"factor": 3.0}, {"factor": 3, "shift": 1}, {"unknown": 1}):
        pd.testing.assert_series_equal(it.predict(FRAME, params), theirs.predict(FRAME, params))


def test_a_wrong_parameter_is_the_requests_fault_and_never_quoted(
    store: Store, cache: Path
) -> None:
    it = loaded(store, "scaled", cache, Scaled(), signature=PARAMS)
    with pytest.raises(RequestError, match="factor, shift") as caught:
        it.predict(FRAME, {"factor": "s3cret"})
    assert "s3cret" not in str(caught.value)
    assert (caught.value.code, caught.value.status) == ("bad_params", 400)


def test_a_pyfunc_without_parameters_is_called_without(store: Store, cache: Path) -> None:
    it = loaded(store, "plain", cache, Plain())
    assert it.predict(FRAME, {"ignored": 1}) == [1.0, 2.0, 3.0, 4.0]
    assert (it.probabilities, it.classes, it.threads) == (None, None, ())


def test_a_boosted_model_of_another_flavor_has_its_probabilities(store: Store, cache: Path) -> None:
    import lightgbm

    from rig.registry import register_uri, use

    model = lightgbm.LGBMClassifier(n_estimators=2, min_child_samples=1, n_jobs=1, verbose=-1)
    model.fit(FRAME, LABELS)
    with use(store), mlflow.start_run():
        info = mlflow.lightgbm.log_model(model, name="m", pip_requirements=REQUIREMENTS)
    number = register_uri(store, "boosted", info.model_uri)
    found = fetched(store, "boosted", number, cache)
    it = load(found.path, method="predict_proba", version=found.version)
    assert it.native is None
    assert it.classes == [0, 1]
    np.testing.assert_allclose(it.predict(FRAME, {}), model.predict_proba(FRAME))
    np.testing.assert_array_equal(load(found.path).predict(FRAME, {}), model.predict(FRAME))


def test_the_input_example_comes_back_as_a_body_that_can_be_sent(store: Store, cache: Path) -> None:
    found = fetched(store, "films", 1, cache)
    body = {"dataframe_split": {"columns": ["a", "b"], "data": [[1.0, 4.0], [2.0, 3.0]]}}
    assert input_example(found.path) == load(found.path).input_example == body
    assert load(fetched(store, "films", 2, cache).path).input_example is None


@pytest.mark.parametrize(
    ("info", "saved", "body"),
    [
        (
            "{type: dataframe, pandas_orient: split}",
            {"data": [[1]]},
            {"dataframe_split": {"data": [[1]]}},
        ),
        ("{type: ndarray, format: tf-serving}", {"inputs": [[1]]}, {"inputs": [[1]]}),
        ("{type: json_object}", {"a": 1}, {"inputs": {"a": 1}}),
        ("{type: json_object}", [1], {"inputs": [1]}),
    ],
)
def test_examples_of_older_mlflow_versions_become_bodies(
    tmp_path: Path, info: str, saved: Any, body: Any
) -> None:
    info = info.replace("{", "{artifact_path: example.json, ", 1)
    (tmp_path / "MLmodel").write_text(f"flavors: {{}}\nsaved_input_example_info: {info}\n")
    (tmp_path / "example.json").write_text(json.dumps(saved))
    assert input_example(tmp_path) == body


FEATS = """
from sklearn.base import BaseEstimator, TransformerMixin
class Times(BaseEstimator, TransformerMixin):
    def fit(self, X, y=None): return self
    def transform(self, X): return X * {factor}
"""


def with_code(store: Store, name: str, folder: Path, factor: int, file: str = "feats.py") -> int:
    """Register identity-after-`feats.Times`, whose code multiplies by `factor`."""
    path = write_code(folder / str(factor), file, FEATS.format(factor=factor))
    sys.path.insert(0, str(path.parent))
    module = file.removesuffix(".py")
    sys.modules.pop(module, None)
    try:
        times = __import__(module).Times
        line = LinearRegression(fit_intercept=False).fit(FRAME[["a"]], FRAME["a"])
        model = make_pipeline(times(), line)
        model.fit(FRAME[["a"]], FRAME["a"])
        model[-1].coef_ = np.array([1.0])
        return register(store, name, model, code_paths=[str(path)])
    finally:
        sys.path.remove(str(path.parent))
        sys.modules.pop(module, None)


def test_two_versions_that_ship_one_module_name_each_run_their_own(
    store: Store, cache: Path, tmp_path: Path
) -> None:
    """Even where the working directory holds a third module of that name."""
    numbers = [with_code(store, "shipped", tmp_path, factor) for factor in (1, 2)]
    write_code(tmp_path / "cwd", "feats.py", FEATS.format(factor=99))
    answers = [
        in_a_process(
            fetched(store, "shipped", number, cache),
            "answer = load(path).predict(pd.DataFrame({'a': [10.0]}), {}).tolist()",
            cwd=tmp_path / "cwd",
        )
        for number in numbers
    ]
    assert answers == [[10.0], [20.0]]


def test_a_second_version_of_that_name_is_refused_in_one_process(
    store: Store, cache: Path, tmp_path: Path
) -> None:
    first, second = (
        fetched(store, "clash", with_code(store, "clash", tmp_path, factor), cache)
        for factor in (3, 4)
    )
    program = f"""
first = load(path)
load(path)
try: load(Path({str(second.path)!r}))
except ModelError as error: answer = [str(error), first.predict(FRAME[["a"]], {{}}).tolist()]
"""
    message, answer = in_a_process(first, program, cwd=tmp_path)
    assert "'feats'" in message
    assert "process of its own" in message
    assert answer == [3.0, 6.0, 9.0, 12.0]


def test_shipped_modules_never_shadow_what_the_server_is_built_on(
    store: Store, cache: Path, tmp_path: Path
) -> None:
    """Shipped: a module of the standard library, one of a dependency, and the model's own."""
    shipped = [
        str(write_code(tmp_path / "ship", name, "raise SystemExit('shadowed')"))
        for name in ("json.py", "wave.py", "yaml.py", "click.py")
    ]
    shipped.append(str(write_code(tmp_path / "ship", "own_feats.py", "x = 7")))
    model = LinearRegression().fit(FRAME, FRAME["a"])
    found = fetched(store, "shadows", register(store, "shadows", model, code_paths=shipped), cache)
    program = """
import importlib.util
names = ["json", "wave", "yaml", "click"]
before = [importlib.util.find_spec(name).origin for name in names]
it = load(path, version=version)
after = [importlib.util.find_spec(name).origin for name in names]
import own_feats, wave
answer = [before == after, own_feats.x, sorted(it.warnings), sys.path[-1], sys.path.count(sys.path[-1])]
"""
    same, own, warnings, last, count = in_a_process(found, program, cwd=tmp_path)
    assert same
    assert own == 7
    assert (last, count) == (str(found.path / "code"), 1)
    assert warnings == [
        f"shipped module '{name}' is hidden by the server's own"
        for name in ("click", "json", "wave", "yaml")
    ]


def test_a_missing_module_is_named_with_the_way_to_ship_it(
    store: Store, cache: Path, tmp_path: Path
) -> None:
    number = without_code(store, tmp_path)
    found = fetched(store, "unshipped", number, cache)
    program = "try: load(path, version=version)\nexcept ModelError as error: answer = str(error)"
    message = in_a_process(found, program, cwd=tmp_path / "..")
    assert "unshipped:1 cannot be loaded: module 'custom_transformer' is missing" in message
    assert "code_paths=['custom_transformer.py']" in message


def without_code(store: Store, folder: Path) -> int:
    number = with_code(store, "tmp_unshipped", folder, 5, "custom_transformer.py")
    source = (
        Registry(store.uris).calls.location(Pin("tmp_unshipped", number)).removeprefix("file://")
    )
    (Path(source) / "code/custom_transformer.py").unlink()
    return int(_source(store, "unshipped", source))


def _source(store: Store, name: str, source: str) -> int:
    store.client.create_registered_model(name)
    return int(store.client.create_model_version(name, Path(source).as_uri()).version)


@pytest.mark.parametrize(("model", "number"), [("films", 1), ("guarded", 1)])
def test_mlflows_guard_against_executing_code_is_honoured(
    store: Store, cache: Path, tmp_path: Path, model: str, number: int
) -> None:
    if model == "guarded":
        register(store, "guarded", Plain())
    found = fetched(store, model, number, cache)
    program = "try: load(path, version=version)\nexcept ModelError as error: answer = str(error)"
    message = in_a_process(
        found, program, cwd=tmp_path, environ={"MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false"}
    )
    assert message.startswith(f"{model}:{number} cannot be loaded: loading it executes code")
    assert "MLFLOW_ALLOW_PICKLE_DESERIALIZATION=false" in message


class Quotes(LinearRegression):
    """Raises on loading, with a value in its text."""

    def __setstate__(self, state: dict[str, Any]) -> None:
        raise ValueError(f"cannot take s3cret {state}")


class Warns(LinearRegression):
    def __setstate__(self, state: dict[str, Any]) -> None:
        import warnings

        super().__setstate__(state)
        warnings.warn("row s3cret", stacklevel=1)


def test_what_a_model_says_while_loading_is_not_repeated(store: Store, cache: Path) -> None:
    number = register(store, "quotes", Quotes().fit(FRAME, FRAME["a"]))
    found = fetched(store, "quotes", number, cache)
    other = replace(found.version, libraries={"scikit-learn": "1.3.2"})
    with pytest.raises(
        ModelError, match=r"quotes:1 cannot be loaded: ValueError at test_loading"
    ) as caught:
        load(found.path, version=other)
    assert "s3cret" not in str(caught.value)
    it = loaded(store, "warns", cache, Warns().fit(FRAME, FRAME["a"]))
    assert it.warnings == ("UserWarning: at loading",)


def test_other_library_versions_are_told(store: Store, cache: Path) -> None:
    found = fetched(store, "films", 1, cache)
    assert version_differences(found.version) == []
    other = replace(found.version, libraries={"scikit-learn": "1.3.2", "python": "3.8.1"})
    assert [text.partition(" in")[0] for text in version_differences(other)] == [
        "python 3.8.1",
        "scikit-learn 1.3.2",
    ]
    copy = cache / "older"
    shutil.copytree(found.path, copy)
    manifest = (copy / "MLmodel").read_text()
    (copy / "MLmodel").write_text(manifest.replace("sklearn_version: 1", "sklearn_version: 0"))
    (note,) = load(copy).warnings
    assert note.startswith("other library: scikit-learn 0.")
    (copy / "model.pkl").write_bytes(b"garbage")
    with pytest.raises(
        ModelError,
        match=r"older cannot be loaded: it was saved with other libraries \(scikit-learn 0",
    ):
        load(copy)


def test_an_older_estimator_warns_by_its_librarys_own_words(store: Store, cache: Path) -> None:
    copy = cache / "unpickled"
    shutil.copytree(fetched(store, "films", 1, cache).path, copy)
    running = sklearn.__version__.encode()
    pickled = (copy / "model.pkl").read_bytes()
    assert running in pickled
    (copy / "model.pkl").write_bytes(pickled.replace(running, b"0" * len(running)))
    (note,) = load(copy).warnings
    assert note.startswith("InconsistentVersionWarning: Trying to unpickle estimator")


def test_a_model_that_wraps_a_pickled_pyfunc_answers(store: Store, cache: Path) -> None:
    """Our call leaves out MLflow's enforcement, so an old schema inside is never asked."""
    signature = infer_signature(FRAME, FRAME["a"])
    number = register(
        store, "inner", LinearRegression().fit(FRAME, FRAME["a"]), signature=signature
    )
    inner = mlflow.pyfunc.load_model(str(fetched(store, "inner", number, cache).path))

    class Wraps(LinearRegression):
        def predict(self, X):
            return self.inner_.predict(X)

    outer = Wraps().fit(FRAME, FRAME["a"])
    outer.inner_ = inner
    it = loaded(store, "wraps", cache, outer, signature=signature)
    np.testing.assert_allclose(it.predict(FRAME, {}), FRAME["a"])
