"""Models of every flavor that is installed, each behind MLflow's scoring app and behind our own scorer."""

from __future__ import annotations

import datetime
import importlib.util
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, Optional

import numpy as np
import pandas as pd
import pydantic

from shadowserve.errors import RequestError
from shadowserve.scorer.scoring import open_version, warm
from shadowserve.versions.mlmodel import read_manifest
from shadowserve.versions.version import Version, digest_of, with_manifest
from shadowserve.wire.protocols import protocols

INVOCATIONS = protocols("m", 1)["invocations"]
N = 40
FRAME = pd.DataFrame(
    {"a": np.arange(N) * 1.0, "b": np.linspace(0, 1, N) ** 2, "c": np.arange(N) % 3}
)
TARGET = FRAME["a"] * 2 + FRAME["b"]
LABELS = np.where(FRAME["c"] == 1, "yes", "no")
ROWS = [{"a": 1.0, "b": 0.5, "c": 1}, {"c": 2, "a": 3.25, "b": 0.1}]
TABLES = [
    {"dataframe_records": ROWS},
    {"dataframe_records": ROWS[:1]},
    {"inputs": ROWS},
    {"instances": ROWS},
    {"inputs": {"c": [1, 2], "a": [0.5, 1.5], "b": [0.0, 1.0]}},
    {"dataframe_split": {"columns": ["c", "b", "a"], "data": [[1, 0.5, 1.0], [0, 0.25, 2.0]]}},
    b"c,a,b\n1,1.0,0.5\n2,7.5,0.25\n",
]
RECORDS = [{"dataframe_records": ROWS}, {"dataframe_records": ROWS[:1]}]


class Difference(NamedTuple):
    """A row of the list in the docs, a request, and a part of either answer; None for a 400."""

    row: str
    flavor: str
    sent: Any
    theirs: str | None
    ours: str | None


class Film(pydantic.BaseModel):
    title: str
    year: int = pydantic.Field(gt=1880)
    score: float = 1.0
    note: Optional[str] = None  # noqa: UP045 - MLflow reads this spelling

    @pydantic.field_validator("title")
    @classmethod
    def is_no_secret(cls, title: str) -> str:
        if title == "tell-nobody":
            raise ValueError(f"{title} is a secret")
        return title


class Shelf(pydantic.BaseModel):
    films: list[Film]
    tags: list[str] = []
    counts: dict[str, int] = {}


class Sparse(pydantic.BaseModel):
    words: list[Optional[str]] = []  # noqa: UP045 - MLflow reads this spelling
    of: dict[str, Optional[int]] = {}  # noqa: UP045
    grid: list[list[Optional[float]]] = []  # noqa: UP045
    flags: dict[str, dict[str, Optional[bool]]] = {}  # noqa: UP045


class Shown(pydantic.BaseModel):
    at: datetime.datetime
    poster: bytes = b""


FILM = {"title": "Nosferatu", "year": 1922}


def told(values: Any) -> list[str]:
    """Answer each row with its type and value; numbers of numpy within objects as Python's."""
    if isinstance(values, pd.DataFrame):
        return [repr(_bare(row)) for row in values.to_dict("records")]
    return [f"{type(value).__name__} {value!r}" for value in values]


def _bare(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _bare(each) for key, each in value.items()}
    return value.item() if isinstance(value, np.generic) else value


class Flavor:
    """One saved model behind both."""

    def __init__(self, path: Path) -> None:
        import mlflow
        from mlflow.pyfunc import scoring_server
        from starlette.testclient import TestClient

        self.scorer = opened(path)
        with serving_environment():
            model = mlflow.pyfunc.load_model(str(path))
            self._app = TestClient(scoring_server.init(model))

    def theirs(self, body: bytes, content_type: str) -> tuple[int, Any]:
        head = {"content-type": content_type}
        with serving_environment():
            answer = self._app.post("/invocations", content=body, headers=head)
        if answer.status_code != 200:
            return answer.status_code, None
        return 200, json.loads(answer.content, parse_constant=lambda _: None)["predictions"]

    def ours(self, body: bytes, content_type: str) -> tuple[int, Any]:
        try:
            rows, _ = INVOCATIONS.parse(body, content_type, self.scorer.schema)
        except RequestError as error:
            return error.status, str(error)
        (output,) = self.scorer.split(self.scorer.score(rows).output, [rows.n_rows])
        return 200, json.loads(INVOCATIONS.encode(output))["predictions"]


@contextmanager
def serving_environment() -> Iterator[None]:
    """Let MLflow believe that it serves, and nobody else after."""
    name = "_MLFLOW_IS_IN_SERVING_ENVIRONMENT"
    os.environ[name] = "true"
    try:
        yield
    finally:
        os.environ.pop(name, None)


