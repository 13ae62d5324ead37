"""The opening of a version for scoring: its files proven, loaded, compiled, tried and warmed.

Opening proves that the timed walk changes nothing, and tries whether the version answers a row alike
alone and in a batch.
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from shadowserve import ambience, wire
from shadowserve.errors import ModelError, ShadowserveError
from shadowserve.faults import fault_of
from shadowserve.host import stages
from shadowserve.scorer import probing
from shadowserve.scorer.loading import Loaded, import_mlflow, load
from shadowserve.scorer.scorer import Scorer
from shadowserve.scorer.shipped_code import forget
from shadowserve.scorer.tryout import example_of, failure_of, tried
from shadowserve.settings.options import DEFAULTS, Options
from shadowserve.versions.version import Version, identity


def prepare() -> None:
    """Import what any version needs, so that nothing but its own is left to load."""
    ambience.within(import_mlflow)


def open_version(
    version: Version,
    path: Path,
    *,
    options: Options = DEFAULTS,
    champion: Version | None = None,
) -> Scorer:
    """Load a version, compile its timed walk and try both on its own input example.

    Where the version is unknown code, the instance that was tried is let go and a fresh one serves.

    Parameters
    ----------
    version : Version
        As resolved; the files are proven to be it.
    path : Path
        Its files.
    options : Options
        Its method and `one_job`; whether callers' requests may share a call (`batch`); and how much is
        tried (`probe`): nothing, the example, or the example in company too whatever `batch` says.
    champion : Version, optional
        For a challenger: beside which it is scored, where only one of the two has a signature.

    Raises
    ------
    ModelError
        If the files are another version's, cannot be loaded, or fail on their own example.
    """
    identity(version, path)
    stages.reached("files")
    if champion is not None and options.isolates(version):
        from shadowserve.scorer.isolated.opening import open_isolated

        return open_isolated(version, path, options=options, champion=champion)

    def fresh() -> Loaded:
        return ambience.within(
            load, path, method=options.method, version=version, one_job=options.one_job
        )

    return opened(version, fresh, options=options, champion=champion, clear=lambda: forget(path))


def opened(
    version: Version,
    fresh: Callable[[], Loaded],
    *,
    options: Options = DEFAULTS,
    champion: Version | None = None,
    clear: Callable[[], None] = lambda: None,
) -> Scorer:
    """Try one instance of a version, and let another serve where the tries may have left a trace.

    Parameters
    ----------
    fresh : callable
        Loads an instance.
    options, champion
        As in `open_version`.
    clear : callable
        Forgets, before the second is loaded, what the first left behind in this process.

    Raises
    ------
    ModelError
        If either cannot be loaded, or fails on its own example.
    """
    try:
        loaded = fresh()
        stages.reached("loading")
        scorer = tried(version, loaded, options=options, champion=champion)
        del loaded  # where a fresh one serves, the tried one goes before that comes
        stages.reached("trying")
        # Known structure keeps no state between calls, and what was never called holds no trace.
        if scorer.sharing.unknown is None or not scorer.sharing.tries:
            return scorer
        scorer = renewed(scorer)
        # Modules of the version's own may remember the tries in their globals.
        clear()
        gc.collect()  # the tried instance goes before its successor comes: never two in memory
        scorer = scorer.on(fresh())
        stages.reached("loading anew")
        return scorer
    except (ShadowserveError, OSError):
        raise
    except BaseException as error:  # whatever a model left behind: a signal, a thread, an import
        fault = fault_of(error)
        raise ModelError(
            f"{version.pin} cannot be loaded and tried: {fault.type} at {fault.frame}. "
            "Load it where it was trained to see why."
        ) from error


def renewed(scorer: Scorer) -> Scorer:
    """Return a scorer that holds what was learnt of the tried instance, and not the instance."""
    plan = scorer.plan
    shell = replace(
        scorer.loaded,
        native=None,
        predict=_gone,
        probabilities=None,
        fits=None,
        categories=dict,
    )
    return replace(
        scorer,
        loaded=shell,
        plan=None if plan is None else plan.emptied(),
        schema=replace(scorer.schema, fits=None),
    )


def warm(scorer: Scorer, *, most_rows: int = 0) -> Scorer:
    """Send the input example through the whole path, where that leaves no trace in what serves.

    Known structure has no state that a call could change. An instance of unknown code is left as it
    was loaded, unless its rows are batched. Then each number of rows that serving makes is called
    once. With ``--probe none`` nothing is called.

    Parameters
    ----------
    most_rows : int
        Rows that may share a call; 0 or 1 where none do.

    Returns
    -------
    Scorer
        The same, which knows what was called.

    Raises
    ------
    ModelError
        If the version fails on it: it would fail in production too.
    """
    sharing = scorer.sharing
    example = example_of(scorer.loaded, scorer.schema, scorer.version)
    if example is None or sharing.probe == "none":
        return scorer
    try:
        if sharing.unknown is None:
            wire.answer(scorer.score(example).output)
            warmed: tuple[int, ...] = (example.n_rows,)
        elif most_rows > 1:
            warmed = probing.warm_batches(scorer, example, most=most_rows)
        else:
            return scorer
    except BaseException as error:  # a model's sys.exit() is its failure, not this process's end
        raise failure_of(scorer.version, error) from error
    return replace(scorer, sharing=replace(sharing, warmed=warmed))


def _gone(_rows: Any, _params: Any) -> Any:
    raise RuntimeError("This instance was tried and let go; a fresh one serves.")
