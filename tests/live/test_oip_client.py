"""NVIDIA's own client of the Open Inference Protocol, unchanged, against a running server."""

from __future__ import annotations

import json
from collections.abc import Iterator

import httpx
import numpy as np
import pytest

triton = pytest.importorskip("tritonclient.http")

pytestmark = [
    pytest.mark.live,
    pytest.mark.filterwarnings("ignore"),  # gevent's and the client's own
]

SENT = {
    "boolean": ("BOOL", np.array([True, False])),
    "integer": ("INT32", np.array([-(2**31), 7], dtype=np.int32)),
    "long": ("INT64", np.array([2**63 - 1, -1])),
    "float": ("FP32", np.array([0.1, -3.5], dtype=np.float32)),
    "double": ("FP64", np.array([0.1, 1e300])),
    "string": ("BYTES", np.array(["02139", "é 🎬"], dtype=object)),
    "datetime": ("BYTES", np.array(["2024-03-01", "2024-03-01T12:30:15Z"], dtype=object)),
}
READ = [
    {
        "boolean": "bool True",
        "integer": "int32 -2147483648",
        "long": "int64 9223372036854775807",
        "double": "float64 0.1",
        "datetime": "datetime64[ns] Timestamp('2024-03-01 00:00:00')",
    },
    {
        "boolean": "bool False",
        "integer": "int32 7",
        "long": "int64 -1",
        "float": "float32 -3.5",
        "double": "float64 1e+300",
        "datetime": "datetime64[ns] Timestamp('2024-03-01 12:30:15')",
    },
]


@pytest.fixture(scope="module")
def url(champion_of) -> str:
    return champion_of("typed").url


@pytest.fixture
def client(url) -> Iterator[triton.InferenceServerClient]:
    with triton.InferenceServerClient(url.removeprefix("http://")) as opened:
        yield opened


def tensors(*, binary: bool = False, **changed) -> list[triton.InferInput]:
    made = []
    for name, (datatype, values) in {**SENT, **changed}.items():
        made.append(triton.InferInput(name, list(values.shape), datatype))
        made[-1].set_data_from_numpy(values, binary_data=binary)
    return made


def test_health_and_metadata_are_as_the_client_expects(client):
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("typed")
    assert client.is_model_ready("typed", "1")
    assert not client.is_model_ready("typed", "2")
    assert client.get_server_metadata()["name"] == "shadowserve"
    told = client.get_model_metadata("typed")
    assert (told["name"], told["versions"]) == ("typed", ["1"])
    assert {each["name"]: each["datatype"] for each in told["inputs"]} == {
        name: datatype for name, (datatype, _) in SENT.items()
    }


@pytest.mark.parametrize("order", [1, -1])
def test_named_tensors_of_every_datatype_reach_the_model_unchanged(client, order):
    told = client.infer("typed", tensors()[::order], request_id="my-7")
    assert told.get_response()["id"] == "my-7"
    assert told.get_response()["model_version"] == "1"
    rows = [json.loads(text) for text in told.as_numpy("predictions")]
    for row, expected in zip(rows, READ, strict=True):
        assert {name: row[name] for name in expected} == expected
    assert float(rows[0]["float"].removeprefix("float32 ")) == np.float32(0.1)
    assert [row["string"].split(" ", 1)[1] for row in rows] == ["'02139'", "'é 🎬'"]


def test_a_column_may_have_the_shape_n_by_1_and_parameters_reach_the_model(client):
    square = {name: (kind, values.reshape(2, 1)) for name, (kind, values) in SENT.items()}
    told = client.infer("typed", tensors(**square), parameters={"limit": 2.5})
    row = json.loads(told.as_numpy("predictions").ravel()[0])
    assert (row["limit"], row["word"]) == ("2.5", "'w'")


def test_the_same_rows_are_answered_alike_over_both_protocols(client, url):
    told = client.infer("typed", tensors()).as_numpy("predictions")
    columns = {name: values.tolist() for name, (_, values) in SENT.items()}
    columns["float"] = [0.1, -3.5]
    other = httpx.post(f"{url}/invocations", json={"inputs": columns}).json()["predictions"]
    assert [json.loads(text) for text in told] == other


def test_nested_columns_travel_as_bytes_that_hold_their_json(champion_of):
    """No datatype of the protocol holds a list or an object."""
    served = champion_of("nested")
    prices, people = [[0.1, 2], [], [3.5]], [{"age": n, "tags": ["a", "é"]} for n in range(3)]
    sent = []
    for name, values in (("prices", prices), ("person", people)):
        texts = np.array([json.dumps(value) for value in values], dtype=object)
        sent.append(triton.InferInput(name, [3], "BYTES"))
        sent[-1].set_data_from_numpy(texts, binary_data=False)
    with triton.InferenceServerClient(served.url.removeprefix("http://")) as client:
        told = client.infer("nested", sent).as_numpy("predictions")
        sent[0].set_data_from_numpy(np.array(["[1]", "{1", "[]"], dtype=object), binary_data=False)
        with pytest.raises(triton.InferenceServerException, match="'prices'") as refused:
            client.infer("nested", sent)
    assert refused.value.status() == "400"
    rows = [json.loads(text) for text in told]
    assert [row["prices"] for row in rows] == ["object [0.1, 2.0]", "object []", "object [3.5]"]
    assert "'tags': ['a', 'é']" in rows[1]["person"]
    records = [{"prices": a, "person": b} for a, b in zip(prices, people, strict=True)]
    other = httpx.post(f"{served.url}/invocations", json={"dataframe_records": records})
    assert other.json()["predictions"] == rows


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"long": ("FP64", np.array([1.5, 2.0]))}, ["'long'", "row 0", "a whole number"]),
        ({"string": ("INT64", np.array([2139, 1]))}, ["'string'", "row 0", "a string"]),
        ({"boolean": ("INT64", np.array([1, 0]))}, ["'boolean'", "true or false"]),
        ({"double": ("FP64", np.array([1.5]))}, ["shape"]),
    ],
)
def test_a_refusal_reaches_the_client_in_its_own_form(client, changed, words):
    with pytest.raises(triton.InferenceServerException) as refused:
        client.infer("typed", tensors(**changed))
    assert refused.value.status() == "400"
    for word in words:
        assert word in refused.value.message()
    assert "2139" not in refused.value.message()


def test_binary_data_is_refused_with_the_way_out(client):
    with pytest.raises(triton.InferenceServerException, match="binary_data=False") as refused:
        client.infer("typed", tensors(binary=True))
    assert refused.value.status() == "415"


def test_an_unknown_model_is_told_as_an_error_of_the_protocol(client):
    with pytest.raises(triton.InferenceServerException, match="No such model") as refused:
        client.infer("other", tensors())
    assert refused.value.status() == "404"