def opened(path: Path) -> Any:
    """Open a saved model as the champion's worker would, warm it, and return the scorer."""
    made = Version("m", 1, "2026-01-01T00:00:00+00:00", digest=digest_of(path)[0])
    scorer = open_version(with_manifest(made, read_manifest(path)), path)
    warm(scorer)
    return scorer


def signature(*columns: Any, params: Any = None) -> Any:
    from mlflow.models import ModelSignature
    from mlflow.types import Schema

    return ModelSignature(Schema(list(columns)), params=params)


def function(
    path: Path, hint: Any, *, example: Any = None, params: Any = None, known: Any = None
) -> None:
    """Save a `PythonModel` whose predict is hinted with a type, or with none."""
    import mlflow

    def predict(self, model_input, params=None):
        given = {key: repr(params[key]) for key in sorted(params or {})}
        return [told_of | given if given else told_of for told_of in map(_row, told(model_input))]

    if hint is not None:
        predict.__annotations__["model_input"] = hint
    model = type("Told", (mlflow.pyfunc.PythonModel,), {"predict": predict})()
    options = {} if known is None else {"signature": known}
    mlflow.pyfunc.save_model(
        path, python_model=model, input_example=example, pip_requirements=[], **options
    )


def _row(text: str) -> dict[str, str]:
    return {"row": text}


def sklearn_model(path: Path, model: Any, *, signed: bool = True, **options: Any) -> None:
    import mlflow
    from mlflow.models import infer_signature

    known = infer_signature(FRAME, TARGET) if signed else None
    options = {"serialization_format": "cloudpickle", **options}
    mlflow.sklearn.save_model(model, path, signature=known, pip_requirements=[], **options)


def lines() -> Any:
    from sklearn.compose import make_column_transformer
    from sklearn.linear_model import Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    columns = make_column_transformer(
        (StandardScaler(), ["a"]),
        (OneHotEncoder(sparse_output=False), ["c"]),
        remainder="passthrough",
    )
    return make_pipeline(columns.set_output(transform="pandas"), Ridge()).fit(FRAME, TARGET)


def labelled(path: Path) -> None:
    from sklearn.linear_model import LogisticRegression

    sklearn_model(path, LogisticRegression(max_iter=1000).fit(FRAME, LABELS))


def boosted(
    path: Path, *, labels: bool = False, booster: bool = False, signed: bool = True
) -> None:
    import lightgbm
    import mlflow.lightgbm
    from mlflow.models import infer_signature

    kind = lightgbm.LGBMClassifier if labels else lightgbm.LGBMRegressor
    model = kind(n_estimators=5, verbose=-1, min_child_samples=2)
    model.fit(FRAME, LABELS if labels else TARGET)
    known = infer_signature(FRAME, TARGET) if signed else None
    saved = model.booster_ if booster else model
    mlflow.lightgbm.save_model(saved, path, signature=known, pip_requirements=[])


def xgboosted(path: Path, *, signed: bool = True) -> None:
    import mlflow.xgboost
    import xgboost
    from mlflow.models import infer_signature

    model = xgboost.XGBRegressor(n_estimators=5).fit(FRAME, TARGET)
    known = infer_signature(FRAME, TARGET) if signed else None
    saved = model if signed else model.get_booster()
    mlflow.xgboost.save_model(saved, path, signature=known, pip_requirements=[])


def results(path: Path, *, signed: bool = True) -> None:
    import mlflow.statsmodels
    import statsmodels.api as sm
    from mlflow.models import infer_signature

    known = infer_signature(FRAME, TARGET) if signed else None
    fitted = sm.OLS(TARGET, FRAME).fit()
    mlflow.statsmodels.save_model(fitted, path, signature=known, pip_requirements=[])


FROM_CODE = """
import mlflow
import pandas as pd

class Twice(mlflow.pyfunc.PythonModel):
    def load_context(self, context):
        self.times = (context.model_config or {}).get("times", 2)
    def predict(self, context, model_input: pd.DataFrame, params=None) -> pd.DataFrame:
        return pd.DataFrame({"times": model_input["a"] * self.times, "name": "n"})

mlflow.models.set_model(Twice())
"""
BACKWARDS = """
import mlflow

def predict(model_input: list[str]) -> list[str]:
    return [text[::-1] for text in model_input]

mlflow.models.set_model(predict)
"""
LOADER = """
class Fivefold:
    def predict(self, frame):
        return frame["a"] * 5

def _load_pyfunc(path):
    return Fivefold()
"""


