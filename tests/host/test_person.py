"""Who is at the command line, also where no file lists the user."""

from __future__ import annotations

import multiprocessing
import os
import socket
from multiprocessing.connection import Connection

import pytest

from shadowserve.host.person import person


def test_a_person_is_a_user_on_a_machine(monkeypatch):
    monkeypatch.setenv("LOGNAME", "ann")
    assert person() == f"ann@{socket.gethostname()}"


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="needs other users")
def test_a_user_without_a_name_is_a_number():
    ours, theirs = multiprocessing.get_context("fork").Pipe(duplex=False)
    child = multiprocessing.get_context("fork").Process(target=_as_nobody, args=(theirs,))
    child.start()
    assert ours.recv() == f"uid 54321@{socket.gethostname()}"
    child.join()


def _as_nobody(told: Connection) -> None:
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        os.environ.pop(name, None)
    os.setuid(54_321)
    told.send(person())
