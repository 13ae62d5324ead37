"""Records that travel, faults without their texts, the share that is sampled, and where things lie."""

from __future__ import annotations

import stat

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shadowserve.errors import RequestError
from shadowserve.faults import fault_of, from_json, to_json
from shadowserve.records import PHASES, Role, Times, position, sequence_of, worker_of
from shadowserve.schema.rows import Rows
from shadowserve.state.places import Places
from shadowserve.state.sampling import Sampling

NS = st.integers(0, 2**62)
SECRET = "s3cret-value"


@given(worker=st.integers(0, 2**20), sequence=st.integers(1, 2**40 - 1))
def test_a_position_holds_worker_and_sequence(worker, sequence):
    place = position(worker, sequence)
    assert (worker_of(place), sequence_of(place)) == (worker, sequence)
    assert place < 2**63  # as SQLite stores it


@given(
    phases=st.lists(NS, min_size=len(PHASES), max_size=len(PHASES)),
    steps=st.lists(st.tuples(NS, NS), max_size=20),
    size=st.tuples(st.integers(1, 64), st.integers(1, 10**5)),
)
def test_times_are_unpacked_as_they_were_packed(phases, steps, size):
    times = Times(
        phases_ns=tuple(phases),
        wall_ns=tuple(wall for wall, _ in steps),
        cpu_ns=tuple(cpu for _, cpu in steps),
        batch_requests=size[0],
        batch_rows=size[1],
    )
    assert Times.unpack(times.pack()) == times
    assert times.total_ns == sum(phases)


def raised(error):
    try:
        raise error
    except Exception as caught:
        return caught


def test_a_fault_tells_type_frame_and_hash_but_no_text():
    fault = fault_of(raised(ValueError(SECRET)), step="scale")
    assert (fault.type, fault.step) == ("ValueError", "scale")
    assert fault.frame.startswith("test_records.py:")
    assert fault.frame.endswith(" raised")
    assert SECRET not in to_json(fault).decode()
    assert from_json(to_json(fault)) == fault
    assert fault.digest == fault_of(raised(ValueError(SECRET))).digest
    assert fault.digest != fault_of(raised(ValueError("other"))).digest


def test_a_refusal_tells_its_code_and_column():
    error = raised(RequestError("no", code="missing_column", column="age"))
    fault = fault_of(error)
    assert fault.type == "shadowserve.errors.RequestError:missing_column"
    assert fault.column == "age"


def test_an_errors_own_step_wins():
    error = ValueError()
    error.shadowserve_step = "text/embed"  # type: ignore[attr-defined]
    assert fault_of(error, step="model").step == "text/embed"
    assert fault_of(error).frame == ""  # never raised


ROWS = Rows(columns={"user": np.array([7, 8])}, n_rows=2)


@given(request_id=st.text(max_size=20), salt=st.text(max_size=5))
def test_nothing_and_everything_are_exact(request_id, salt):
    assert Sampling(rate=1.0, salt=salt).takes(request_id, ROWS)
    assert not Sampling(rate=0.0, salt=salt).takes(request_id, ROWS)


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_the_share_is_that_asked_for(rate):
    sampling = Sampling(rate=rate, salt="s")
    taken = [sampling.takes(f"r{n}", ROWS) for n in range(20_000)]
    assert np.mean(taken) == pytest.approx(rate, abs=0.015)


def test_a_larger_share_takes_all_that_a_smaller_one_does():
    small, large = (Sampling(rate=rate, salt="s") for rate in (0.2, 0.4))
    ids = [f"r{n}" for n in range(2_000)]
    assert {i for i in ids if small.takes(i, ROWS)} <= {i for i in ids if large.takes(i, ROWS)}


def test_an_entity_is_in_or_out_whatever_its_requests_are_called():
    sampling = Sampling(rate=0.5, salt="s", entity="user")
    for user in range(50):
        rows = Rows(columns={"user": np.array([user])}, n_rows=1)
        assert len({sampling.takes(f"r{n}", rows) for n in range(20)}) == 1
    missing = Sampling(rate=0.5, salt="s", entity="nobody")
    assert len({missing.takes(f"r{n}", ROWS) for n in range(20)}) == 2


def test_another_salt_takes_others():
    taken = [
        {n for n in range(500) if Sampling(rate=0.5, salt=s).takes(str(n), ROWS)} for s in "ab"
    ]
    assert taken[0] != taken[1]


def test_places_are_made_for_their_owner_only(tmp_path):
    places = Places(tmp_path / "deep" / "state")
    places.make()
    places.make()
    for place in (places.root, places.journal, places.models, places.logs):
        assert stat.S_IMODE(place.stat().st_mode) == 0o700


def test_lanes_and_counters_have_places_of_their_own(tmp_path):
    places = Places(tmp_path)
    places.make()
    assert places.lane(Role.CHALLENGER, 4).state == tmp_path / "lanes/challenger-v4/state.db"
    assert places.all_counters() == {}
    for name in ("0.bin", "12.bin", "x.bin"):
        (tmp_path / "counters" / name).touch()
    assert places.all_counters() == {n: places.counters(n) for n in (0, 12)}
