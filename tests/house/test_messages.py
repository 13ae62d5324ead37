"""Every message that a user can meet is on the page of messages, and the page knows no other."""

from __future__ import annotations

import re

from sources import ROOT

from rig.pages import messages

PAGE = (ROOT / "docs/troubleshooting.md").read_text()
SHOWN = re.findall(r"^- `(.+)`$", PAGE, re.MULTILINE)
TITLES = " ".join(re.findall(r"^### (.*)$", PAGE, re.MULTILINE))


def test_messages_are_read_from_the_source():
    known = {message.text for message in messages.messages()}
    assert "The body is not UTF-8." in known
    assert "… is no duration. Write 10s, 500ms or 1m." in known
    assert len(known) > 200


def test_every_message_is_on_the_page():
    missing = [str(message) for message in messages.messages() if message.text not in SHOWN]
    assert not missing, "add to a section of docs/troubleshooting.md:\n" + "\n".join(missing)


def test_the_page_has_no_message_that_is_gone():
    known = {message.text for message in messages.messages()}
    assert [text for text in SHOWN if text not in known] == []


def test_every_code_of_a_refusal_has_a_section():
    assert messages.codes() - set(re.findall(r"`(\w+)`", TITLES)) == set()


def test_every_section_says_what_to_do():
    silent = []
    for section in re.split(r"^### ", PAGE, flags=re.MULTILINE)[1:]:
        title, *lines = section.splitlines()
        prose = [line for line in lines if line and not line.startswith(("- `", "#"))]
        silent += [] if len(" ".join(prose).split()) >= 6 else [title]
    assert silent == []