def from_code(path: Path, source: str, *, example: Any, known: bool = False) -> None:
    import mlflow
    from mlflow.models import infer_signature

    file = path.with_suffix(".py")
    file.write_text(source)
    options = {"signature": infer_signature(FRAME), "model_config": {"times": 3}} if known else {}
    mlflow.pyfunc.save_model(
        path, python_model=str(file), input_example=example, pip_requirements=[], **options
    )


def own_loader(path: Path) -> None:
    import mlflow
    from mlflow.models import infer_signature

    file = path.with_name("own_loader_of_fivefold.py")
    file.write_text(LOADER)
    data = path.with_suffix(".txt")
    data.write_text("nothing")
    mlflow.pyfunc.save_model(
        path,
        loader_module=file.stem,
        code_paths=[str(file)],
        data_path=str(data),
        signature=infer_signature(FRAME, TARGET),
        pip_requirements=[],
    )


def every_param() -> Any:
    from mlflow.types import ParamSchema, ParamSpec
    from mlflow.types.schema import DataType, Object, Property

    limits = Object([Property("low", DataType.double)])
    return ParamSchema(
        [
            ParamSpec("d", "double", 1.5),
            ParamSpec("l", "long", 3),
            ParamSpec("i", "integer", 2),
            ParamSpec("f", "float", 0.5),
            ParamSpec("s", "string", "w"),
            ParamSpec("b", "boolean", False),
            ParamSpec("t", "datetime", datetime.datetime(2024, 1, 1)),
            ParamSpec("many", "double", [1.0], shape=(-1,)),
            ParamSpec("none", "string", None),
            ParamSpec("limits", limits, {"low": 0.5}),
        ]
    )


def nested(path: Path, type_: Any, name: str | None = "v") -> None:
    from mlflow.types import ColSpec

    function(path, None, known=signature(ColSpec(type_, name)))


def kinds(path: Path, type_: Any) -> None:
    """Save a model that answers the kind of what it was handed: the dtype, or that of the insides."""
    import mlflow
    from mlflow.types import ColSpec

    def kind(values: Any) -> list[Any]:
        if isinstance(values[0], dict):
            return [repr({k: type(v).__name__ for k, v in row.items()}) for row in values]
        return [str(values.dtype)] * len(values)

    model = type(
        "Kinds",
        (mlflow.pyfunc.PythonModel,),
        {"predict": lambda self, context, model_input, params=None: kind(model_input["v"])},
    )()
    known = signature(ColSpec(type_, "v"))
    mlflow.pyfunc.save_model(path, python_model=model, signature=known, pip_requirements=[])


def tensor(path: Path, *specs: tuple[str, tuple[int, ...], str | None]) -> None:
    from mlflow.types import TensorSpec

    known = signature(*(TensorSpec(np.dtype(d), shape, name) for d, shape, name in specs))

    def rows(model_input: Any) -> list[str]:
        if isinstance(model_input, dict):
            parts = zip(*model_input.values(), strict=True)
            return [repr([str(part.dtype) + repr(part.tolist()) for part in row]) for row in parts]
        return [f"{model_input.dtype} {row.tolist()!r}" for row in model_input]

    import mlflow

    model = type(
        "Rows",
        (mlflow.pyfunc.PythonModel,),
        {"predict": lambda self, context, model_input, params=None: rows(model_input)},
    )()
    mlflow.pyfunc.save_model(path, python_model=model, signature=known, pip_requirements=[])


def one_param(**given: Any) -> dict[str, Any]:
    return {"dataframe_records": [{"v": 1.5}], "params": given}


def _params(path: Path) -> None:
    from mlflow.types import ColSpec

    known = signature(ColSpec("double", "v"), params=every_param())
    function(path, None, known=known)


def _types() -> tuple[Any, ...]:
    from mlflow.types.schema import AnyType, Array, DataType, Map, Object, Property

    shop = Object(
        [
            Property("id", DataType.long),
            Property("name", DataType.string, required=False),
            Property("open", Array(DataType.boolean), required=False),
        ]
    )
    return (
        Array(DataType.long),
        shop,
        Map(DataType.string),
        AnyType(),
        Array(Array(DataType.double)),
    )


SHOP = {"id": 2**53 + 1, "name": "q", "open": [True, False]}
CUBE = [[[1, 2], [3, 4.5]]]

