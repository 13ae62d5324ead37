"""Film descriptions from a seed: most are short, one request in a hundred carries a very long one.

MovieLens has titles and genres but no text. The generator writes what a catalogue writes: a film's
own description has about 40 words and never changes; now and then somebody pastes a whole review
page of 2,000 to 20,000 words into the field. Offline tests hold only the short ones.
"""

from __future__ import annotations

import math
import random
import re
from functools import cache

MEDIAN_WORDS = 40
LONG_WORDS = (2_000, 20_000)

_SPREAD = 0.45
_SHORTEST, _LONGEST = 8, 300
_SENTENCE = (7, 15)

_COMMON = "the a of and in to with for who his her their when after before but from into about one"

_PLOT = (
    "story town family secret journey friend night stranger past promise house city chance truth "
    "return discover escape follow search survive begin change betray remember dream letter road "
    "summer winter brother sister mother father daughter son couple young old last first lost "
    "hidden forgotten unlikely famous small long quiet sudden director cast classic debut award "
    "performance screenplay score picture scene audience critic sequel adaptation novel restored"
)

_BY_GENRE = {
    "Action": "chase fight explosion agent mission weapon hostage revenge soldier bomb rogue pursuit",
    "Adventure": "treasure island expedition map jungle quest voyage explorer temple legend desert sail",
    "Animation": "drawn colourful talking animals toy magic song studio hand-painted puppet hero tiny",
    "Children": "kids school holiday puppy grandmother playground birthday wish bedtime farm egg rabbit",
    "Comedy": "hilarious wedding mistake prank roommate awkward boss neighbour joke vacation mix-up party",
    "Crime": "heist detective gang robbery mob prison murder witness corrupt police bank underworld",
    "Documentary": "archive interview footage real history testimony narrator record society witness war",
    "Drama": "grief marriage illness struggle hope dignity poverty court teacher loss forgiveness memory",
    "Fantasy": "dragon wizard kingdom spell prophecy sword elf curse portal throne witch enchanted",
    "Film-Noir": "shadow femme fatale private eye cigarette rain alley double-cross insurance blackmail",
    "Horror": "haunted blood killer cabin scream ghost basement possessed nightmare creature grave terror",
    "IMAX": "giant screen spectacle space ocean mountain breathtaking aerial depth immersive",
    "Musical": "dance stage broadway melody chorus rehearsal orchestra singer ballroom encore tap",
    "Mystery": "clue vanish inspector manor riddle suspect alibi puzzle disappearance locked room",
    "Romance": "love kiss heart affair paris destiny reunion longing bride passion train-station",
    "Sci-Fi": "alien robot spaceship future planet clone laboratory android galaxy experiment time-travel",
    "Thriller": "conspiracy assassin deadline trap paranoia hostage stalker code surveillance ransom",
    "War": "battle army trench soldier occupation resistance bomber prisoner front general platoon",
    "Western": "sheriff outlaw frontier saloon horse ranch gunfight stagecoach prairie bounty",
}


@cache
def description(film: int, *, title: str, genres: str) -> str:
    """Write the film's own description: the same text for the same film, always.

    Parameters
    ----------
    film : int
        Film id; it is the seed.
    title, genres : str
        As in MovieLens; genres joined by ``|``.

    Returns
    -------
    str
        8 to 300 words, log-normal with median 40 over films.
    """
    chance = random.Random(f"film {film}")
    n_words = round(math.exp(chance.gauss(math.log(MEDIAN_WORDS), _SPREAD)))
    n_words = min(max(n_words, _SHORTEST), _LONGEST)
    return _write(n_words, chance=chance, title=title, genres=genres)


def long_description(chance: random.Random, *, title: str, genres: str) -> str:
    """Write a pasted review page: 2,000 to 20,000 words, each power of ten alike."""
    shortest, longest = LONG_WORDS
    n_words = round(math.exp(chance.uniform(math.log(shortest), math.log(longest))))
    return _write(n_words, chance=chance, title=title, genres=genres)


def _write(n_words: int, *, chance: random.Random, title: str, genres: str) -> str:
    words = chance.choices(_vocabulary(title, genres), k=n_words)
    start = 0
    while start < n_words:
        end = min(start + chance.randint(*_SENTENCE), n_words)
        words[start] = words[start].capitalize()
        words[end - 1] += "."
        start = end
    return " ".join(words)


@cache
def _vocabulary(title: str, genres: str) -> list[str]:
    """Words to draw from; a word stands in it as often as it is likely."""
    about = [word for genre in genres.split("|") for word in _BY_GENRE.get(genre, "").split()]
    named = [word.lower() for word in re.findall(r"[^\W\d_]{3,}", title)]
    return _COMMON.split() * 3 + _PLOT.split() + about * 3 + named * 4
