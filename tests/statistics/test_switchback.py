"""Now and then lanes stand still, and what they cost callers becomes a number."""

from __future__ import annotations

import numpy as np
import pytest

from shadowserve.statistics.switchback import BLOCK_NS, Block, CallerCost, Schedule

CYCLE_NS = 10 * BLOCK_NS


@pytest.mark.parametrize("salt", ["a", "b", "c"])
def test_every_cycle_but_the_first_has_one_still_block_and_the_two_after_it(salt):
    schedule = Schedule(start_ns=5, salt=salt)
    for cycle in range(4):
        kinds = [schedule.block(5 + cycle * CYCLE_NS + i * BLOCK_NS)[1] for i in range(10)]
        if cycle == 0:
            assert set(kinds) == {Block.OTHER}
        else:
            still = kinds.index(Block.STILL)
            assert kinds[still : still + 3] == [Block.STILL, Block.CATCH_UP, Block.USUAL]
            assert kinds.count(Block.OTHER) == 7


def test_another_salt_draws_other_blocks():
    def drawn(salt: str) -> list[Block]:
        schedule = Schedule(0, salt)
        return [schedule.block(block * BLOCK_NS)[1] for block in range(10, 200)]

    assert drawn("one") != drawn("two")


def fed(ratio: float, cycles: int = 12) -> CallerCost:
    """Response times whose usual blocks are `ratio` times the still ones."""
    rng = np.random.default_rng(7)
    harm = CallerCost()
    for cycle in range(1, cycles + 1):
        for block, factor in ((Block.STILL, 1.0), (Block.CATCH_UP, 9.0), (Block.USUAL, ratio)):
            for ms in 2.0 * factor * rng.lognormal(0, 0.1, 200):
                harm.add(cycle, block, float(ms))
    return harm


@pytest.mark.parametrize("ratio", [1.0, 1.2])
def test_the_interval_holds_what_lanes_really_cost(ratio):
    median, tail = fed(ratio).costs()
    assert median.low <= ratio - 1 <= median.high
    assert tail.low <= ratio - 1 <= tail.high
    assert median.high - median.low < 0.1
    assert median.cycles == 11  # the last cycle is still open


def test_a_few_cycles_say_nothing():
    assert fed(1.0, cycles=3).costs() == []


def test_catching_up_is_not_measured():
    harm = fed(1.0)
    before = harm.costs()
    for _ in range(100):
        harm.add(13, Block.CATCH_UP, 1e6)
    assert harm.costs() == before


def test_what_was_learnt_survives_a_restart():
    harm = fed(1.1)
    assert CallerCost.from_state(harm.state()).costs() == harm.costs()
