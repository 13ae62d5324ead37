from __future__ import annotations

from shadowserve.evidence.points import LEFT_OUT, points_of
from shadowserve.lane.state import Window


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
