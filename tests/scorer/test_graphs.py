"""ONNX graphs share calls by structure only where every operator looks at one row."""

from __future__ import annotations

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
runtime = pytest.importorskip("onnxruntime")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402

from shadowserve.scorer.loading import load  # noqa: E402
from shadowserve.scorer.loading.graphs import unknown_in, unknown_operator  # noqa: E402

ML = "ai.onnx.ml"
FREE = ["n", 4]
TREE = {
    "nodes_treeids": [0, 0, 0, 1],
    "nodes_nodeids": [0, 1, 2, 0],
    "nodes_featureids": [1, 0, 0, 0],
    "nodes_values": [0.1, 0.0, 0.0, 0.0],
    "nodes_modes": ["BRANCH_LEQ", "LEAF", "LEAF", "LEAF"],
    "nodes_truenodeids": [1, 0, 0, 0],
    "nodes_falsenodeids": [2, 0, 0, 0],
}
REGRESSOR = {
    **TREE, "n_targets": 1, "target_treeids": [0, 0, 1], "target_nodeids": [1, 2, 0],
    "target_ids": [0, 0, 0], "target_weights": [0.3, 1.7, 0.1],
}  # fmt: skip
CLASSIFIER = {
    **TREE, "classlabels_int64s": [0, 1], "class_treeids": [0, 0, 1], "class_nodeids": [1, 2, 0],
    "class_ids": [0, 1, 1], "class_weights": [0.3, 0.7, 0.1], "post_transform": "SOFTMAX",
}  # fmt: skip


def graph(*nodes, shape=FREE, out=("n",), kind=TensorProto.FLOAT, initializers=()):
    """A graph of `x` to `y`; each node is (operator, inputs, outputs, attributes)."""
    made = [
        helper.make_node(op, given, outs, **({"domain": ML} if ml else {}), **own)
        for op, given, outs, own, ml in (
            (name.removeprefix("ml."), given, outs, own, name.startswith("ml."))
            for name, given, outs, own in nodes
        )
    ]
    return helper.make_model(
        helper.make_graph(
            made,
            "g",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
            [helper.make_tensor_value_info("y", kind, list(out))],
            initializer=[numpy_helper.from_array(v, k) for k, v in initializers],
        ),
        opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid(ML, 3)],
        ir_version=8,
    )


def ints(*values):
    return np.asarray(values, dtype=np.int64)


MAX = ("ReduceMax", ["a"], ["y"], {"axes": [1], "keepdims": 0})
SCALER = ("ml.Scaler", ["x"], ["a"], {"offset": [0.5] * 4, "scale": [2.0] * 4})

PER_ROW = {
    "the largest of a row": graph(("Identity", ["x"], ["a"], {}), MAX),
    "scaled": graph(SCALER, MAX),
    "each number by itself": graph(
        ("Exp", ["x"], ["b"], {}), ("Tanh", ["b"], ["c"], {}), ("Sigmoid", ["c"], ["a"], {}), MAX
    ),
    "more of them": graph(
        ("Erf", ["x"], ["b"], {}), ("Abs", ["b"], ["c"], {}), ("Sqrt", ["c"], ["d"], {}),
        ("Softplus", ["d"], ["e"], {}), ("Log", ["e"], ["a"], {}), MAX,
    ),
    "with a constant for each column": graph(
        ("Add", ["x", "c"], ["a"], {}), MAX,
        initializers=[("c", np.asarray([1, 2, 3, 4], dtype=np.float32))],
    ),
    "columns beside columns": graph(
        ("Neg", ["x"], ["b"], {}), ("Concat", ["x", "b"], ["a"], {"axis": -1}), MAX
    ),
    "two of its columns": graph(
        ("ml.ArrayFeatureExtractor", ["x", "i"], ["a"], {}), MAX, initializers=[("i", ints(3, 1))]
    ),
    "the place of the largest": graph(
        ("ArgMax", ["x"], ["y"], {"axis": 1, "keepdims": 0}), kind=TensorProto.INT64
    ),
    "trees": graph(("ml.TreeEnsembleRegressor", ["x"], ["y"], REGRESSOR), out=("n", 1)),
    "trees to classes": graph(
        ("ml.TreeEnsembleClassifier", ["x"], ["y", "s"], CLASSIFIER), kind=TensorProto.INT64
    ),
    "rows kept in another shape": graph(
        ("ml.TreeEnsembleRegressor", ["x"], ["a"], REGRESSOR), ("Reshape", ["a", "s"], ["y"], {}),
        initializers=[("s", ints(-1))],
    ),
}  # fmt: skip

