"""Requests made from the OpenAPI document, good and bad: no 500, no status that it does not say.

    python -m benchmarks.fuzz                                  # its own deployment of a constant
    python -m benchmarks.fuzz --url http://127.0.0.1:3000      # a running one

Three in five requests are well-formed (`rig.wellformed`): rows within the typing rule in every
form of every protocol, each of which must get a 200. Of the others schemathesis writes half from the
document's schemas and half against them; any documented status will do. Status, content type and form
of every answer are checked against the document. Exit code 1 if anything differs.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import Failure, FailureGroup
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from rig import tiny, wellformed
from rig.served import Served
from shadowserve.testing import Constant

CHECKS = (
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
)
WELL_FORMED = "well-formed"
MODES = {"by the document": GenerationMode.POSITIVE, "against it": GenerationMode.NEGATIVE}
SHOWN = 20


@dataclass(slots=True)
class Outcome:
    """What was sent and told.

    Parameters
    ----------
    statuses : Counter of (operation, kind of request, status)
    forms : Counter of str
        Well-formed requests by form.
    faults : list of str
        Each answer that differs from the document, in words.
    """

    statuses: Counter[tuple[str, str, int]] = field(default_factory=Counter)
    forms: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)

    @property
    def sent(self) -> int:
        """Number of requests."""
        return self.statuses.total()

    def to_dict(self) -> dict[str, Any]:
        """Return the outcome for programs."""
        told = {" ".join(map(str, key)): n for key, n in sorted(self.statuses.items())}
        return {
            "requests": self.sent,
            "answers": told,
            "well-formed by form": dict(sorted(self.forms.items())),
            "faults": self.faults,
        }

    def check(self, case: Any, *, label: str, kind: str) -> int:
        """Send one request, hold the answer against the document, and return the status."""
        response = case.call(timeout=60)
        self.statuses[label, kind, response.status_code] += 1
        for check in CHECKS:
            try:
                case.validate_response(response, checks=[check])
            except (FailureGroup, Failure) as found:
                self.faults.append(f"{label} {kind} {response.status_code}: {found}")
        return int(response.status_code)


def fuzz(url: str, *, requests: int, number: int = 1) -> Outcome:
    """Ask a running server about so many requests, most of them where a body is taken.

    Parameters
    ----------
    url : str
        The data plane.
    requests : int
        About how many; operations without a body get a few each.
    number : int
        Seed.
    """
    outcome = Outcome()
    document = schemathesis.openapi.from_url(f"{url}/openapi.json")
    operations = [found.ok() for found in document.get_all_operations()]
    posts = [each for each in operations if each.method == "post"]
    told = wellformed.read(document.raw_schema)
    if told is not None:
        by_path = {each.path: each for each in posts}
        _ask_well(by_path, told, outcome, examples=requests * 3 // 5, number=number)
    left = requests - outcome.sent
    share = max(1, left // (len(posts) * len(MODES)))
    for operation in operations:
        for kind in MODES if operation in posts else list(MODES)[:1]:
            _ask(operation, kind, outcome, examples=share, number=number)
    return outcome


def _drawn(examples: int) -> Any:
    return settings(
        max_examples=examples,
        database=None,
        deadline=None,
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )


def _ask_well(
    posts: Mapping[str, Any], told: Any, outcome: Outcome, *, examples: int, number: int
) -> None:
    """Send what must be answered, and count anything but a 200 as a fault."""

    @seed(number)
    @_drawn(examples)
    @given(body=wellformed.bodies(told))
    def ask(body: wellformed.Body) -> None:
        operation = posts[body.path]
        case = operation.Case(body=body.content, media_type=body.media)
        status = outcome.check(case, label=operation.label, kind=WELL_FORMED)
        outcome.forms[body.form] += 1
        if status != 200:
            outcome.faults.append(f"{operation.label} {body.form} {status}: {body.sent!r}")

    ask()


def _ask(operation: Any, kind: str, outcome: Outcome, *, examples: int, number: int) -> None:
    @seed(number)
    @_drawn(examples)
    @given(case=operation.as_strategy(generation_mode=MODES[kind]))
    def ask(case: Any) -> None:
        outcome.check(case, label=operation.label, kind=kind)

    ask()


def register(root: Path) -> None:
    """Register a model that takes any row that fits its signature, with a column of every type."""
    import mlflow
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, ParamSchema, ParamSpec, Schema

    mlflow.set_tracking_uri(f"sqlite:///{root / 'mlflow.db'}")
    mlflow.set_experiment(
        experiment_id=mlflow.create_experiment("fuzz", artifact_location=str(root / "artifacts"))
    )
    columns = [ColSpec(type_, type_) for type_ in wellformed.TYPES]
    columns += [ColSpec(type_, f"maybe_{type_}", required=False) for type_ in wellformed.TYPES]
    params = ParamSchema([ParamSpec("limit", "double", 1.0), ParamSpec("word", "string", "w")])
    with mlflow.start_run():
        mlflow.sklearn.log_model(
            Constant(0.5).fit([[0]]),
            name="fuzzed",
            signature=ModelSignature(Schema(columns), params=params),
            registered_model_name="fuzzed",
            serialization_format="cloudpickle",
            pip_requirements=[],
        )


@contextmanager
def deployment() -> Iterator[str]:
    """Serve a constant model for the length of a block; gives the data plane's address."""
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        root = Path(folder)
        code = f"import pathlib, benchmarks.fuzz as f; f.register(pathlib.Path({folder!r}))"
        made = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        if made.returncode:
            raise SystemExit(made.stderr)
        store = tiny.Store(f"sqlite:///{root / 'mlflow.db'}", root / "mlflow.db")
        options = ("--model", "fuzzed", "--no-control")
        with Served(root / "run", store, *options, challengers=()) as served:
            yield served.url


@click.command()
@click.option("--url", help="A running deployment; its own, if not given.")
@click.option("--requests", default=10_000, show_default=True)
@click.option("--seed", "number", default=1, show_default=True)
def main(url: str | None, requests: int, number: int) -> None:
    """Fuzz a deployment by its own OpenAPI document."""
    if url is None:
        with deployment() as own:
            outcome = fuzz(own, requests=requests, number=number)
    else:
        outcome = fuzz(url.rstrip("/"), requests=requests, number=number)
    told = outcome.to_dict()
    click.echo(json.dumps({**told, "faults": told["faults"][:SHOWN]}, indent=1))
    sys.exit(1 if outcome.faults else 0)


if __name__ == "__main__":
    main()
