"""A command is a module of `cli` and one line that names it: a toy one needs no third place."""

from __future__ import annotations

import sys
from types import ModuleType

import click
import pytest
from click.testing import CliRunner

from shadowserve import cli
from shadowserve.errors import SettingsError


@pytest.fixture
def toy(monkeypatch) -> click.Command:
    """A command as a newcomer would add it: the module, and its name in the table."""

    @click.command()
    @click.argument("pin")
    def toy(pin: str) -> None:
        """Say a pin back."""
        if pin == "bad":
            raise SettingsError("'bad' is no pin. Write a version, such as v4.")
        click.echo(pin)

    module = ModuleType("shadowserve.cli.toy")
    module.toy = toy
    monkeypatch.setitem(sys.modules, "shadowserve.cli.toy", module)
    monkeypatch.setitem(cli._MODULES, "toy", "toy")
    return toy


def test_a_command_in_the_table_is_listed_helped_and_run(toy):
    run = CliRunner().invoke
    assert "Say a pin back." in run(cli.main, ["--help"]).output
    assert run(cli.main, ["toy", "--help"]).exit_code == 0
    assert run(cli.main, ["toy", "v4"]).output == "v4\n"


def test_what_it_raises_for_users_is_one_line_and_an_exit_code(toy):
    told = CliRunner().invoke(cli.main, ["toy", "bad"])
    assert told.stderr == "'bad' is no pin. Write a version, such as v4.\n"
    assert told.exit_code == SettingsError.exit_code
