"""What waits is sent once, in order, with patience, and never more often than is allowed, across restarts too."""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass, field

import pytest

from rig.deployment import made
from rig.receiver import Receiver, reset, status
from shadowserve.alerts import memory as memories
from shadowserve.alerts.event import Event
from shadowserve.alerts.memory import MOST_WAITING, Memory
from shadowserve.alerts.message import LONGEST_TEXT, MOST_EVENTS, body, text
from shadowserve.alerts.sending import FIRST_PAUSE_S, GIVEN_UP_S, HOUR_S, LONGEST_PAUSE_S, Sender
from shadowserve.settings.alerting import Alerting
from shadowserve.state.places import Places

NAMES = {"deployment": "films-1", "model": "films", "champion": 3}


def event(number: int = 1) -> Event:
    return Event(
        "alarm", f"Something is wrong, {number}.", "2026-11-30T14:00:00+00:00", {"challenger": 4}
    )


@dataclass
class Desk:
    """A sender with a clock that the test moves, begun anew from its file as after a death."""

    places: Places
    receiver: Receiver
    options: dict = field(default_factory=dict)
    now: float = 1_000_000.0
    sender: Sender | None = None

    def anew(self) -> Sender:
        memory = memories.read(self.places, "films-1")
        alerting = Alerting(self.receiver.url, **self.options)
        self.sender = Sender(self.places, memory, alerting, NAMES, clock=lambda: self.now)
        return self.sender

    def happens(self, *events: Event) -> None:
        sender = self.sender or self.anew()
        for one in events:
            sender.memory.add(one)
        sender.memory.write(self.places)

    def passes(self, seconds: float, *, step: float = 1.0) -> int:
        """Let time pass, a turn a step; return how often something was posted."""
        posted = 0
        for _ in range(int(seconds / step)):
            self.now += step
            posted += (self.sender or self.anew()).turn()
        return posted

    @property
    def texts(self) -> list[str]:
        return [one["text"] for told in self.receiver.bodies() for one in told["alerts"]]


@pytest.fixture
def desk(tmp_path):
    with Receiver() as receiver:
        yield Desk(made(tmp_path / "state"), receiver)


def test_what_waits_is_sent_once_and_listed(desk):
    desk.happens(event())
    assert desk.passes(10) == 1
    (told,) = desk.receiver.bodies()
    assert (told["schema"], told["deployment"], told["model"]) == (
        "shadowserve/alert/1",
        "films-1",
        "films",
    )
    assert told["alerts"] == [
        {"about": "alarm", "text": event().text, "at": event().at, "challenger": 4}
    ]
    (sent,) = memories.read(desk.places, "films-1").sent
    assert (sent["taken"], sent["tries"]) == (True, 1)


def test_what_was_sent_is_not_sent_again_after_a_restart(desk):
    desk.happens(event())
    desk.passes(3)
    desk.anew()
    assert desk.passes(100) == 0


def test_what_waited_at_a_death_is_sent_by_the_next(desk):
    desk.happens(event())
    desk.anew()
    assert desk.passes(3) == 1
    assert desk.texts == [event().text]


def test_a_death_between_post_and_note_repeats_one_message_under_its_name(desk):
    """What no sender can rule out; the receiver can, by the name."""
    desk.happens(event())
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Sender, "_note", _dies)
        with pytest.raises(KeyboardInterrupt):
            desk.passes(3)
    desk.anew()
    assert desk.passes(60) == 1
    keys = [head["idempotency-key"] for head, _ in desk.receiver.received]
    assert len(keys) == 2
    assert len(set(keys)) == 1


def _dies(*_args):
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    "answer", [status(500), status(302, "Location: /"), reset], ids=["500", "302", "reset"]
)
def test_what_is_not_taken_is_tried_again_later_and_later_as_the_same(desk, answer):
    desk.receiver.answer = answer
    desk.happens(event())
    at = []
    while desk.now < 1_000_000.0 + 600:
        if desk.passes(1):
            at.append(desk.now)
    gaps = [b - a for a, b in itertools.pairwise(at)]
    assert all(FIRST_PAUSE_S / 2 <= gap <= LONGEST_PAUSE_S + 1 for gap in gaps)
    assert gaps[-1] > 4 * gaps[0]
    assert len({head["idempotency-key"] for head, _ in desk.receiver.received}) == 1
    desk.receiver.answer = status(200)
    desk.passes(LONGEST_PAUSE_S + 2)
    (sent,) = memories.read(desk.places, "films-1").sent
    assert sent["taken"]
    assert sent["tries"] == len(at) + 1


