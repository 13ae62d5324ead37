"""The opening of an isolated version: its environment found, its process started, tried like any other."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from shadowserve.errors import ModelError
from shadowserve.host import stages
from shadowserve.schema.rows import Rows
from shadowserve.scorer.featurization import Plan
from shadowserve.scorer.isolated import environments, neutral
from shadowserve.scorer.isolated.environments import Source
from shadowserve.scorer.isolated.folder import folder_in
from shadowserve.scorer.isolated.line import Line
from shadowserve.scorer.isolated.remote import IsolatedScorer, loaded_of, plan_of, told_of
from shadowserve.scorer.isolated.requirements import of_version
from shadowserve.scorer.scorer import Scorer
from shadowserve.scorer.tryout import tried
from shadowserve.settings.options import Options
from shadowserve.state.isolation import Environment
from shadowserve.versions.mlmodel import library_differences, read_flavors
from shadowserve.versions.version import Version


def environment_of(version: Version, path: Path, options: Options) -> Environment | None:
    """Return a version's environment; None if it was not made yet, or is gone.

    Raises
    ------
    ModelError
        If the version records nothing that one could be made from.
    """
    wanted = of_version(version, path)
    return environments.find(wanted, source_of(options), environments.cache_folder())


def source_of(options: Options, *, index: str | None = None) -> Source:
    """Return where packages come from; the address with its credentials is known to who makes environments."""
    return Source(
        index=index or options.package_index,
        wheels=None if options.wheels is None else Path(options.wheels),
    )


def open_isolated(
    version: Version,
    path: Path,
    *,
    options: Options,
    champion: Version | None = None,
) -> Scorer:
    """Start a version in its environment, compile its timed walk there and try both on its input example.

    Raises
    ------
    ModelError
        If it has no environment, cannot be loaded in it, or fails on its own example.
    """
    environment = environment_of(version, path, options)
    if environment is None:
        raise ModelError(
            f"{version.pin}: its environment is not there, or somebody has deleted it. 'shadowserve resume' has it "
            "made again."
        )
    title = f"shadowserve isolated {version.pin}"
    line = Line(environment.interpreter, folder_in(environments.cache_folder()), title=title)
    try:
        facts = line.open(
            {
                "path": str(path.resolve()),
                "flavors": read_flavors(path, pin=version.pin)["flavors"],
                "method": options.method,
                "one_job": options.one_job,
                "name": str(version.pin),
            }
        )
        stages.reached("loading")
        scorer = tried(
            version,
            loaded_of(facts, path, line),
            options=options,
            champion=champion,
            walked=partial(_walked, line, facts, said=said_of(version, environment)),
            made=partial(IsolatedScorer, line=line, runs_in=environment),
        )
        stages.reached("trying")
        if scorer.sharing.unknown is not None and scorer.sharing.tries:
            line.ask("anew")
            stages.reached("loading anew")
    except BaseException:
        line.close()
        raise
    return scorer


def _walked(
    line: Line, facts: Mapping[str, Any], example: Rows | None, *, said: str
) -> tuple[Plan | None, tuple[str, ...], int]:
    """Have the timed walk proven on the example, by the library that it is to run with."""
    found: Mapping[str, Any] = {**facts, "calls": 0}
    if example is not None and facts["steps"] is not None:
        told, parts = told_of(example)
        found = neutral.read(*line.ask("verify", told, parts))
    notes = (*facts["warnings"], *found["plan_notes"], said)
    plan = None if found["steps"] is None else plan_of(found, method=facts["method"])
    return plan, notes, found["calls"]


def said_of(version: Version, environment: Environment) -> str:
    """Say in what it runs, and where that is not what it was trained with."""
    libraries = {**environment.libraries, "python": environment.python}
    main = [
        f"{name} {libraries[name]}"
        for name in version.libraries
        if name in libraries and name != "python"
    ]
    told = f"runs isolated, in an environment of its own: Python {environment.python}"
    told = ", ".join([told, *main[:6]])
    apart = library_differences(
        {name: number for name, number in version.libraries.items() if name in libraries},
        running=libraries,
    )
    return f"{told}. Not as in training: {'; '.join(apart)}" if apart else told
