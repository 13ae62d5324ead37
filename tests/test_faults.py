"""A fault is told of any exception whatever, without running any code of its class."""

from __future__ import annotations

import pytest

from rig.oddities import ERRORS, MARKER, EvilArgument
from shadowserve.faults import fault_of, from_json, tell, to_json


def raised(error):
    try:
        raise error
    except BaseException as caught:
        return caught


@pytest.mark.parametrize("name", ERRORS)
def test_any_exception_whatever_is_told_without_its_text(name):
    fault = fault_of(raised(ERRORS[name]()), step="scale")
    written = to_json(fault)
    assert from_json(written) == fault
    assert fault.type
    assert len(fault.type) < 1_000
    assert fault.type.isprintable()
    assert fault.step == "scale"
    assert MARKER.encode() not in written
    assert ":" in fault.frame


def test_an_exception_from_the_depth_of_a_recursion_names_its_innermost_frame():
    def deeper():
        deeper()

    with pytest.raises(RecursionError) as caught:
        deeper()
    assert fault_of(caught.value).frame.endswith(" deeper")


def test_arguments_that_differ_give_another_hash_and_their_code_is_not_run():
    hashes = {
        fault_of(ValueError(given)).digest
        for given in ("a", "b", b"a", 1, 1.5, None, EvilArgument())
    }
    assert len(hashes) == 7
    assert fault_of(ValueError(EvilArgument())) == fault_of(ValueError(EvilArgument()))


def test_a_log_that_a_model_broke_is_passed_over():
    class Broken:
        def error(self, *_, **__):
            raise SystemExit

    tell(Broken(), "n %d", 3)  # type: ignore[arg-type]
