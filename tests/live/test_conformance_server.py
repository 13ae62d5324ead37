"""Several hundred good requests to two real servers of the same versions: equal JSON, but for NaN."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections import Counter
from pathlib import Path

import httpx
import paired
import pytest

from benchmarks.chaos import tiny
from benchmarks.chaos.served import Served

pytestmark = pytest.mark.live


def free_ports(n: int) -> list[int]:
    """Ports that nobody listens on, held together so that they differ."""
    probes = [socket.socket() for _ in range(n)]
    try:
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]
    finally:
        for probe in probes:
            probe.close()


@pytest.fixture(scope="module")
def registry(tmp_path_factory) -> tiny.Store:
    root = tmp_path_factory.mktemp("paired")
    made = subprocess.run(
        [sys.executable, str(Path(paired.__file__)), str(root)], capture_output=True, text=True
    )
    assert made.returncode == 0, made.stderr
    return tiny.Store(f"sqlite:///{root / 'mlflow.db'}", root / "mlflow.db")


@pytest.fixture(scope="module")
def pair(request, registry, tmp_path_factory):
    """One model behind both servers, as (ours, theirs)."""
    model = request.param
    root = tmp_path_factory.mktemp(model)
    theirs = paired.MlflowServer(root, registry.uri, model, port=free_ports(1)[0])
    ours = Served(root, registry, "--model", model, "--no-control", challengers=())
    try:
        ours.start()
        yield model, ours.url, theirs.wait().url
    finally:
        ours.close()
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