MIXING = {
    "a mean over rows": graph(
        ("ReduceMean", ["x"], ["b"], {"axes": [0]}), ("Sub", ["x", "b"], ["a"], {}), MAX
    ),
    "the largest over rows": graph(
        ("ReduceMax", ["x"], ["b"], {"axes": [0]}), ("Sub", ["x", "b"], ["a"], {}), MAX
    ),
    "the largest over rows, counted from the end": graph(
        ("ReduceMax", ["x"], ["b"], {"axes": [-2]}), ("Sub", ["x", "b"], ["a"], {}), MAX
    ),
    "the largest of all": graph(
        ("ReduceMax", ["x"], ["b"], {}), ("Sub", ["x", "b"], ["a"], {}), MAX
    ),
    "the place of the largest row": graph(
        ("ArgMax", ["x"], ["y"], {"axis": 0, "keepdims": 0}), out=(4,), kind=TensorProto.INT64
    ),
    "the best rows": graph(
        ("TopK", ["x", "k"], ["a", "i"], {"axis": 0}), MAX, initializers=[("k", ints(1))]
    ),
    "a running sum": graph(("CumSum", ["x", "k"], ["a"], {}), MAX, initializers=[("k", ints(0))]),
    "rows turned to columns": graph(("Transpose", ["x"], ["a"], {}), MAX),
    "a softmax over rows": graph(("Softmax", ["x"], ["a"], {"axis": 0}), MAX),
    "rows of one row": graph(
        ("Reshape", ["x", "s"], ["b"], {}), ("ReduceMax", ["b"], ["y"], {"axes": [1]}),
        out=("n", 1), initializers=[("s", ints(-1, 8))],
    ),
    "all in one row": graph(
        ("Reshape", ["x", "s"], ["a"], {}), MAX, initializers=[("s", ints(1, -1))]
    ),
    "values of one rank beside values of another": graph(
        ("ReduceMax", ["x"], ["b"], {"axes": [1], "keepdims": 0}), ("Add", ["x", "b"], ["a"], {}), MAX
    ),
    "a constant for each row": graph(
        ("Add", ["x", "c"], ["a"], {}), MAX, initializers=[("c", np.ones((2, 4), dtype=np.float32))]
    ),
    "rows appended to rows": graph(("Concat", ["x", "x"], ["a"], {"axis": 0}), MAX),
    "how many rows there are": graph(
        ("Shape", ["x"], ["b"], {}), ("Cast", ["b"], ["c"], {"to": TensorProto.FLOAT}),
        ("ReduceMax", ["c"], ["y"], {}), out=(1,),
    ),
    "scaling that takes a vector for a row": graph(
        ("ml.Normalizer", ["x"], ["y"], {"norm": "MAX"}), shape=["n"], out=("n",)
    ),
    "no free dimension": graph(("Identity", ["x"], ["a"], {}), MAX, shape=[5, 4], out=(5,)),
    "free columns": graph(("Identity", ["x"], ["a"], {}), MAX, shape=["n", "n"]),
    "a matrix product, whose last digits move in company": graph(
        ("MatMul", ["x", "w"], ["a"], {}), MAX,
        initializers=[("w", np.ones((4, 4), dtype=np.float32))],
    ),
    "an operator of somebody's own": graph(("Wonder", ["x"], ["a"], {}), MAX),
}  # fmt: skip


def sessions(model):
    options = runtime.SessionOptions()
    options.intra_op_num_threads = 1
    return runtime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )


@pytest.mark.parametrize("name", PER_ROW)
def test_a_graph_of_operators_that_look_at_one_row_is_known_and_answers_alike_in_company(name):
    """Bit for bit, for every number of rows that share a call."""
    model = PER_ROW[name]
    assert unknown_in(model) is None
    session = sessions(model)
    rows = np.random.default_rng(7).normal(size=(64, 4)).astype(np.float32)
    alone = [session.run(["y"], {"x": rows[i : i + 1]})[0].reshape(-1) for i in range(64)]
    for size in (2, 3, 7, 8, 17, 33, 64):
        together = session.run(["y"], {"x": rows[:size]})[0].reshape(-1)
        assert together.tobytes() == np.concatenate(alone[:size]).tobytes()


@pytest.mark.parametrize("name", MIXING)
def test_a_graph_that_may_mix_its_rows_is_unknown(name):
    assert unknown_in(MIXING[name]) is not None


def test_a_session_of_several_threads_is_unknown_since_its_sums_move_in_company(tmp_path):
    path = tmp_path / "model.onnx"
    onnx.save(PER_ROW["trees"], path)
    session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    assert "threads" in unknown_operator(path, session)
    assert unknown_operator(path, sessions(PER_ROW["trees"])) is None
    assert unknown_operator(path, object()) is not None


@pytest.mark.parametrize(
    ("name", "threads", "known"), [("trees", 1, True), ("trees", 0, False), ("mixing", 1, False)]
)
def test_a_logged_onnx_model_is_known_by_its_graph(tmp_path, name, threads, known):
    import mlflow.onnx

    model = PER_ROW["trees"] if name == "trees" else MIXING["a mean over rows"]
    options = {"intra_op_num_threads": threads} if threads else None
    path = tmp_path / "model"
    mlflow.onnx.save_model(
        model, str(path), onnx_session_options=options, pip_requirements=["onnx"]
    )
    loaded = load(path)
    assert (loaded.unknown is None) is known, loaded.unknown
