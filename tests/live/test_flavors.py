"""Every flavor that pyfunc loads is answered as by MLflow's own app, or refused at the start."""

from __future__ import annotations

import json
from typing import Any

import flavors
import pytest
from flavors import FILM, FLAVORS, FRAME, TARGET, Flavor, opened

from shadowserve.errors import ModelError

pytestmark = [
    pytest.mark.live,
    pytest.mark.filterwarnings("ignore"),  # MLflow's and its dependencies' own
]
SPLIT_CSV = {bytes: "text/csv", dict: "application/json"}


@pytest.fixture(scope="module")
def flavor_of(tmp_path_factory):
    """Save and open each flavor once, when it is first asked for."""
    made: dict[str, Flavor] = {}
    root = tmp_path_factory.mktemp("flavors")

    def flavor(name: str) -> Flavor:
        if name not in made:
            path = root / f"m{len(made)}"
            FLAVORS[name][0](path)
            made[name] = Flavor(path)
        return made[name]

    return flavor


def sent(what: Any) -> tuple[bytes, str]:
    body = what if isinstance(what, bytes) else json.dumps(what).encode()
    return body, SPLIT_CSV[type(what)]


@pytest.mark.parametrize("name", FLAVORS)
def test_every_flavor_is_answered_as_by_mlflow(flavor_of, name):
    if not flavors.available(name):
        pytest.skip("its library is not installed")
    flavor = flavor_of(name)
    for what in FLAVORS[name][1]:
        wanted = flavor.theirs(*sent(what))
        assert wanted[0] == 200, what
        assert flavor.ours(*sent(what)) == wanted, what


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("pydantic", {"title": "x"}, "Film.year (missing)"),
        ("pydantic", FILM | {"year": 1870}, "Film.year (greater_than)"),
        ("pydantic", FILM | {"year": "1922"}, "a whole number"),
        ("pydantic", FILM | {"title": "tell-nobody"}, "Film.title (value_error)"),
        ("pydantic", FILM | {"note": 1}, "a string"),
        ("list of whole numbers", 1.5, "a whole number"),
        ("list of text", None, "a string"),
        ("list of dicts", {"a": "x"}, "a whole number"),
        ("list of dicts", {"a": None}, "does not fit the model's type hint"),
        ("nested pydantic", {"films": [], "tags": [None]}, "Shelf.tags[0] (string_type)"),
    ],
)
def test_what_the_hint_refuses_is_refused_by_its_rule_and_never_by_its_value(
    flavor_of, name, value, says
):
    body, kind = sent({"inputs": [value]})
    status, text = flavor_of(name).ours(body, kind)
    assert (flavor_of(name).theirs(body, kind)[0], status) == (400, 400)
    assert says in text
    assert "tell-nobody" not in text


@pytest.mark.parametrize(
    "name", ["lightgbm booster, unsigned", "xgboost booster, unsigned", "statsmodels, unsigned"]
)
def test_a_booster_without_a_signature_knows_its_columns_by_name(flavor_of, name):
    """Boosters take values by place: without names another order would be another answer."""
    if not flavors.available(name):
        pytest.skip("its library is not installed")
    flavor = flavor_of(name)
    row = {"a": 3.0, "b": 0.9, "c": 1.0}
    answers = [
        flavor.ours(*sent({"dataframe_records": [{key: row[key] for key in order}]}))
        for order in ("abc", "cba", "bca")
    ]
    assert answers == [answers[0]] * 3
    assert answers[0][0] == 200
    assert flavor.ours(*sent({"dataframe_records": [{"a": 1, "b": 2}]}))[0] == 400


@pytest.mark.parametrize("case", flavors.DIFFERENCES, ids=lambda case: f"{case.row}-{case.flavor}")
def test_a_difference_of_a_flavor_is_as_it_is_listed(flavor_of, case):
    flavor = flavor_of(case.flavor)
    for part, (status, answered) in (
        (case.theirs, flavor.theirs(*sent(case.sent))),
        (case.ours, flavor.ours(*sent(case.sent))),
    ):
        assert status == (400 if part is None else 200), answered
        assert part is None or part in json.dumps(answered)


def chats() -> dict[str, Any]:
    import mlflow
    from mlflow.pyfunc import ChatAgent, ChatModel, ResponsesAgent
    from mlflow.types.agent import ChatAgentMessage, ChatAgentResponse
    from mlflow.types.llm import ChatChoice, ChatCompletionResponse, ChatMessage
    from mlflow.types.responses import ResponsesAgentResponse

    class Chat(ChatModel):
        def predict(self, context, messages, params):
            said = ChatMessage(role="assistant", content="hi")
            return ChatCompletionResponse(choices=[ChatChoice(message=said)])

    class Agent(ChatAgent):
        def predict(self, messages, context=None, custom_inputs=None):
            said = ChatAgentMessage(role="assistant", content="hi", id="1")
            return ChatAgentResponse(messages=[said])

    class Responder(ResponsesAgent):
        def predict(self, request):
            return ResponsesAgentResponse(output=[self.create_text_output_item("hi", "1")])

    assert mlflow
    return {"ChatModel": Chat(), "ChatAgent": Agent(), "ResponsesAgent": Responder()}


def test_a_model_that_answers_conversations_is_refused_at_the_start(tmp_path):
    import mlflow

    for kind, model in chats().items():
        path = tmp_path / kind
        mlflow.pyfunc.save_model(path, python_model=model, pip_requirements=[])
        with pytest.raises(ModelError, match=f"is a {kind}: it answers conversations, not rows"):
            opened(path)


def test_a_tensor_that_json_cannot_say_is_refused_at_the_start(tmp_path):
    flavors.tensor(tmp_path / "m", ("complex128", (-1, 2), None))
    with pytest.raises(ModelError, match=r"complex128.*cannot come as JSON"):
        opened(tmp_path / "m")


def test_a_model_that_python_cannot_call_is_refused_at_the_start(tmp_path):
    path = tmp_path / "m"
    path.mkdir()
    (path / "MLmodel").write_text("flavors:\n  crate:\n    version: 0.1\n")
    with pytest.raises(ModelError, match="no python_function flavor, only crate"):
        opened(path)


def test_a_model_of_which_nothing_is_known_is_told_so_at_the_start(tmp_path):
    from sklearn.linear_model import Ridge

    model = Ridge().fit(FRAME.to_numpy(), TARGET)
    flavors.sklearn_model(tmp_path / "m", model, signed=False)
    assert "has neither a signature nor names of features" in " ".join(opened(tmp_path / "m").notes)
