"""Several hundred good requests to two real servers of the same versions: equal JSON, but for NaN."""

from __future__ import annotations

import json
from collections import Counter

import httpx
import paired
import pytest

from rig.ports import free_port

pytestmark = pytest.mark.live


@pytest.fixture(scope="module")
def pair(request, champion_of, paired_store, tmp_path_factory):
    """One model behind both servers, as (model, ours, theirs)."""
    model = request.param
    root = tmp_path_factory.mktemp(f"mlflow-{model}")
    theirs = paired.MlflowServer(root, paired_store.uri, model, port=free_port())
    try:
        yield model, champion_of(model).url, theirs.wait().url
    finally:
        theirs.close()


def asked(url: str, what: paired.Asked) -> httpx.Response:
    headers = {"content-type": what.content_type}
    return httpx.post(
        f"{url}/invocations", content=what.body, headers=headers, timeout=60, trust_env=False
    )


def values(response: httpx.Response) -> object:
    """The answer's values; MLflow's bare NaN and Infinity are null, the one listed difference."""
    return json.loads(response.content, parse_constant=lambda _: None)["predictions"]


@pytest.mark.parametrize("pair", paired.MODELS, indirect=True)
def test_every_good_request_has_the_same_json_answer_as_from_mlflow(pair, record_property):
    model, ours, theirs = pair
    counts: Counter[str] = Counter()
    different: list[str] = []
    for what in paired.requests(model):
        wanted, got = asked(theirs, what), asked(ours, what)
        assert wanted.status_code == 200, (what.form, wanted.text[:300])
        counts[what.form] += 1
        if got.status_code != 200 or values(got) != values(wanted):
            different.append(
                f"{what.form}: {got.status_code} {got.text[:300]} / {wanted.text[:300]}"
            )
    record_property("conformance", dict(counts))
    assert not different, f"{len(different)} of {counts.total()}:\n" + "\n".join(different[:8])
