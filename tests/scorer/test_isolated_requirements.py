"""What a version's environment is made from is read from its files, and a version does not say where code comes from."""

from __future__ import annotations

import pytest
import yaml

from rig import elsewhere
from shadowserve.errors import ModelError
from shadowserve.scorer.isolated import tools
from shadowserve.scorer.isolated.requirements import of_version
from shadowserve.state.isolation import Environment

HERE = Environment("", python="3.11.7", libraries={"scikit-learn": "1.5.2"})
HASH = "--hash=sha256:" + "0" * 64


@pytest.fixture
def read(tmp_path):
    """Write a version with these lines and read what its environment is made from."""

    def read_it(*lines, change=lambda content: None, pickle=b"", **flavor):
        (tmp_path / "model.pkl").write_bytes(pickle)
        elsewhere.write(tmp_path, HERE, lines=lines, **flavor)
        content = yaml.safe_load((tmp_path / "MLmodel").read_text())
        change(content)
        (tmp_path / "MLmodel").write_text(yaml.safe_dump(content))
        return of_version(elsewhere.version(tmp_path), tmp_path)

    read_it.path = tmp_path
    return read_it


def test_the_recorded_lines_are_installed_and_what_scoring_needs_besides(read):
    wanted = read("scikit-learn==1.5.2", "Pandas == 2.2.3  # frames", "", "# a comment")
    assert wanted.python == "3.11"
    assert wanted.lines == ("Pandas == 2.2.3", "numpy", "scikit-learn==1.5.2")
    assert not wanted.hashed


def test_the_flavors_own_record_stands_in_for_a_requirement_that_is_missing(read):
    assert "scikit-learn==1.5.2" in read("pandas").lines


def test_mlflow_is_left_out_where_scikit_learn_is_loaded_without_it(read):
    wanted = read("mlflow==3.1.0", "scikit-learn==1.5.2")
    assert not any("mlflow" in line for line in wanted.lines)
    assert wanted.left_out == ("mlflow (scikit-learn's flavor is loaded without it)",)


def test_mlflow_stays_where_code_of_the_versions_own_may_import_it(read):
    assert "mlflow==3.1.0" in read("mlflow==3.1.0", "scikit-learn==1.5.2", code="code").lines
    assert (
        "mlflow==3.1.0"
        in read("mlflow==3.1.0", "scikit-learn", pickle=b"...mlflow.pyfunc...").lines
    )


def test_another_flavor_gets_the_mlflow_that_it_was_recorded_with(read):
    def change(content):
        content["mlflow_version"] = "2.9.2"
        content["flavors"]["lightgbm"] = content["flavors"].pop("sklearn")

    assert "mlflow==2.9.2" in read("lightgbm==4.5.0", change=change).lines


def test_a_requirement_of_our_own_name_is_lent_and_not_installed(read):
    wanted = read("shadowserve==0.1", "scikit-learn==1.5.2")
    assert not any("shadowserve" in line for line in wanted.lines)
    assert any(left.startswith("shadowserve") for left in wanted.left_out)


PLACES = [
    "git+https://host.example/team/private.git@main",
    "private @ git+ssh://git@host.example/private.git",
    "private @ https://host.example/private-1.0-py3-none-any.whl",
    "private @ file:///srv/private",
    "https://host.example/private-1.0-py3-none-any.whl",
    "./private",
    "../private-1.0-py3-none-any.whl",
    "/srv/wheels/private-1.0-py3-none-any.whl",
    "wheels/private-1.0-py3-none-any.whl",
    "private-1.0-py3-none-any.whl",
    "private-1.0.tar.gz",
    "private[extra] @ https://host.example/p.whl",
    "private[extra]@file:p.whl",
    "private@https://host.example/p.whl",
    f"private @ https://host.example/p.whl {HASH}",
]
OPTIONS = [
    f"--extra-index-{'url'} https://host.example/simple",
    "-e .",
    "-r other.txt",
    "--no-binary :all:",
    "--pre",
]


@pytest.mark.parametrize("line", PLACES)
def test_a_path_or_an_address_is_refused(read, line):
    with pytest.raises(ModelError, match="a path or an address"):
        read("scikit-learn==1.5.2", line)


