"""From what the user asked to a deployment: what can fail does so early, in one line."""

from __future__ import annotations

import dataclasses
import os
import socket
import subprocess
import sys

import pytest

from rig.deployment import CHALLENGER, deployment, made
from rig.scoring import SIGNATURE, version
from shadowserve.errors import JournalError, SettingsError, UnreachableError
from shadowserve.records import Outcome
from shadowserve.report import build
from shadowserve.settings.loading import load
from shadowserve.state import deployment as deployments
from shadowserve.state import joining
from shadowserve.state.lane_file import LaneState, Progress
from shadowserve.state.places import Places
from shadowserve.supervisor import refusals, start


def test_a_port_is_opened_for_children_to_inherit():
    with start.listen("127.0.0.1", 0, what="data plane") as listener:
        assert os.get_inheritable(listener.fileno())
        with socket.create_connection(listener.getsockname()):
            pass


@pytest.mark.parametrize(
    ("what", "flag"), [("data plane", "--port"), ("console", "--console-port")]
)
def test_a_taken_port_is_named_with_its_flag(what, flag):
    with start.listen("127.0.0.1", 0, what=what) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(UnreachableError, match=f"Port {port} .* already in use.*{flag}"):
            start.listen("127.0.0.1", port, what=what)


def test_a_state_directory_has_one_supervisor(tmp_path):
    places = Places(tmp_path / "state")
    assert start.running(places) is None
    held = start.claim(places)
    places.supervisor.write_text('{"pid": 77}')
    assert start.running(places) == {"pid": 77}
    with pytest.raises(JournalError, match=r"Another .* runs on .* \(process 77\)"):
        start.claim(places)
    os.close(held)
    assert start.running(places) is None
    os.close(start.claim(places))


def test_a_state_directory_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(JournalError, match="cannot be written"):
        start.claim(Places(tmp_path / "file" / "state"))


def test_the_same_files_resume_with_their_identity(tmp_path):
    places = made(tmp_path)
    first, story = start.settle(places, deployment())
    assert story == "new"
    again = deployment(id="later", salt="other", started="later", start="second")
    second, story = start.settle(places, again)
    assert story == "resumed"
    assert (second.id, second.salt, second.started) == (first.id, first.salt, first.started)
    assert second.start == "second"
    assert deployments.read(places) == second


def test_other_files_archive_what_was_there(tmp_path):
    places = made(tmp_path, CHALLENGER)
    start.settle(places, deployment())
    (places.journal / "0-1.db").touch()
    other = deployment(id="other", challengers=(dataclasses.replace(version(5)),))
    settled, story = start.settle(places, other)
    assert (settled.id, list(places.journal.iterdir())) == ("other", [])
    assert "is archived in" in story
    assert (places.root / "archive" / deployment().id / "journal" / "0-1.db").exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"verdict": {"loss": "rank"}}, "for verdict changed"),
        ({"entity": "user"}, "for --entity changed"),
        ({"entity_header": "x-customer"}, "for --entity-header changed"),
        ({"ignore_outputs": ["id"], "sample_rate": 0.5}, "for --ignore-outputs and --sample-rate"),
    ],
)
def test_what_sums_rest_on_is_frozen_and_a_change_begins_a_new_deployment(tmp_path, options, said):
    places = made(tmp_path, CHALLENGER)
    first, _ = start.settle(places, deployment())
    assert start.settle(places, deployment())[1] == "resumed"
    changed = deployment(id="other", options={**first.options.to_dict(), **options})
    settled, story = start.settle(places, changed)
    assert settled.id == "other"
    assert said in story
    assert f"{first.id} is archived" in story


def test_a_champions_challengers_are_counted_over_its_deployments(tmp_path):
    """The second one spends a third of the first one's alpha; what was never compared spends nothing."""
    places = made(tmp_path, CHALLENGER)
    first, _ = start.settle(places, deployment())
    assert build.policy_of(first, 4).alpha == pytest.approx(0.05 / 2)
    state = LaneState(places.lane(CHALLENGER.role, CHALLENGER.version).state)
    state.commit(Progress(cursor={0: 1_000}, outcomes={Outcome.BOTH_OK: 1_000}))
    state.close()
    second, _ = start.settle(places, deployment(id="second", challengers=(version(5),)))
    third, _ = start.settle(places, deployment(id="third", challengers=(version(6), version(7))))
    assert build.policy_of(second, 5).alpha == pytest.approx(0.05 / 6)
    assert build.policy_of(third, 6).alpha == pytest.approx(0.05 / 6)
    assert build.policy_of(third, 7).alpha == pytest.approx(0.05 / 12)
    again, story = start.settle(places, deployment(id="x", challengers=third.challengers))
    assert (story, again.options.challengers_before) == ("resumed", 1)
    switched, _ = start.settle(
        places, deployment(id="y", champion=version(4), challengers=(version(5),))
    )
    assert build.policy_of(switched, 5).challenger == 1