Saver = Callable[[Path], None]
FLAVORS: dict[str, tuple[Saver, list[Any]]] = {
    # PythonModel by its type hint
    "pydantic": (
        lambda p: function(p, list[Film], example=[FILM]),
        [
            {"inputs": [FILM]},
            {"inputs": [FILM, FILM | {"score": 2, "note": "x"}]},
            {"inputs": [FILM | {"note": None}]},
        ],
    ),
    "nested pydantic": (
        lambda p: function(p, list[Shelf]),
        [
            {"inputs": [{"films": [FILM]}]},
            {"inputs": [{"films": []}, {"films": [FILM], "tags": ["x"], "counts": {"k": 1}}]},
        ],
    ),
    "null within lists and maps": (
        lambda p: function(p, list[Sparse]),
        [
            {"inputs": [{"words": ["a", None], "of": {"k": None}, "grid": [[1.5, None]]}]},
            {"inputs": [{}, {"flags": {"k": {"x": None, "y": True}}}]},
        ],
    ),
    "list of lists with null": (
        lambda p: function(p, list[list[Optional[str]]]),  # noqa: UP045 - MLflow reads this spelling
        [{"inputs": [["a", None]]}, {"inputs": [["a"], [None]]}],
    ),
    "moments and bytes in pydantic": (lambda p: function(p, list[Shown]), []),
    "list of text": (lambda p: function(p, list[str]), [{"inputs": ["02139", ""]}]),
    "list of whole numbers": (lambda p: function(p, list[int]), [{"inputs": [1, 2**63 - 1]}]),
    "list of numbers": (lambda p: function(p, list[float]), [{"inputs": [1.5, -2.0]}]),
    "list of booleans": (lambda p: function(p, list[bool]), [{"inputs": [True, False]}]),
    "list of bytes": (lambda p: function(p, list[bytes]), [{"inputs": ["aGk="]}]),
    "list of moments": (
        lambda p: function(p, list[datetime.datetime]),
        [{"inputs": ["2024-03-01T12:00:00.000001", "2024-03-01"]}],
    ),
    "list of lists": (
        lambda p: function(p, list[list[str]]),
        [{"inputs": [["a"], []]}, {"inputs": [["a", "b"]]}],
    ),
    "list of dicts": (
        lambda p: function(p, list[dict[str, int]]),
        [{"inputs": [{"a": 1}, {"b": 2, "c": 3}]}],
    ),
    "list of anything": (
        lambda p: function(p, list[Any]),
        [
            {"inputs": [1, "a", None, {"x": [1]}]},
            {"inputs": [[1], [2, 3]]},
            {"inputs": ["a", None]},
        ],
    ),
    # other ways to log a Python function
    "function": (
        lambda p: from_code(p, BACKWARDS, example=["x"]),
        [{"inputs": ["abc", "é"]}],
    ),
    "model from code": (lambda p: from_code(p, FROM_CODE, example=FRAME[:2], known=True), TABLES),
    "own loader": (own_loader, TABLES),
    "params": (
        _params,
        [
            {"dataframe_records": [{"v": 1.5}]},
            one_param(d=2),
            one_param(d=2.5, l=4, i=5, f=1.5, s="x", b=True, many=[1, 2.5], none="x"),
            one_param(t="2024-03-01T00:00:00", limits={"low": 2.5}),
            one_param(many=[], none=None, unknown=1),
        ],
    ),
    # nested columns
    "array": (
        lambda p: nested(p, _types()[0]),
        [{"dataframe_records": [{"v": [1, 2]}, {"v": []}]}],
    ),
    "object": (
        lambda p: nested(p, _types()[1]),
        [{"dataframe_records": [{"v": SHOP}, {"v": {"id": 1}}]}, {"inputs": [{"v": SHOP}]}],
    ),
    "map": (
        lambda p: nested(p, _types()[2]),
        [{"dataframe_records": [{"v": {"a": "x", "b": "y"}}]}, {"inputs": [{"v": {"a": "x"}}]}],
    ),
    "any": (
        lambda p: nested(p, _types()[3]),
        [{"dataframe_records": [{"v": 1}, {"v": "a"}, {"v": None}, {"v": [1]}]}],
    ),
    "array of arrays": (
        lambda p: nested(p, _types()[4]),
        [{"dataframe_records": [{"v": [[1.5, 2.0], []]}]}],
    ),
    "any dtypes": (lambda p: kinds(p, _types()[3]), []),
    "object types": (lambda p: kinds(p, _types()[1]), []),
    # tensors
    "cube": (
        lambda p: tensor(p, ("float64", (-1, 2, 2), None)),
        [{"inputs": CUBE}, {"instances": CUBE * 2}],
    ),
    "image": (
        lambda p: tensor(p, ("uint8", (-1, 1, 2, 1), None)),
        [{"inputs": [[[[0], [255]]]]}],
    ),
    "half precision": (
        lambda p: tensor(p, ("float16", (-1, 2), None)),
        [{"inputs": [[1.5, 65504]]}],
    ),
    "largest whole numbers": (
        lambda p: tensor(p, ("uint64", (-1,), "u"), ("int64", (-1,), "i")),
        [
            {"inputs": {"u": [2**64 - 1], "i": [-(2**63)]}},
            {"instances": [{"u": 1, "i": 2**53 + 1}]},
        ],
    ),
    "named tensors": (
        lambda p: tensor(p, ("float32", (-1, 2), "u"), ("bool", (-1,), "v")),
        [
            {"inputs": {"v": [True, False], "u": [[1, 2], [0.1, 4]]}},
            {"instances": [{"u": [1, 2], "v": True}, {"v": False, "u": [3, 4]}]},
            {"dataframe_records": [{"u": [1, 2], "v": True}]},
        ],
    ),
    # estimators
    "pipeline with frames": (lambda p: sklearn_model(p, lines(), input_example=FRAME[:2]), TABLES),
    "labels": (labelled, TABLES),
    "skops": (
        lambda p: sklearn_model(p, lines()[-1].fit(FRAME, TARGET), serialization_format="skops"),
        TABLES,
    ),
    "sklearn, unsigned": (lambda p: sklearn_model(p, lines(), signed=False), RECORDS),
    "lightgbm": (boosted, TABLES),
    "lightgbm labels": (lambda p: boosted(p, labels=True), TABLES),
    "lightgbm booster": (lambda p: boosted(p, booster=True), TABLES),
    "lightgbm booster, unsigned": (
        lambda p: boosted(p, booster=True, signed=False),
        [{"dataframe_records": [dict(sorted(row.items())) for row in ROWS]}],
    ),
    "xgboost": (xgboosted, TABLES),
    "xgboost booster, unsigned": (
        lambda p: xgboosted(p, signed=False),
        [{"dataframe_records": [dict(sorted(row.items())) for row in ROWS]}],
    ),
    "statsmodels": (results, TABLES),
    "statsmodels, unsigned": (
        lambda p: results(p, signed=False),
        [{"dataframe_records": [dict(sorted(row.items())) for row in ROWS]}],
    ),
}