@pytest.mark.parametrize("line", PLACES)
def test_a_path_or_an_address_in_the_constraints_is_refused_too(read, line):
    (read.path / "constraints.txt").write_text(f"scipy==1.13.1\n{line}\n")
    with pytest.raises(ModelError, match="a path or an address"):
        read("-c constraints.txt", "scikit-learn==1.5.2")


@pytest.mark.parametrize("line", OPTIONS)
def test_an_option_in_the_constraints_is_refused_too(read, line):
    (read.path / "constraints.txt").write_text(f"{line}\n")
    with pytest.raises(ModelError, match=r"in its constraints\.txt.*is yours to say"):
        read("scikit-learn==1.5.2")


def test_a_name_that_stands_in_lines_for_several_pythons_keeps_all_of_them(read):
    told = ('numpy==1.26.4; python_version >= "3.11"', 'numpy==1.24.4; python_version < "3.11"')
    lines = read("scikit-learn==1.5.2", *told).lines
    assert [line for line in lines if line.startswith("numpy")] == sorted(told)


def test_credentials_of_an_address_are_not_repeated(read):
    with pytest.raises(ModelError) as raised:
        read("private @ https://ann:s3cret@host.example/p.whl")
    assert "s3cret" not in str(raised.value)


@pytest.mark.parametrize("line", OPTIONS)
def test_an_option_is_refused(read, line):
    with pytest.raises(ModelError, match="is yours to say"):
        read("scikit-learn==1.5.2", line)


def test_markers_and_extras_are_no_addresses(read):
    wanted = read(
        "scikit-learn==1.5.2", 'tomli>=2; python_version < "3.11"', "pandas[performance]==2.2.3"
    )
    assert "pandas[performance]==2.2.3" in wanted.lines


def test_hashes_are_required_of_all_or_of_none(read):
    given = (
        f"scikit-learn==1.5.2 \\\n    {HASH}",
        f"numpy==1.26.4 {HASH}",
        f"pandas==2.2.3 {HASH}",
    )
    assert read(*given).hashed
    with pytest.raises(ModelError, match="none for joblib"):
        read(*given, "joblib==1.4.2")


def test_constraints_are_kept(read):
    (read.path / "constraints.txt").write_text("scipy==1.13.1\n")
    assert read("-c constraints.txt", "scikit-learn==1.5.2").constraints == ("scipy==1.13.1",)


def test_conda_s_list_stands_in_for_a_file_that_is_missing(read):
    read("scikit-learn==1.5.2")
    (read.path / "requirements.txt").unlink()
    conda = {"dependencies": ["python=3.11.7", {"pip": ["scikit-learn==1.5.2", "pandas==2.2.3"]}]}
    (read.path / "conda.yaml").write_text(yaml.safe_dump(conda))
    assert "pandas==2.2.3" in of_version(elsewhere.version(read.path), read.path).lines


def test_nothing_recorded_is_refused(read):
    with pytest.raises(ModelError, match="records no requirements"):
        read()


@pytest.mark.parametrize(
    ("recorded", "told"), [(None, "no Python version"), ("3.8.10", "or newer")]
)
def test_a_python_that_is_unknown_or_too_old_is_refused(read, recorded, told):
    def change(content):
        content["flavors"]["python_function"]["python_version"] = recorded

    with pytest.raises(ModelError, match=told):
        read("scikit-learn==1.5.2", change=change)


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("error: Failed to write: No space left on device (os error 28)", "there is no room"),
        (
            "ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device",
            "there is no room",
        ),
        (
            "error: Failed to fetch: `https://ann:pw@host.example/simple/x/`\n Caused by: dns error",
            "cannot be reached",
        ),
        ("WARNING: Retrying after connection broken by 'NewConnectionError'", "cannot be reached"),
        (
            "Because x==9 has no wheels with a matching Python ABI tag, we can conclude",
            "has no wheel",
        ),
        ("Hash mismatch for `x==1.0`", "another hash"),
        (
            "Because there is no version of x==9 and you require x==9, we can conclude that",
            "do not resolve",
        ),
        ("", "do not resolve"),
    ],
)
def test_a_tools_complaint_comes_down_to_a_line_with_a_next_step(said, told):
    line = tools.why(1, said, index="https://bob:s3cret@host.example/simple", wheels=None)
    assert told in line
    assert "s3cret" not in line
    assert "pw@" not in line
    assert "\n" not in line
    assert line.endswith(".")
