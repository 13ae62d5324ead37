"""What the catalogue expects of each row: kinds, places, and what may be said besides."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Finding = dict[str, Any]
Report = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Expect:
    """One thing that must be found.

    Parameters
    ----------
    name : str
        Of the expectation, in the table.
    holds : callable
        Report to whether it was found, kind and place right.
    """

    name: str
    holds: Callable[[Report], bool]


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the catalogue.

    Parameters
    ----------
    may : frozenset of str
        Kinds that may raise an alarm: those expected, and what follows from the same fault.
    options : tuple of str
        Further flags of ``serve``.
    rate : bool
        Whether the traffic must not wait for the lanes.
    labelled : bool
        Whether the truth of every request comes afterwards.
    sliced : tuple of str, optional
        The columns that a slice may be named by, where the fault lies in one slice and no other.
    """

    id: str
    expects: tuple[Expect, ...]
    may: frozenset[str]
    options: tuple[str, ...] = ()
    rate: bool = False
    labelled: bool = False
    sliced: tuple[str, ...] | None = None

    def allows(self, found: Finding) -> bool:
        """Whether an alarm is of a kind, and at a place, that this row's fault explains."""
        if found["kind"] not in self.may:
            return False
        elsewhere = self.sliced is not None and not set(found["where"]["columns"]) <= set(
            self.sliced
        )
        return not (found["kind"] == "slice_divergence" and elsewhere)


def finding(kind: str, where: Callable[[Finding], bool] = lambda _: True) -> Expect:
    """Expect a finding of a kind at a place."""

    def holds(report: Report) -> bool:
        return any(found["kind"] == kind and where(found) for found in report["findings"])

    return Expect(kind, holds)


def outcome(name: str) -> Expect:
    """Expect an outcome in the challenger's ledger."""
    return Expect(name, lambda report: report["ledger"]["lanes"][0][name] > 0)


def never(kind: str) -> Expect:
    """Expect that a kind never raises an alarm; it holds where nothing does at the end."""
    return Expect(
        f"no {kind}", lambda report: not any(f["kind"] == kind for f in report["findings"])
    )


def _effect(found: Finding) -> dict[str, Any]:
    return found["effect"] or {}


def _grows(column: str, exponent: float) -> Callable[[Finding], bool]:
    return lambda found: (
        _effect(found).get("measure") == "exponent"
        and abs(_effect(found)["value"] - exponent) <= 0.25
        and found["where"]["columns"] == [column]
    )


def _in_step(name: str) -> Callable[[Finding], bool]:
    return lambda found: found["where"]["step"] == name


def _now_and_then(found: Finding) -> bool:
    effect = _effect(found)
    return effect.get("measure") == "share_slow" and 0.01 <= effect["value"] <= 0.2


def _without_growth(found: Finding) -> bool:
    return _effect(found).get("measure") == "median" and 25 <= _effect(found)["value"] <= 45


def _effect_within(low: float, high: float) -> Callable[[Finding], bool]:
    return lambda found: low <= _effect(found).get("value", float("nan")) <= high


def _says(*words: str) -> Callable[[Finding], bool]:
    return lambda found: all(word in found["message"] for word in words)


def _alarms(found: Finding) -> bool:
    return found["severity"] in ("warning", "critical")


def _columns(*names: str) -> Callable[[Finding], bool]:
    return lambda found: bool(set(names) & set(found["where"]["columns"]))


def _explains(*names: str) -> Expect:
    """Expect that the divergence, or a slice of it, points at one of some columns."""

    def holds(report: Report) -> bool:
        kinds = ("prediction_divergence", "slice_divergence")
        return any(f["kind"] in kinds and _columns(*names)(f) for f in report["findings"])

    return Expect("explained by", holds)