SHOWN = {"at": "2024-03-01T12:00:00", "poster": "aGk="}
RANGE = "a number out of range for a parameter of type integer or long, 2^53 + 1 for double"
GIVEN = "parameters: null in a list of numbers, a day for a moment, whole numbers for double in an object"
UNKNOWN, BY_HINT = "a property that a pydantic class does not know", "type-hinted models"
DIFFERENCES = [
    Difference(UNKNOWN, "pydantic", {"inputs": [FILM | {"more": 1}]}, "Film", None),
    Difference(RANGE, "params", one_param(i=2**31), '"i": "2147483648"', None),
    Difference(RANGE, "params", one_param(l=2**63), f'"l": "{2**63}"', None),
    Difference(RANGE, "params", one_param(d=2**53 + 1), '"d": "9007199254740992.0"', None),
    Difference(GIVEN, "params", one_param(many=[None]), '"many": "[None]"', '"many": "[nan]"'),
    Difference(GIVEN, "params", one_param(t="2024-01-02"), "datetime.date(", "datetime.datetime("),
    Difference(GIVEN, "params", one_param(limits={"low": 1}), "{'low': 1}", "{'low': 1.0}"),
    Difference(BY_HINT, "list of text", {"instances": ["a"]}, None, "str 'a'"),
    Difference(BY_HINT, "list of text", {"dataframe_records": [{"0": "a"}]}, None, "str 'a'"),
    Difference(BY_HINT, "pydantic", {"dataframe_split": {"data": [[FILM]]}}, None, "Film"),
    Difference(
        "moments and bytes in a pydantic class",
        "moments and bytes in pydantic",
        {"inputs": [SHOWN]},
        None,
        "b'hi'",
    ),
    Difference("columns of type Any", "any dtypes", {"inputs": [{"v": 1}]}, "int64", "object"),
    Difference(
        "numbers in objects and maps",
        "object types",
        {"dataframe_records": [{"v": SHOP}]},
        "int64",
        "'int'",
    ),
]
"""What the docs list as different because of a flavor; the others are in `test_differences`."""


def available(name: str) -> bool:
    """Whether the library behind a flavor is installed."""
    library = name.partition(",")[0].partition(" ")[0]
    return (
        library not in ("xgboost", "statsmodels") or importlib.util.find_spec(library) is not None
    )
