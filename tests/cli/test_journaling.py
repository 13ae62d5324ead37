"""`journal list`, `verify` and `export`, as a user meets them."""

from __future__ import annotations

import json

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from rig.archived import archive, of, served
from rig.deployment import OPTIONS
from shadowserve.cli import main
from shadowserve.journal.segment_file import segments
from shadowserve.state.archive.past import Past


def asked(places, *arguments):
    return CliRunner().invoke(main, ["journal", *arguments, "--state-dir", str(places.root)])


@pytest.fixture
def kept(tmp_path):
    """Three segments, archived and gone from the journal."""
    places, _ = served(tmp_path / "state", **{**OPTIONS, "log_inputs": ("age",)})
    archive(places)
    for segment in segments(places.journal):
        segment.path.unlink()
    return places


def test_what_is_kept_is_listed(kept):
    told = asked(kept, "list")
    assert told.exit_code == 0
    for word in (of(kept).id, "films v3", "12", "3 segments"):
        assert word in told.stdout.replace("\n", " ")
    (one,) = json.loads(asked(kept, "list", "--json").stdout)["deployments"]
    assert (one["requests"], one["archived"]["segments"], one["journal"]["segments"]) == (12, 3, 0)


@pytest.mark.parametrize("command", ["list", "verify"])
def test_where_nothing_is_kept_it_says_how_to(tmp_path, command):
    places, _ = served(tmp_path, segments=0)
    told = asked(places, command)
    assert told.exit_code == 0
    assert "--keep-journal 7d" in told.stderr


def test_an_export_of_nothing_says_how_to(tmp_path):
    places, _ = served(tmp_path, segments=0)
    told = asked(places, "export", "--to", str(tmp_path / "out.parquet"))
    assert told.exit_code == 4
    assert "--keep-journal 7d" in told.stderr
    assert not (tmp_path / "out.parquet").exists()


def test_what_is_whole_is_said_to_be(kept):
    told = asked(kept, "verify")
    assert told.exit_code == 0
    assert told.stdout == "3 segments with 12 requests read: all as they were written.\n"


def test_what_is_damaged_or_missing_is_named(kept):
    first, second, _ = (one.path for one in Past(kept).sources())
    whole = first.read_bytes()
    first.write_bytes(whole[: len(whole) // 2])
    second.unlink()
    told = asked(kept, "verify")
    assert told.exit_code == 4
    assert first.name in told.stdout
    assert "1 cannot be used" in told.stdout
    first.write_bytes(whole)
    told = json.loads(asked(kept, "verify", "--json").stdout)
    assert told["faults"] == []
    assert "4 requests from 5 to 8 are not kept" in told["gaps"][0]


def test_an_export_holds_what_may_leave_and_says_what_may_not(kept, tmp_path):
    target = tmp_path / "out.parquet"
    told = asked(kept, "export", "--to", str(target))
    assert told.exit_code == 0, told.output
    assert "Left out: title." in told.stdout
    assert "input/age" in pq.read_schema(target).names
    told = json.loads(
        asked(kept, "export", "--to", str(target), "--log-inputs", "all", "--json").stdout
    )
    assert (told["rows"], told["columns"], told["withheld"]) == (12, ["age", "title"], [])
    assert "input/title" in pq.read_schema(target).names


@pytest.mark.parametrize(
    ("arguments", "words", "code"),
    [
        (["--log-inputs", "agee"], "agee is no column of this model. Its columns: age, title.", 2),
        (["--from", "yesterday"], "--from yesterday: write a time as 2026-11-30T12:00", 2),
        (["--deployment", "films-other"], "'shadowserve journal list' lists what is", 4),
    ],
)
def test_what_cannot_be_exported_is_refused_before_anything_is_written(
    kept, tmp_path, arguments, words, code
):
    told = asked(kept, "export", "--to", str(tmp_path / "out.parquet"), *arguments)
    assert told.exit_code == code
    assert words in told.stderr
    assert not list(tmp_path.glob("*out*"))


def test_a_place_that_is_none_is_refused(kept, tmp_path):
    for target in (tmp_path, tmp_path / "none" / "out.parquet"):
        told = asked(kept, "export", "--to", str(target))
        assert told.exit_code == 2
        assert "name a file in a directory that is there" in told.stderr


def test_times_are_utc_or_so_long_ago(kept, tmp_path):
    target = tmp_path / "out.parquet"
    asked(kept, "export", "--to", str(target), "--until", "1970-01-01T00:00:00.000001")
    assert pq.read_metadata(target).num_rows == 0
    asked(kept, "export", "--to", str(target), "--from", "1970-01-01T00:00:00.000001+00:00")
    assert pq.read_metadata(target).num_rows == 12
    asked(kept, "export", "--to", str(target), "--from", "1h")
    assert pq.read_metadata(target).num_rows == 0
