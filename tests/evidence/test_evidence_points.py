from __future__ import annotations

import json

from shadowserve.evidence import bounding
from shadowserve.evidence.points import LEFT_OUT, points_of
from shadowserve.state.lane_file import Window


def window(metrics: bytes, number: int = 7) -> Window:
    return Window(number, 0, 1_700_000_000_123_456_789, 10, metrics, None)


def test_a_point_carries_the_windows_number_and_closing_time() -> None:
    (point,) = points_of(window(b'{"ledger/requests": 10}')).points
    assert (point.name, point.value, point.step) == ("ledger/requests", 10.0, 7)
    assert point.timestamp_ms == 1_700_000_000_123


def test_what_is_no_finite_number_is_left_out_and_counted() -> None:
    text = b'{"a": 1.5, "b": null, "c": true, "d": "1", "e": [1], "f": NaN, "g": -Infinity, "h": 1e999}'
    values = {point.name: point.value for point in points_of(window(text)).points}
    assert values == {"a": 1.5, LEFT_OUT: 7.0}


def test_an_integer_beyond_any_float_is_left_out() -> None:
    values = {p.name: p.value for p in points_of(window(b'{"a": 1' + b"0" * 400 + b"}")).points}
    assert values == {LEFT_OUT: 1.0}


def test_the_same_window_gives_the_same_points() -> None:
    text = b'{"a (x)": 1.5, "b": 2}'
    assert points_of(window(text)) == points_of(window(text))


def test_renamed_metrics_are_told_with_their_original_names() -> None:
    renamed = points_of(window(b'{"a": 1, "a[1]": 2}')).renamed
    assert list(renamed) == ["a[1]"]


def test_a_window_without_metrics_has_no_points() -> None:
    assert points_of(window(b"{}")).points == ()


def steps(n: int, **more: float) -> dict[str, float]:
    """Metrics of a model of so many steps, each slower than the one before."""
    names = ("p50", "p90", "p99", "max")
    return {
        **{f"feature_ms/{who}/step{i}/{name}": float(i) for who in ("champion", "challenger") for i in range(n) for name in names},
        **more,
    }  # fmt: skip


def told(metrics: dict[str, float], known: frozenset[str] = frozenset(), number: int = 7):
    return points_of(window(json.dumps(metrics).encode(), number), known=known)


def test_a_model_of_hundreds_of_steps_gets_a_bounded_number_of_names() -> None:
    metrics = steps(300, **{"ledger/requests": 5.0, "divergence/relative": 0.5})
    found = told(metrics)
    assert len(found.names) <= bounding.MOST_NAMES + 1
    values = {point.name: point.value for point in found.points}
    assert values["ledger/requests"] == 5.0
    assert "feature_ms/challenger/step299/max" in values  # the slowest come first
    assert "feature_ms/challenger/step0/max" not in values
    assert values[bounding.IN_TABLE] == len(found.rest)
    assert found.rest.keys() | found.names >= metrics.keys()
    shown = bounding.table(found.rest, window=7)
    assert ["feature_ms/champion/step0/p50", 0.0, 7] in shown["data"]


def test_a_name_that_was_sent_goes_on_being_sent_and_the_bound_holds_for_the_run() -> None:
    first = told(steps(300))
    turned = {name: -value for name, value in steps(300).items()}  # what was fast is slow now
    again = told({**turned, "new": 1.0}, first.names)
    assert again.names >= first.names & turned.keys()
    assert len(first.names | again.names) <= bounding.MOST_NAMES + 2
    assert told(steps(300), first.names) == first  # sent twice, it is the same


def test_a_model_of_a_few_steps_has_no_table() -> None:
    found = told(steps(10))
    assert (len(found.points), found.rest) == (80, {})
