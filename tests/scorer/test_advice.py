"""What is said of a version that cannot be loaded leads to what mends it."""

from __future__ import annotations

import pickle

import pytest

from rig.oddities import ERRORS, MARKER
from shadowserve.scorer.loading.advice import cause

OLD = ("scikit-learn 1.2.2 in training, 1.9.1 here",)


def told(statement, **known):
    try:
        exec(statement, {"pickle": pickle})
    except Exception as error:
        return cause(error, **known)
    raise AssertionError(statement)


@pytest.mark.parametrize(
    "statement",
    [
        "import sklearn.ensemble._gb_losses",
        "pickle.loads(b'csklearn.compose._column_transformer\\n_NoSuchThing\\n.')",
    ],
)
def test_what_moved_within_an_installed_library_is_not_to_be_shipped_but_its_release_installed(
    statement,
):
    said = told(statement, differences=OLD)
    assert "scikit-learn 1.2.2 in training" in said
    assert "another release" in said
    assert "code_paths" not in said


@pytest.mark.parametrize(
    ("statement", "requirements", "package"),
    [
        ("import xgbuust", ("numpy==2.0", "xgbuust==3.0.1"), "xgbuust==3.0.1"),
        ("import no_such.part", ("no-such[extra]>=1",), "no-such[extra]>=1"),
        ("import bs4", (), "beautifulsoup4"),
    ],
)
def test_a_package_that_is_missing_is_to_be_installed(statement, requirements, package):
    said = told(statement, requirements=requirements)
    assert f"pip install '{package}'" in said
    assert "code_paths" not in said


def test_a_module_of_ones_own_is_to_be_shipped():
    assert "code_paths=['my_features.py']" in told("import my_features.text")


@pytest.mark.parametrize("statement", ["from git import Features", "from git.nothing import x"])
def test_a_shipped_module_behind_the_servers_own_is_to_be_renamed(statement):
    """It was shipped: the advice must not be what was done."""
    said = told(statement, hidden=("git",))
    assert "Rename the module" in said
    assert "code_paths" not in said


def test_of_an_old_pickle_the_libraries_are_told_first():
    said = told(
        "raise ValueError('node array from the pickle has an incompatible dtype')", differences=OLD
    )
    assert said.startswith("it was saved with other libraries (scikit-learn 1.2.2 in training")
    assert "ValueError" in said


def test_a_models_own_text_is_not_repeated():
    said = told("class Own(Exception): __module__ = 'own'\nraise Own('s3cret')")
    assert "s3cret" not in said


def test_no_code_of_an_exception_runs_when_its_cause_is_told():
    """Whatever a loader raises: a text, an argument or a class that exits, hangs or is huge."""
    for name, made in ERRORS.items():
        said = cause(made())
        assert said, name
        assert len(said) < 1_000
        assert MARKER not in said


def test_what_is_missing_is_told_of_an_import_error_whose_attributes_lie():
    class Lying(ModuleNotFoundError):
        @property
        def name(self):
            raise SystemExit

    assert cause(Lying("x", name="nowhere"))
    assert "nowhere" in cause(ModuleNotFoundError("x", name="nowhere"))
