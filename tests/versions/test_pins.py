from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shadowserve.errors import PinError
from shadowserve.versions.pins import LARGEST_VERSION, Pin, Reference, parse


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("v3", Reference(None, 3, None)),
        ("3", Reference(None, 3, None)),
        ("03", Reference(None, 3, None)),
        ("v02", Reference(None, 2, None)),
        (" v3 ", Reference(None, 3, None)),
        ("@champion", Reference(None, None, "champion")),
        ("@blue-green_2", Reference(None, None, "blue-green_2")),
        ("films:3", Reference("films", 3, None)),
        ("films:v3", Reference("films", 3, None)),
        ("films@champion", Reference("films", None, "champion")),
        ("models:/films/3", Reference("films", 3, None)),
        ("models:/films@alias", Reference("films", None, "alias")),
        ("ml.team.model_1:3", Reference("ml.team.model_1", 3, None)),
        ("models:/ml.team.model_1/3", Reference("ml.team.model_1", 3, None)),
        ("models:/Filme für Ännchen/12", Reference("Filme für Ännchen", 12, None)),
        ("映画:4", Reference("映画", 4, None)),
        ("a@b:3", Reference("a@b", 3, None)),
        ("models:/a@b/3", Reference("a@b", 3, None)),
        ("models:/a@b@champion", Reference("a@b", None, "champion")),
    ],
)
def test_every_accepted_spelling_means_one_thing(text: str, expected: Reference) -> None:
    assert parse(text) == expected


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "is empty"),
        ("   ", "is empty"),
        ("0", "out of range"),
        ("v0", "out of range"),
        ("films:0", "out of range"),
        ("99999999999999999999999", "out of range"),
        (str(LARGEST_VERSION + 1), "out of range"),
        ("-1", "not a whole number"),
        ("3.0", "not a whole number"),
        ("1.0", "not a whole number"),
        ("v3.5", "not a whole number"),
        ("latest", "no fixed version"),
        ("@latest", "no fixed version"),
        ("@Latest", "no fixed version"),
        ("films:latest", "no fixed version"),
        ("films:", "no fixed version"),
        ("films", "no fixed version"),
        ("Production", "no fixed version"),
        ("models:/films", "no fixed version"),
        ("models:/films/Production", "no fixed version"),
        ("models:/films/latest", "no fixed version"),
        ("models:/films/3/extra", "no fixed version"),
        ("models:/m-0123456789abcdef", "no fixed version"),
        ("³", "no fixed version"),
        ("٣", "no fixed version"),
        ("@v3", "without '@'"),
        ("@", "no valid alias"),
        ("@two words", "no valid alias"),
        (":3", "names no model"),
        ("models://3", "names no model"),
        ("a/b:3", "names no model"),
    ],
)
def test_what_names_no_fixed_version_is_refused_with_the_next_step(text: str, says: str) -> None:
    with pytest.raises(PinError, match=says) as caught:
        parse(text)
    message = str(caught.value)
    assert "\n" not in message
    assert "Write" in message


def test_the_refusal_reads_as_the_house_says() -> None:
    with pytest.raises(PinError) as caught:
        parse("reco:latest")
    assert str(caught.value) == (
        "Pin 'reco:latest' has no fixed version. Write a number, such as 'v7'; "
        "'shadowserve pins' lists them."
    )


def test_a_pin_is_written_with_its_model_and_said_without() -> None:
    pin = Pin("films", 3)
    assert (str(pin), pin.label) == ("films:3", "v3")


names = st.text(
    st.characters(exclude_characters="/:", exclude_categories=["C", "Z"]), min_size=1
).filter(str.strip)


@given(model=names, version=st.integers(1, LARGEST_VERSION), zeros=st.integers(0, 3))
def test_any_name_and_number_survive_every_spelling(model: str, version: int, zeros: int) -> None:
    number = "0" * zeros + str(version)
    expected = Reference(model, version, None)
    assert parse(str(Pin(model, version))) == expected
    assert parse(f"{model}:v{number}") == expected
    assert parse(f"models:/{model}/{number}") == expected
    assert parse(f"v{number}") == Reference(None, version, None)


@given(st.text())
def test_any_text_is_a_reference_or_a_pin_error(text: str) -> None:
    try:
        reference = parse(text)
    except PinError:
        return
    assert (reference.version is None) != (reference.alias is None)
    assert parse(str(reference)) == reference