def test_a_receiver_that_asks_to_be_left_alone_is_left_alone(desk):
    desk.receiver.answer = status(429, "Retry-After: 300")
    desk.happens(event())
    assert desk.passes(300) == 1
    desk.receiver.answer = status(200)
    assert desk.passes(10) == 1
    assert memories.read(desk.places, "films-1").message is None


def test_what_comes_while_a_message_is_tried_waits_for_the_next(desk):
    desk.receiver.answer = status(500)
    desk.happens(event(1))
    desk.passes(3)
    desk.happens(event(2), event(3))
    desk.receiver.answer = status(200)
    desk.passes(120)
    assert desk.texts[-3:] == [event(1).text, event(2).text, event(3).text]
    assert [len(told["alerts"]) for told in desk.receiver.bodies()][-2:] == [1, 2]


def test_no_more_leave_in_an_hour_than_is_allowed_and_the_others_leave_together(desk):
    desk.options = {"per_hour": 3}
    for number in range(10):
        desk.happens(event(number))
        desk.passes(5)
    assert len(desk.receiver.received) == 3
    assert desk.passes(HOUR_S, step=10.0) == 1
    assert desk.texts == [event(number).text for number in range(10)]


def test_tries_count_and_a_restart_does_not_forget_them(desk):
    desk.options = {"per_hour": 4}
    desk.receiver.answer = status(500)
    desk.happens(event())
    for _ in range(20):
        desk.passes(60)
        desk.anew()
    assert len(desk.receiver.received) == 4


def test_a_clock_that_is_set_back_silences_nobody(desk):
    desk.options = {"per_hour": 1}
    desk.receiver.answer = status(500)
    desk.happens(event())
    desk.passes(3)
    desk.now -= 30 * 86_400.0
    desk.receiver.answer = status(200)
    assert desk.passes(10) == 1


def test_after_a_day_nobody_needs_to_hear_of_it(desk):
    desk.receiver.answer = status(500)
    desk.happens(event())
    desk.passes(GIVEN_UP_S + 2 * LONGEST_PAUSE_S, step=30.0)
    known = memories.read(desk.places, "films-1")
    assert known.message is None
    assert [one["taken"] for one in known.sent] == [False]


def test_of_more_than_there_is_room_for_the_others_are_counted(desk):
    desk.happens(*(event(number) for number in range(MOST_WAITING + 7)))
    desk.passes(10)
    told = desk.receiver.bodies()
    assert [len(one["alerts"]) for one in told] == [MOST_EVENTS] * (MOST_WAITING // MOST_EVENTS)
    assert sum(one["untold"] for one in told) == 7
    assert "and 7 events more" in told[0]["text"]


def test_where_nothing_can_be_written_it_is_sent_all_the_same(desk, monkeypatch):
    desk.anew()
    desk.places.alerts.mkdir()  # what should replace it cannot
    desk.happens(event())
    assert desk.passes(3) == 1
    assert desk.texts == [event().text]


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"deployment": "films-1", "waiting": 3}', '{"deployment": "other"}']
)
def test_a_file_that_cannot_be_read_is_begun_anew(desk, text):
    desk.places.alerts.write_text(text)
    assert memories.read(desk.places, "films-1") == Memory("films-1")


def test_slacks_shape_is_one_text_in_which_nothing_acts():
    hostile = Event(
        "alarm", "<!channel> & <https://evil.example|here> \x1b[2J", "2026-11-30T14:00:00+00:00"
    )
    told = json.loads(body("m1", [hostile], NAMES, shape="slack"))
    assert list(told) == ["text"]
    assert "&lt;!channel&gt; &amp; &lt;https" in told["text"]
    assert "\x1b" not in told["text"]


def test_a_text_is_bounded():
    long = [Event("alarm", "x" * 10_000, "2026-11-30T14:00:00+00:00") for _ in range(50)]
    assert len(text(long, NAMES)) <= LONGEST_TEXT
