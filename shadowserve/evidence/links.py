"""Addresses of MLflow's pages, in the layout for models.

MLflow 3.17 chooses between two layouts by ``?workflowType=``, else by what the browser showed last, at first the
one for language models. No tag changes that, so every link of ours says it.
"""

from __future__ import annotations

from urllib.parse import quote, urlsplit

LAYOUT = "workflowType=machine_learning"
VIEW = "shadowserve"
"""Names our columns of the run table among an experiment's shared views."""


def experiment(experiment_id: str) -> str:
    """Return the fragment of an experiment's table of runs, with the columns that tell most.

    Examples
    --------
    >>> experiment("2")
    '#/experiments/2/runs?workflowType=machine_learning&viewStateShareKey=shadowserve'
    """
    return f"#/experiments/{_part(experiment_id)}/runs?{LAYOUT}&viewStateShareKey={VIEW}"


def run(experiment_id: str, run_id: str, *tab: str) -> str:
    """Return the fragment of a run's page, or of one of its tabs, such as ``"artifacts", "report.html"``.

    Examples
    --------
    >>> run("2", "c0ffee", "traces")
    '#/experiments/2/runs/c0ffee/traces?workflowType=machine_learning'
    """
    path = "/".join(map(_part, ("experiments", experiment_id, "runs", run_id, *tab)))
    return f"#/{path}?{LAYOUT}"


def version(model: str, number: int) -> str:
    """Return the fragment of a registered version's page.

    Examples
    --------
    >>> version("it's (v) films", 4)
    '#/models/it%27s%20%28v%29%20films/versions/4?workflowType=machine_learning'
    """
    return f"#/models/{_part(model)}/versions/{number}?{LAYOUT}"


def address(tracking_uri: str, fragment: str) -> str | None:
    """Return the whole address of a page, without credentials; None where no server is known.

    Examples
    --------
    >>> address("http://ann:s3cret@mlflow.example:5000/", "#/experiments/2")
    'http://mlflow.example:5000/#/experiments/2'
    >>> address("sqlite:///mlflow.db", "#/experiments/2")
    """
    try:
        parts = urlsplit(tracking_uri)
    except ValueError:
        return None
    if parts.scheme not in ("http", "https"):
        return None
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{host}{parts.path.rstrip('/')}/{fragment}"


def _part(text: str) -> str:
    return quote(text, safe="")
