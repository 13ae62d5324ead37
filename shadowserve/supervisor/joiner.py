"""Fetching and checking a version that is to join, in a process of its own: the supervisor never waits for it.

python -m shadowserve.supervisor.joiner QUESTION ANSWER

It reads its question from one descriptor and writes lines of JSON to another: what it does, and at the end what
it has found. MLflow is imported here, and the registry asked; the versions are tried as `check` tries them.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from setproctitle import setproctitle

from shadowserve import withheld
from shadowserve.check import Side, Trial, try_out
from shadowserve.check import check as compare
from shadowserve.errors import ModelError, ShadowserveError
from shadowserve.faults import fault_of
from shadowserve.host import priority
from shadowserve.host.leash import watch_parent
from shadowserve.scorer.loading import input_example
from shadowserve.settings.options import Options
from shadowserve.settings.settings import Settings
from shadowserve.settings.vocabulary import PACKAGE_INDEX
from shadowserve.supervisor.candidate import Candidate, NotJoinedError, refuse_member
from shadowserve.supervisor.refusals import file_faults, refuse_columns
from shadowserve.versions import pins
from shadowserve.versions.stores import Uris, preflight
from shadowserve.versions.version import Version

TRACKING, REGISTRY = "SHADOWSERVE_TRACKING_URI", "SHADOWSERVE_REGISTRY_URI"
INCOMPATIBLE = 3
"""Exit code of a command whose version cannot be compared, as `check` has it."""


def find(asked: Candidate, out: IO[str]) -> Mapping[str, Any]:
    """Resolve, fetch and check the version; return what the supervisor has to know.

    Raises
    ------
    ShadowserveError
        Whatever registry, pin, files or the check have against it.
    """
    from shadowserve.versions.registry import Registry  # imports MLflow: seconds

    deployment, addresses = asked.deployment, Uris(os.environ[TRACKING], os.environ[REGISTRY])
    preflight(addresses)
    registry = Registry(addresses, say=lambda line: _tell(out, told=line))
    pin = registry.resolve(pins.parse(asked.pin), deployment.model)
    refuse_member(deployment, pin)
    _tell(out, told=f"{pin} is fetched.")
    served = {Path(path).name for path in deployment.files.values()}
    fetched = registry.fetch_all((pin,), asked.models, spared=served)[pin]
    settings = Settings(
        allow_digests=asked.allowed,
        strict_versions=asked.strict,
        entity=deployment.options.entity,
    )
    if faults := file_faults(settings, fetched.version, isolated=asked.isolated):
        raise NotJoinedError(" ".join(faults), INCOMPATIBLE)
    refuse_columns(settings, [fetched.version])
    options = deployment.options.isolating(pin, asked.isolated)
    if asked.isolated:
        _make(fetched.version, fetched.path, options, out)
    _tell(out, told=f"{pin} is tried on the examples, beside {deployment.champion.pin}.")
    champion = _checked(asked, fetched.version, fetched.path, addresses, options)
    return {
        "version": fetched.version.to_dict(),
        "path": str(fetched.path.resolve()),
        "champion": champion.to_dict(),
        "isolated": asked.isolated,
    }


def _make(version: Version, path: Path, options: Options, out: IO[str]) -> None:
    """Make the environment that the version runs in, before it is tried in it.

    Raises
    ------
    NotJoinedError
        If it cannot be made.
    """
    from shadowserve.scorer.isolated.making import make

    def say(text: str) -> None:
        _tell(out, told=f"The environment of {version.pin} is {text}.")

    try:
        found = make(version, path, options, index=os.environ.get(PACKAGE_INDEX), say=say)
    except ModelError as error:
        raise NotJoinedError(str(error), INCOMPATIBLE) from error
    _tell(out, told=f"{version.pin} runs isolated: {found.told}, in {found.path}.")


def _checked(
    asked: Candidate, version: Version, path: Path, addresses: Uris, options: Options
) -> Trial:
    """Check the version beside the champion, one after the other; return the champion's trial.

    Raises
    ------
    ShadowserveError
        With what rules a comparison out.
    """
    deployment = asked.deployment
    served = Path(deployment.files[deployment.champion.number])
    body = input_example(served)
    environment = withheld.for_models(
        {name: value for name, value in os.environ.items() if name not in (TRACKING, REGISTRY)},
        passed=asked.passed,
        tracking=addresses.tracking,
        registry=addresses.registry,
    )

    def tried(one: Version, files: Path, beside: Version | None) -> Trial:
        return try_out(
            one,
            files,
            options=options,
            champion_body=body,
            champion=beside,
            environment=environment,
        )

    known = asked.champion
    champion = Trial.from_dict(known) if known else tried(deployment.champion, served, None)
    sides = (
        Side(deployment.champion, champion),
        Side(version, tried(version, path, deployment.champion), isolated=asked.isolated),
    )
    found = compare(*sides, output_kind=deployment.options.output_kind)
    if found.incompatible:
        why = " ".join(one.rstrip(".") + "." for one in found.incompatible)
        raise NotJoinedError(
            f"{version.pin} cannot be compared with {deployment.champion.pin}: {why} 'shadowserve check' "
            "shows both side by side.",
            INCOMPATIBLE,
        )
    return champion


def _tell(out: IO[str], **facts: Any) -> None:
    out.write(json.dumps(facts, default=str) + "\n")
    out.flush()


def main(question: int, answers: int) -> None:
    """Answer one question."""
    watch_parent(int(os.environ.get("SHADOWSERVE_PARENT", os.getppid())))
    # So that what is being tried is ended with this process.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    with os.fdopen(question) as file:
        file.seek(0)
        asked = Candidate.from_json(file.read())
    setproctitle(f"shadowserve joiner {asked.pin}")
    priority.load()
    with os.fdopen(answers, "w") as out:
        try:
            _tell(out, found=find(asked, out))
        except ShadowserveError as error:
            _tell(out, refused=str(error), exit_code=error.exit_code)
        except Exception as error:  # its text may quote anything
            fault = fault_of(error)
            told = f"{asked.pin} could not be checked: {fault.type} at {fault.frame}."
            _tell(out, refused=told, exit_code=4)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
