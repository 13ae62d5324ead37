"""A part of the traffic that is answered otherwise is named; noise where calls are close is none."""

from __future__ import annotations

import numpy as np

from rig.judging import found, known_of, slices
from rig.scoring import opaque
from shadowserve.judgement.findings import Severity


def close_calls(noise, *, wrong=()):
    """A label that turns on the age, with noise on the score; wrong for some titles."""
    chance = np.random.default_rng(3)

    def said(frame, params):
        score = frame["age"].to_numpy() - 40 + chance.normal(0, noise, len(frame))
        return (score > 0) ^ frame["title"].isin(wrong).to_numpy()

    return said


def met(n):
    """Requests of whom a third are near the turn, with titles that have nothing to do with it."""
    chance = np.random.default_rng(4)
    titles = chance.choice(["red", "blue", "green", "gold"], n, p=[0.5, 0.3, 0.1, 0.1]).tolist()
    return [
        {"age": a, "title": t}
        for a, t in zip(chance.normal(40, 10, n).tolist(), titles, strict=True)
    ]


def test_noise_where_calls_are_close_is_no_slice(tmp_path):
    """F11, another way: what comes back on a second scoring is wrong, the rest is noise."""
    noisy = opaque(close_calls(4.0))
    known = known_of(tmp_path, noisy, champion=opaque(close_calls(0.0), number=3), sent=met(1_000), rescore=True)  # fmt: skip
    assert found(known)["nondeterminism"].severity is Severity.WARNING
    assert slices(known)
    assert not any(one.severity.is_alarm for one in slices(known).values())


def test_a_wrong_slice_is_named_beside_noise_that_is_none(tmp_path):
    noisy = opaque(close_calls(2.0, wrong=["gold"]))
    known = known_of(tmp_path, noisy, champion=opaque(close_calls(0.0), number=3), sent=met(900), rescore=True)  # fmt: skip
    alarmed = [one.where.columns for one in slices(known).values() if one.severity.is_alarm]
    assert alarmed == [("title",)]


def test_the_champions_noise_where_calls_are_close_is_no_slice_of_the_challenger(tmp_path):
    champion = opaque(close_calls(4.0), number=3)
    known = known_of(tmp_path, opaque(close_calls(0.0)), champion=champion, sent=met(700), rescore=True)  # fmt: skip
    assert slices(known)
    assert not any(one.severity.is_alarm for one in slices(known).values())