def _row(
    row_id: str,
    *expects: Expect,
    may: str = "",
    options: tuple[str, ...] = (),
    rate: bool = False,
    labelled: bool = False,
    sliced: tuple[str, ...] | None = None,
) -> Row:
    kinds = frozenset([*(e.name for e in expects), *may.split()])
    return Row(row_id, expects, kinds, options, rate, labelled, sliced)


_ALL = (
    _row("F01", finding("concentration"), finding("prediction_divergence"), finding("lineage"), may="slice_divergence slow_feature capacity latency"),
    _row("F02", finding("slow_feature", _grows("description", 2.0)), may="capacity latency lineage concentration prediction_divergence slice_divergence"),
    _row("F02-linear", finding("slow_feature", _grows("description", 1.0)), may="latency capacity"),
    _row("F03", finding("slow_feature", _without_growth), may="latency capacity"),
    _row("F03-estimator", finding("slow_feature", _in_step("like")), may="latency capacity"),
    _row("F03-sometimes", finding("slow_feature", _now_and_then), may="latency capacity"),
    _row("F03-value", finding("slow_feature", lambda f: bool(f["where"]["slice"]) and f["where"]["columns"] == ["main_genre"]), may="latency capacity"),
    _row("F04", finding("poison_request", lambda f: f["where"]["step"] is not None), outcome("timed_out"), may="slow_feature latency", options=("--deadline", "2s")),
    _row("F05", finding("error_rate", lambda f: _alarms(f) and _columns("clarity")(f)), may="slice_divergence"),
    _row("F06", finding("nonfinite_output", lambda f: _alarms(f) and _columns("depth")(f)), may="prediction_divergence slice_divergence"),
    _row("F07", finding("prediction_divergence", _says("on average", "higher")), may="slice_divergence concentration"),
    _row("F08", finding("prediction_divergence", lambda f: _effect_within(0.95, 1.0)(f) and _says("swapped")(f)), may="score_shift slice_divergence"),
    _row("F09", finding("score_shift", _effect_within(0.06, 0.1)), may="prediction_divergence slice_divergence"),
    _row("F10", finding("slice_divergence", _columns("main_genre")), may="prediction_divergence score_shift", sliced=("main_genre",)),
    _row("F11", finding("nondeterminism", _says("disagrees with itself")), may="prediction_divergence score_shift"),
    _row("F12", never("prediction_divergence")),
    _row("F14", finding("prediction_divergence"), _explains("x", "y", "z", "carat", "depth", "table"), may="slice_divergence"),
    _row("F16", finding("poison_request"), outcome("crashed")),
    _row("F17", finding("poison_request"), outcome("timed_out"), options=("--deadline", "2s")),
    _row("F18", finding("capacity"), may="slow_feature latency", rate=True),
    _row("F19", never("prediction_divergence"), may="latency"),
    _row("F20", finding("prediction_divergence"), may="slice_divergence concentration"),
    _row("F21", finding("structure_change", _says("integer becomes string")), may="prediction_divergence slice_divergence"),
    _row("F22", finding("prediction_divergence", _says("rank-biased overlap")), may="slice_divergence"),
    _row("F23", never("latency"), may=""),
    _row("F23-longer", never("latency"), may=""),
    _row("F24", finding("change_point", lambda f: _alarms(f) and abs((f["since"] or 0) - 1200) <= 60), may="prediction_divergence slice_divergence"),
    _row("F24-no-rescore", finding("change_point", lambda f: not _alarms(f) and abs((f["since"] or 0) - 1200) <= 60), may="prediction_divergence slice_divergence", options=("--no-rescore",)),
    _row("F28", Expect("promote", lambda report: report["verdict"] == "promote"), may="prediction_divergence score_shift slice_divergence", labelled=True),
    _row("F25", finding("nondeterminism", lambda f: "batch" in f["message"])),
)  # fmt: skip
ROWS = {row.id: row for row in _ALL}
"""Rows that are played one at a time. F13 needs many runs (`fed`), F26 and F27 are live tests."""
