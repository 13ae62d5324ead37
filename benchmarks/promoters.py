"""Races of two promoters: of two who move one alias at the same moment one wins, and the other is told.

    python -m benchmarks.promoters --races 200
    python -m benchmarks.promoters --races 200 --uri postgresql://user@localhost/mlflow

Two processes each promote another version to the same alias, begun together. They are forked from one that
has imported what they need, so that they meet. After each race the registry is looked at: one version stands,
its tags name its promoter, the other promoter was refused, and no lock is left.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from mlflow import MlflowClient

from rig.promotable import registered
from shadowserve.errors import PromotionError, ShadowserveError
from shadowserve.promotion.promoting import Wanted, promote
from shadowserve.state.places import Places
from shadowserve.state.switches import TAG
from shadowserve.versions.pins import Pin
from shadowserve.versions.registry import Registry
from shadowserve.versions.stores import Uris
from shadowserve.versions.switch_lock import HeldError

WON, REFUSED, OTHER = 10, 11, 12
SPREAD_S = 0.1
"""Within which both begin."""


def race(uri: str, folder: Path, *, seed: int) -> tuple[int, list[int]]:
    """Let two processes promote films:4 and films:5 at once; return what won and how each ended.

    Raises
    ------
    AssertionError
        If not one of them won, or if anything else is left than what it told.
    """
    client = MlflowClient(uri, uri)
    client.set_registered_model_alias("films", "champion", "3")
    drawn = random.Random(seed)
    at_s = time.monotonic() + 0.2
    runners = [_runner(uri, folder, number, at_s + SPREAD_S * drawn.random()) for number in (4, 5)]
    ends = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in runners]
    stands = int(client.get_registered_model("films").aliases["champion"])
    assert sorted(ends) == [WON, REFUSED], ends
    winner = 4 + ends.index(WON)
    tags = client.get_model_version("films", str(stands)).tags
    former = client.get_model_version("films", "3").tags
    names = [one.name for one in client.search_registered_models()]
    assert stands == winner, (stands, ends)
    assert (tags[TAG], tags[f"{TAG}.by"]) == ("promoted", f"{winner}@race"), tags
    assert (former[TAG], former[f"{TAG}.other"]) == ("replaced", str(winner)), former
    assert names == ["films"], names
    return winner, ends


def _runner(uri: str, folder: Path, number: int, at_s: float) -> int:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of forking beside threads, which the child does not use
        pid = os.fork()
    if pid:
        return pid
    end = OTHER
    try:
        # A connection of its own: the parent's must not be used in two processes.
        own = f"{uri}{'&' if '?' in uri else '?'}{'timeout' if uri.startswith('sqlite') else 'connect_timeout'}=30"
        registry = Registry(Uris(own, own))
        wanted = Wanted("champion", f"{number}@race", force="a race")
        time.sleep(max(0.0, at_s - time.monotonic()))
        promote(registry, Pin("films", number), Places(folder), wanted)
        end = WON
    except (PromotionError, HeldError):  # told that the alias was moved, or who is at it for long
        end = REFUSED
    except ShadowserveError as error:
        sys.stderr.write(f"{number}: {error}\n")
    finally:
        os._exit(end)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the races and print who won how often."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--races", type=int, default=200)
    parser.add_argument("--uri", help="a store of its own; by default a new SQLite file")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="promoters-") as folder:
        root = Path(folder)
        uri = registered(root, uri=given.uri)
        began_s, winners = time.monotonic(), Counter[int]()
        for n in range(given.races):
            winner, _ = race(uri, root / "state", seed=given.seed + n)
            winners[winner] += 1
            if (n + 1) % 20 == 0:
                print(f"{n + 1} races, {time.monotonic() - began_s:.0f} s", file=sys.stderr)
        spent_s = time.monotonic() - began_s
    print(f"{given.races} races, one winner each, in {spent_s:.0f} s")
    print(", ".join(f"films:{number} won {n}" for number, n in sorted(winners.items())))


if __name__ == "__main__":
    main()
