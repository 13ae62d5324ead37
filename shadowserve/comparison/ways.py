"""What a version's steps are made of, and the parameters that change how it runs and not what it answers.

A step is compared with a step of the same work: the same name says little where another class stands behind
it. And where a version is slower since it starts processes or writes to a cache, that is named.
"""

from __future__ import annotations

from typing import Any

from shadowserve.scorer.featurization import Plan

HOW = ("n_jobs", "memory", "verbose")
MOST_WAYS = 64


def classes_of(plan: Plan | None) -> dict[str, str]:
    """Return the class behind each step of a plan, by name; empty where it is not known."""
    return {} if plan is None else {step.name: step.made_of for step in plan.steps if step.made_of}


def ways_of(model: Any) -> dict[str, str]:
    """Return the parameters that only say how a model runs, by path; without those left as they are.

    Examples
    --------
    >>> from sklearn.pipeline import Pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> ways_of(Pipeline([("scale", StandardScaler())], verbose=True))
    {'verbose': 'True'}
    """
    try:
        given = model.get_params(deep=True)
    except Exception:  # no model of scikit-learn, or code of its own that fails
        return {}
    found: dict[str, str] = {}
    for path, value in given.items():
        name = str(path).rpartition("__")[2]
        usual = value is None or value is False or (name == "n_jobs" and value == 1)
        if name in HOW and not usual and len(found) < MOST_WAYS:
            plain = isinstance(value, bool | int) and name != "memory"
            found[str(path)] = str(value) if plain else "set"
    return found
