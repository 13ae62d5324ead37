"""Small models of every kind of signature, each behind MLflow's scoring app and behind the wire."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.compose import make_column_transformer
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder
from sklearn.tree import DecisionTreeClassifier

from shadowserve.errors import RequestError
from shadowserve.schema.schema import Schema
from shadowserve.wire import answer, parse

N = 40
TRAINING = pd.DataFrame(
    {
        "age": np.arange(N),
        "income": np.linspace(0.5, 90.25, N),
        "genre": ["drama", "comedy", "horror", "war"] * (N // 4),
    }
)
TARGET = TRAINING["age"] * 1.7 + TRAINING["income"] / 3 + 0.1


def encoder() -> Any:
    genres = OneHotEncoder(handle_unknown="ignore")
    return make_column_transformer((genres, ["genre"]), remainder="passthrough")


def echo(model_input: Any) -> list[dict[str, str]]:
    """Answer what arrived: type, names, dtypes and values."""
    if isinstance(model_input, pd.DataFrame):
        columns = model_input.items()
        return [{str(k): f"{v.dtype} {v.tolist()!r}" for k, v in columns} | {"is": "frame"}]
    if isinstance(model_input, dict):
        return [{k: f"{v.dtype} {v.tolist()!r}" for k, v in model_input.items()} | {"is": "dict"}]
    return [{"is": "array", "values": f"{model_input.dtype} {model_input.tolist()!r}"}]


def summary(model_input: pd.DataFrame) -> pd.DataFrame:
    """Answer with a frame of several types, missing ones among them."""
    half = model_input["age"] / 2
    days = pd.Timestamp("2024-03-01") + pd.to_timedelta(model_input["age"], unit="D")
    small = (model_input["age"] > 5).to_numpy()
    return pd.DataFrame({"half": half, "genre": model_input["genre"], "day": days, "small": small})


class Pair:
    """One model behind MLflow's scoring app and behind shadowserve's wire."""

    def __init__(self, path: Path, predict: Callable[[Any], Any]) -> None:
        import mlflow
        from mlflow.pyfunc import scoring_server
        from starlette.testclient import TestClient

        self._model = mlflow.pyfunc.load_model(str(path))
        signature = self._model.metadata.signature
        self._schema = Schema.from_signature(signature.to_dict() if signature else None)
        self._app = TestClient(scoring_server.init(self._model))
        self._predict = predict

    def theirs(self, body: bytes, content_type: str) -> tuple[int, Any]:
        response = self._app.post(
            "/invocations", content=body, headers={"content-type": content_type}
        )
        predictions = response.json()["predictions"] if response.status_code == 200 else None
        return response.status_code, predictions

    def raw(self, body: bytes, content_type: str = "application/json") -> bytes:
        headers = {"content-type": content_type}
        return self._app.post("/invocations", content=body, headers=headers).content

    def ours(self, body: bytes, content_type: str) -> tuple[int, Any]:
        try:
            rows = parse(body, content_type, self._schema)
        except RequestError as error:
            return error.status, None
        return 200, json.loads(answer(self._predict(rows.model_input())))["predictions"]


def a_python_model(path: Path, function: Callable[[Any], Any], signature: Any) -> Pair:
    import mlflow

    class Model(mlflow.pyfunc.PythonModel):
        def predict(self, context, model_input, params=None):
            return function(model_input)

    mlflow.pyfunc.save_model(path, python_model=Model(), signature=signature, pip_requirements=[])
    return Pair(path, function)


def a_sklearn_model(path: Path, estimator: Any, target: Any) -> Pair:
    import mlflow

    model = make_pipeline(encoder(), estimator).fit(TRAINING, target)
    signature = mlflow.models.infer_signature(TRAINING, model.predict(TRAINING))
    mlflow.sklearn.save_model(
        model, path, signature=signature, pip_requirements=[], serialization_format="cloudpickle"
    )
    return Pair(path, model.predict)


def column_signature(*columns: tuple[str, str | int | None]) -> Any:
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec
    from mlflow.types import Schema as MlflowSchema

    return ModelSignature(MlflowSchema([ColSpec(type_, name) for type_, name in columns]))


def optional_signature() -> Any:
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec
    from mlflow.types import Schema as MlflowSchema

    return ModelSignature(
        MlflowSchema([ColSpec("long", "a"), ColSpec("long", "b", required=False)])
    )


def words_signature() -> Any:
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec
    from mlflow.types import Schema as MlflowSchema

    return ModelSignature(MlflowSchema([ColSpec("string", "w", required=False)]))


def array_signature() -> Any:
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec
    from mlflow.types import Schema as MlflowSchema
    from mlflow.types.schema import Array, DataType

    return ModelSignature(MlflowSchema([ColSpec(Array(DataType.long), "a")]))


def within_signature() -> Any:
    """Arrays of text, booleans, bytes, moments and float32, none of them required."""
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec
    from mlflow.types import Schema as MlflowSchema
    from mlflow.types.schema import Array, DataType

    kinds = {"s": "string", "b": "boolean", "x": "binary", "t": "datetime", "f": "float"}
    specs = [ColSpec(Array(DataType[kind]), name, required=False) for name, kind in kinds.items()]
    return ModelSignature(MlflowSchema(specs))


def tensor_signature(*tensors: tuple[str, tuple[int, ...], str | None]) -> Any:
    from mlflow.models import ModelSignature
    from mlflow.types import Schema as MlflowSchema
    from mlflow.types import TensorSpec

    specs = [TensorSpec(np.dtype(dtype), shape, name) for dtype, shape, name in tensors]
    return ModelSignature(MlflowSchema(specs))


def make_pairs(path: Path) -> dict[str, Pair]:
    """Save every model and put it behind both."""
    film = column_signature(("long", "age"), ("double", "income"), ("string", "genre"))
    every = [
        (t, t) for t in ("boolean", "integer", "long", "float", "double", "string", "datetime")
    ]
    return {
        "ridge": a_sklearn_model(path / "ridge", Ridge(), TARGET),
        "tree": a_sklearn_model(path / "tree", DecisionTreeClassifier(random_state=0), TARGET > 50),
        "frame": a_python_model(path / "frame", summary, film),
        "series": a_python_model(path / "series", lambda x: x["genre"], film),
        "types": a_python_model(path / "types", echo, column_signature(*every)),
        "binary": a_python_model(path / "binary", echo, column_signature(("binary", "x"))),
        "numbered": a_python_model(
            path / "numbered", echo, column_signature(("double", None), ("double", None))
        ),
        "zero": a_python_model(path / "zero", echo, column_signature(("long", 0), ("long", 1))),
        "text": a_python_model(path / "text", echo, column_signature(("string", None))),
        "lone": a_python_model(path / "lone", echo, column_signature(("double", "a"))),
        "tensor": a_python_model(
            path / "tensor", echo, tensor_signature(("float64", (-1, 3), None))
        ),
        "tensors": a_python_model(
            path / "tensors",
            echo,
            tensor_signature(("float32", (-1, 2), "u"), ("int64", (-1,), "v")),
        ),
        "missing": a_python_model(
            path / "missing", lambda _: pd.DataFrame({"a": [np.nan], "b": [pd.NaT]}), film
        ),
        "optional": a_python_model(path / "optional", echo, optional_signature()),
        "arrays": a_python_model(path / "arrays", echo, array_signature()),
        "within": a_python_model(path / "within", echo, within_signature()),
        "cube": a_python_model(
            path / "cube", echo, tensor_signature(("float64", (-1, 2, 2), None))
        ),
        "unsigned": a_python_model(path / "unsigned", echo, None),
        "prompt": a_python_model(path / "prompt", echo, column_signature(("string", "prompt"))),
        "words": a_python_model(path / "words", echo, words_signature()),
    }


ROWS = [
    {"age": 3, "income": 12.75, "genre": "drama"},
    {"genre": "horror", "age": 39, "income": 90.25},
    {"age": 17, "income": 0.1, "genre": "unseen"},
]
ORDER = ["genre", "income", "age"]
SPLIT = {"columns": ORDER, "data": [[row[key] for key in ORDER] for row in ROWS]}
BY_COLUMN = {key: [row[key] for row in ROWS] for key in ORDER}
TABLE_BODIES = [
    {"dataframe_records": ROWS},
    {"dataframe_records": ROWS[:1]},
    {"dataframe_split": SPLIT},
    {"dataframe_split": SPLIT | {"index": [9, 9, 9]}},
    {"instances": ROWS},
    {"inputs": ROWS},
    {"inputs": BY_COLUMN},
    {"instances": BY_COLUMN},
    {"inputs": ROWS[0]},
    {"dataframe_records": [row | {"extra": "x"} for row in ROWS]},
    {"dataframe_records": ROWS, "params": {"t": 1}},
]
TYPED = {
    "boolean": True,
    "integer": -(2**31),
    "long": 2**63 - 1,
    "float": 0.1,
    "double": 0.1,
    "string": "02139",
    "datetime": "2024-03-01T12:30:15.123456",
}
