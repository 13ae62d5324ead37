"""`labels`: what turned out to be true, joined to the requests by their ids."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from shadowserve.cli.looking import present
from shadowserve.cli.options import state_dir_option
from shadowserve.cli.terminal import as_json, line, print_json, screen
from shadowserve.comparison.outputs import kind_compared
from shadowserve.labels import LabelsError, RowList, Taken, pair_if_nobody_does, read_file, take
from shadowserve.legible import counted
from shadowserve.report import build as reports

_WORDS = {
    "duplicate": "had this label already",
    "conflicting": "had another label already, which stays",
    "ambiguous": "have an id that several requests bear, and count nowhere",
    "earlier": "are of requests that an earlier deployment answered, and count in its report ('shadowserve "
    "deployments' lists them)",
    "unknown": "have an id that has not been compared yet, and wait for it",
    "respelt": "of these have an id that a request bears in another spelling, with zeros in front or without "
    "an exponent: a spreadsheet may have taken it for a number. Keep the column as text and send them again",
}


@click.command(short_help="Join delayed ground truth to requests by their ids.")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--id-column", default="request_id", show_default=True, metavar="NAME")
@click.option("--label-column", default="label", show_default=True, metavar="NAME")
@state_dir_option
@as_json
def labels(
    file: Path, id_column: str, label_column: str, state_dir: str | None, as_json: bool
) -> None:
    """Take labels from a CSV, JSON lines or Parquet FILE, all of them or none.

    Once there are enough, the difference in loss decides in the place of disagreement.

    Example: shadowserve labels outcomes.csv --id-column order_id --label-column bought
    """
    places, deployment = present(state_dir)
    raw = read_file(file, id_column=id_column, label_column=label_column)
    try:
        taken = take(places, deployment, raw)
    except LabelsError as error:
        if as_json and error.faults:
            print_json({"error": {"code": "bad_labels", "faults": error.told()}})
        raise
    # Where no evidence writer pairs, this does, so that what is told counts these labels.
    pair_if_nobody_does(places, deployment, kind_compared)
    told = taken.to_dict()
    told["challengers"] = [
        {"version": number, "labels": _learned(places, deployment, number)}
        for number in deployment.numbers
    ]
    if as_json:
        print_json(told)
        return
    _print(taken, told["challengers"])


def _learned(places: Any, deployment: Any, number: int) -> Any:
    return reports.build(places, deployment, challenger=number)["labels"]


def _print(taken: Taken, challengers: list[Mapping[str, Any]]) -> None:
    out = screen()
    line(
        out,
        f"{taken.accepted:,} of {counted(taken.rows, 'row is a new label', 'rows are new labels')}.",
    )
    for name, words in _WORDS.items():
        found: RowList = getattr(taken, name)
        if found.n:
            line(out, f"{found.n:,} {words}: {found}.")
    for challenger in challengers:
        line(out, _line(challenger))
    sys.stdout.flush()


def _line(challenger: Mapping[str, Any]) -> str:
    told, name = challenger["labels"], f"v{challenger['version']}"
    loss = told["loss"]
    if loss is None:
        return f"{name}: {told['joined']:,} labels joined; no loss can be told of them yet."
    between = (
        f", between {loss['low']:.3g} and {loss['high']:.3g}" if loss["low"] is not None else ""
    )
    return (
        f"{name}: {told['joined']:,} labels joined; {loss['measure'].replace('_', ' ')} "
        f"{loss['challenger']:.3g}, the champion's {loss['champion']:.3g}; "
        f"difference {loss['difference']:+.3g}{between}."
    )
