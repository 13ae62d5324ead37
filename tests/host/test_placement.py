"""A core for each champion worker, the others for the lanes, and one thread count for all."""

from __future__ import annotations

import subprocess
import sys

import pytest

from shadowserve.errors import SettingsError
from shadowserve.host.claims import Claims, taken
from shadowserve.host.placement import place
from shadowserve.host.priority import Priority

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Linux")


@pytest.mark.parametrize(
    ("workers", "lanes", "cpus", "own", "others", "threads"),
    [
        (1, 2, [0, 1], (0,), {1}, 1),
        (1, 2, [3, 2, 7, 5], (2,), {3, 5, 7}, 1),
        (2, 1, range(12), (0, 1), set(range(2, 12)), 4),
        (2, 2, [0, 1], (), None, 1),
        (1, 1, [0], (), None, 1),
        (1, 0, [0, 1], (0,), {1}, 1),
    ],
)
def test_cpus_are_shared_out(workers, lanes, cpus, own, others, threads):
    placement = place(workers=workers, lanes=lanes, cpus=cpus)
    assert placement.workers == own
    assert placement.lanes == (None if others is None else frozenset(others))
    assert placement.threads == threads
    assert not set(own) & set(placement.lanes or ())


def test_every_role_gets_the_same_thread_count():
    variables = place(workers=1, lanes=1, cpus=range(8)).environment()
    assert variables["OMP_NUM_THREADS"] == variables["OPENBLAS_NUM_THREADS"] == "4"
    assert set(variables.values()) == {"4"}


def test_a_quota_bounds_the_threads_and_not_what_is_seen():
    """A container that may keep two of eight CPUs busy (SS-033)."""
    assert place(workers=1, lanes=1, cpus=range(8), busy=2).threads == 1
    assert place(workers=1, lanes=1, cpus=range(8), busy=8).threads == 4
    assert place(workers=1, lanes=1, cpus=range(2), busy=8).threads == 1


@pytest.mark.parametrize(
    ("workers", "lanes", "cpus", "busy", "alone"),
    [
        (1, 2, 2, None, True),
        (1, 2, 3, None, False),
        (1, 4, 4, None, True),
        (1, 1, 1, None, False),  # one lane has nobody to wait for
        (2, 2, 2, None, True),
        (1, 2, 8, 2, True),  # a container that may keep two of eight busy
    ],
)
def test_lanes_score_one_at_a_time_where_they_are_more_than_their_cpus(
    workers, lanes, cpus, busy, alone
):
    placement = place(workers=workers, lanes=lanes, cpus=range(cpus), busy=busy)
    assert placement.one_at_a_time is alone
    assert ("one at a time" in placement.describe()) is alone


def test_a_worker_runs_on_its_own_cpu_or_anywhere():
    assert place(workers=2, lanes=1, cpus=[4, 5, 6]).worker(1) == frozenset({5})
    assert place(workers=2, lanes=1, cpus=[4]).worker(1) is None


def test_what_was_chosen_is_said():
    assert "champion on CPU 0, lanes on CPU 1" in place(workers=1, lanes=1, cpus=[0, 1]).describe()
    assert "not pinned" in place(workers=1, lanes=1, cpus=[0]).describe()
    assert place(workers=1, lanes=1).threads >= 1


def test_two_deployments_on_one_host_are_not_put_on_one_cpu():
    first, second = Claims(), Claims()
    try:
        one = place(workers=1, lanes=1, cpus=range(400, 404), claim=lambda c, n: first.take(c, n=n))
        two = place(
            workers=1, lanes=1, cpus=range(400, 404), others=taken(),
            claim=lambda c, n: second.take(c, n=n),
        )  # fmt: skip
        assert (one.workers, two.workers) == ((400,), (401,))
        assert two.lanes == {402, 403}
        assert not two.shares_core
        assert "CPU 400 left to other deployments" in two.describe()
    finally:
        first.close()
        second.close()
    assert not taken() & {400, 401}


def test_two_that_start_at_once_do_not_get_the_same_cpu():
    """The table was read before the other claimed: the kernel gives a name once."""
    first, second = Claims(), Claims()
    try:
        found = [c.take(range(410, 413), n=1) for c in (first, second)]
        assert found == [(410,), (411,)]
    finally:
        first.close()
        second.close()


def test_lanes_beside_anothers_champion_are_of_the_lowest_class():
    """Where there are only two CPUs: each champion has its own, and the other's lanes beside it."""
    second = place(workers=1, lanes=1, cpus=[0, 1], others=[0])
    assert (second.workers, second.lanes) == ((1,), {0})
    assert second.shares_core


def test_where_others_have_all_cpus_nothing_is_pinned():
    assert place(workers=1, lanes=1, cpus=[0, 1], others=[0, 1]).workers == ()
    assert place(workers=2, lanes=1, cpus=range(3), others=[0, 1]).workers == ()


def test_a_claim_ends_with_its_holder(tmp_path):
    program = (
        "import sys\nfrom shadowserve.host.claims import Claims\nclaims = Claims()\n"
        "print(claims.take([420], n=1), flush=True)\nsys.stdin.read()"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout.readline() == "(420,)\n"
    other = Claims()
    assert other.take([420], n=1) == ()
    holder.kill()
    holder.wait()
    holder.stdin.close()
    holder.stdout.close()
    assert other.take([420], n=1) == (420,)
    other.close()


def test_a_user_names_the_cpus_of_a_deployment():
    one = place(workers=1, lanes=1, wanted=(4, 5, 6), cpus=range(8))
    assert (one.workers, one.lanes) == ((4,), {5, 6})
    assert one.threads == 1  # of the three that were named, not of all eight


def test_what_has_no_core_of_its_own_stays_within_the_cpus_that_were_named():
    one = place(workers=2, lanes=1, wanted=(4, 5), cpus=range(8))
    assert (one.worker(0), one.background) == ({4, 5}, {4, 5})
    assert one.usual_priority is Priority.IDLE
    assert "all on CPU 4, 5" in one.describe()


def test_a_cpu_that_this_process_may_not_use_is_refused():
    with pytest.raises(SettingsError, match=r"CPU 8, 9, and this process may use 0, 1"):
        place(workers=1, lanes=1, wanted=(1, 8, 9), cpus=[0, 1])


def test_nothing_is_pinned_where_the_user_wants_it_so():
    one = place(workers=1, lanes=1, wanted="off", cpus=range(8))
    assert (one.worker(0), one.background) == (None, None)
    assert "not pinned (as asked)" in one.describe()
    assert one.threads == 4


def test_a_priority_that_callers_may_feel_is_said():
    shared = place(workers=1, lanes=1, cpus=[0])
    assert "callers may wait" not in shared.describe()
    assert "at an ordinary priority" in shared.describe(Priority.NORMAL)
    assert "callers may wait" in shared.describe(Priority.NORMAL)
    apart = place(workers=1, lanes=1, cpus=[0, 1])
    assert "callers may wait" not in apart.describe(Priority.NORMAL)