def test_what_lives_for_one_start_is_emptied(tmp_path):
    places = made(tmp_path)
    scratch = start.scratch_directory(places)
    (scratch / "histogram_1.db").touch()
    assert list(start.scratch_directory(places).glob("*.db")) == []


SIGNED = {"inputs": '[{"name": "age", "type": "long"}, {"name": "note", "type": "string"}]'}


@pytest.mark.parametrize("option", ["log_inputs", "hash_inputs", "drop_inputs"])
def test_a_column_that_no_version_takes_is_refused_with_the_known_ones(option):
    """A misspelt column would leave the journal."""
    served = [dataclasses.replace(version(3), signature=SIGNED), version(4)]
    refusals.refuse_columns(load({option: "age,note"}, environ={}), served)
    flag = "--" + option.replace("_", "-")
    with pytest.raises(SettingsError, match=rf"{flag}: no version takes nots\. Known: .*age, note"):
        refusals.refuse_columns(load({option: "age,nots"}, environ={}), served)


def test_an_entity_that_a_version_never_sees_is_refused_with_the_next_step():
    """Accepted, each request would count as another customer's."""
    note = {"name": "note", "type": "string", "required": True}
    with_note = {**SIGNATURE, "inputs": [*SIGNATURE["inputs"], note]}
    wider = version(4, signature=with_note)
    refusals.refuse_columns(load({"entity": "note"}, environ={}), [wider])
    said = r"--entity: films:3 takes no column note.*It takes: age, title\. Name one of these"
    with pytest.raises(SettingsError, match=said):
        refusals.refuse_columns(load({"entity": "note"}, environ={}), [wider, version(3)])


def test_where_the_signature_names_no_column_none_can_be_unknown():
    untyped = dataclasses.replace(version(3), signature=None)
    refusals.refuse_columns(load({"drop_inputs": "age"}, environ={}), [untyped])
    refusals.refuse_columns(load({"entity": "user"}, environ={}), [untyped])


def test_as_many_files_may_be_open_as_the_system_lets():
    """In a process of its own: a bound that is lowered here would stay."""
    program = (
        "import resource\n"
        "from shadowserve.supervisor.start import allow_open_files\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (64, 512))\n"
        "print(allow_open_files(256), allow_open_files(), allow_open_files(100))\n"
    )
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert told.stdout.split() == ["256", "512", "512"], told.stderr


@pytest.mark.parametrize(
    ("what", "flag"), [("console", "--console-host"), ("data plane", "--host")]
)
@pytest.mark.parametrize("host", ["192.0.2.1", "2001:db8::1", "no-such-host.invalid"])
def test_an_address_that_this_machine_does_not_have_is_the_hosts_fault(what, flag, host):
    with pytest.raises(UnreachableError, match=f"no address of this machine. Give {flag} "):
        start.listen(host, 0, what=what)


def test_who_joined_and_left_holds_over_a_start_and_over_another_policy(tmp_path):
    places = made(tmp_path, CHALLENGER)
    first, _ = start.settle(places, deployment())
    five = joining.joined(first, version(5), path="/models/5", at=first.started)
    changed = joining.without(places, five, 4, at=first.started)
    deployments.write(places, changed)
    wanted = deployment(id="x", start="later", challengers=(version(5),), asked=(4,))
    again, story = start.settle(places, wanted)
    assert story == "resumed"
    assert (again.stays, again.left, again.asked) == (changed.stays, changed.left, (4,))
    assert again.place_of(5) == 2
    stricter = dataclasses.replace(
        wanted, id="y", options=dataclasses.replace(wanted.options, verdict={"alpha": 0.01})
    )
    new, story = start.settle(places, stricter)
    assert story.startswith("new, for verdict changed")
    assert (new.asked, new.left, new.place_of(5)) == ((4,), (), 1)
