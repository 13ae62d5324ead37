"""Looking at the requests of a read: each typed, sized, and settled what is done with it; many at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from shadowserve.comparison.bursts import block_of, blocks_of, in_bursts, is_chosen
from shadowserve.lane.block import Block, Work
from shadowserve.lane.commits import Commits
from shadowserve.lane.deaths import FATAL, Deaths
from shadowserve.lane.intake import LargeInputs, Turn, is_kept, turn, untimed
from shadowserve.lane.observing import Typed
from shadowserve.lane.parts import Parts
from shadowserve.records import Request, Role
from shadowserve.state.inflight import TYPING
from shadowserve.statistics.measuring import Plan
from shadowserve.statistics.tally import hash_positions
from shadowserve.statistics.units import unit_of

Plans = Mapping[tuple[int, int], Plan]


class Looking:
    """Looks at what was read, in the order of the journal.

    Parameters
    ----------
    parts : Parts
    commits : Commits
    deaths : Deaths
        Requests over which a process died are typed by themselves.
    """

    def __init__(self, parts: Parts, commits: Commits, deaths: Deaths) -> None:
        self._parts, self._commits, self._deaths = parts, commits, deaths
        self._large = LargeInputs()

    def at(
        self,
        requests: Sequence[Request],
        plans: Plans,
        shares: Mapping[tuple[int, int], float],
        block: Block,
        *,
        batched: bool,
    ) -> list[Work]:
        """Return what is to be done with each request that is not settled.

        Parameters
        ----------
        requests : sequence of Request
        plans : mapping of block to Plan
            Shares that are timed, by the blocks that the requests lie in.
        shares : mapping of block to float
            Of the requests, how many are scored at all.
        block : Block
            Takes in those that are settled.
        batched : bool
            Whether several may share a call.
        """
        died = {one.position: n for one in requests if (n := self._deaths.of(one.position))}
        # What a process died of is tried again, whatever is thinned by now: its outcome is owed.
        share_of = _shares(requests, shares, died)
        left = self._unsettled(requests, died, share_of, block)
        typed = self._typed(left, died)
        if self._parts.entity is not None:
            typed = [one for one in typed if self._is_kept(one, share_of, block)]
        sizes, large = self._sized(typed)
        for _ in range(sum(large)):
            self._commits.learned.measuring.large()
        places = [one.request.position for one in typed]
        role = self._parts.name.role
        if self._parts.steady is not None:
            decided = [untimed(place, role=role, batched=batched) for place in places]
        else:
            decided = turns(places, large, role=role, plans=plans, batched=batched)
        work = []
        for place, one, what, own, big in zip(places, typed, decided, sizes, large, strict=True):
            again = place in died
            if one.request.replay is not None:
                what = untimed(place, role=role, batched=batched)
            if again:
                # By itself: another death is its own.
                what = Turn(timed=self._parts.steady is None)
            if not what.score or one.request.replay is not None:
                block.leave_out(one.request)
            work.append(Work(one, what, own, large=big, died=again, share=share_of[place]))
        return work

    def _unsettled(
        self,
        requests: Sequence[Request],
        died: Mapping[int, int],
        share_of: Mapping[int, float],
        block: Block,
    ) -> list[Request]:
        """Return those requests that have to be typed."""
        left = []
        for one in requests:
            share = share_of[one.position]
            fatal = died.get(one.position, 0) >= FATAL
            if one.body is None or (fatal and one.replay is not None):
                block.leave_out(one)
            elif fatal:
                block.poisoned.append(one)
            elif (
                share < 1
                and not self._by_column(one)
                and not is_kept(share, position=one.position, unit=one.unit)
            ):
                block.thin(one)
            else:
                left.append(one)
        return left

    def _sized(self, typed: Sequence[Typed]) -> tuple[list[dict[str, int]], list[bool]]:
        """Return each request's sizes, and whether it is large; what is sent again is not asked, and tells nothing."""
        own = [one for one in typed if one.request.replay is None]
        sizes = [self._commits.sizes.of(one.rows) for one in own]
        large = self._large.are_large(sizes)
        if len(own) == len(typed):
            return sizes, large
        known = iter(zip(sizes, large, strict=True))
        found = [next(known) if one.request.replay is None else ({}, False) for one in typed]
        return [one for one, _ in found], [big for _, big in found]

    def _is_kept(self, typed: Typed, share_of: Mapping[int, float], block: Block) -> bool:
        """Whether a request is scored, where only its typed values say whom it is for."""
        place = typed.request.position
        if not self._by_column(typed.request) or is_kept(
            share_of[place], position=place, unit=self.unit(typed)
        ):
            return True
        block.thin(typed.request)
        return False

    def unit(self, typed: Typed) -> int | None:
        """Return a request's entity: as its header said, or else its column."""
        if typed.request.unit is not None:
            return typed.request.unit
        return unit_of(typed.rows, entity=self._parts.entity, salt=self._parts.disclosure.salt)

    def _by_column(self, request: Request) -> bool:
        """Whether only its typed values say whom a request is for."""
        return self._parts.entity is not None and request.unit is None

    def _typed(self, requests: Sequence[Request], died: Mapping[int, int]) -> list[Typed]:
        """Type requests, which are in hand meanwhile, too: by itself each whose typing may hang or kill."""
        observer, inflight = self._parts.observer, self._parts.inflight
        # A type hint's validators are the model's code. Else the whole read is in hand at once.
        if not died and observer.scorer.schema.fits is None:
            return observer.typed_all(requests)
        found = []
        for one in requests:
            inflight.mark([one.position], step=TYPING)
            found.append(observer.typed(one))
        inflight.mark([one.position for one in requests], step=TYPING)
        return found


def _shares(
    requests: Sequence[Request],
    shares: Mapping[tuple[int, int], float],
    died: Mapping[int, int],
) -> dict[int, float]:
    """Return what share of requests like each one is scored, by position."""
    places = [one.position for one in requests]
    if all(share == 1 for share in shares.values()):
        return dict.fromkeys(places, 1.0)
    both = zip(places, blocks_of(places), strict=True)
    return {place: 1.0 if place in died else shares[block] for place, block in both}


def turns(
    positions: Sequence[int], large: Sequence[bool], *, role: Role, plans: Plans, batched: bool
) -> list[Turn]:
    """Decide what a lane does with each of many requests, as `intake.turn` does of one."""
    if role is not Role.CHALLENGER or not batched or not positions:
        both = zip(positions, large, strict=True)
        return [
            turn(place, role=role, large=big, plan=plans[block_of(place)], batched=batched)
            for place, big in both
        ]
    places = np.array(positions, dtype=np.int64)
    bursts, drawn = in_bursts(places), hash_positions(places)
    made: dict[tuple[tuple[int, int], bool, bool, bool], Turn] = {}
    found = []
    told = zip(positions, blocks_of(positions), large, bursts.tolist(), drawn.tolist(), strict=True)
    for place, key, big, burst, chance in told:
        plan = plans[key]
        burst = burst and is_chosen(place, plan.bursts)
        alone = burst or chance < (max(plan.large, plan.others) if big else plan.others)
        known = made.get((key, big, burst, alone))
        if known is None:
            inclusion = plan.inclusion(large=big)
            known = Turn(alone=alone, timed=alone, burst=burst, inclusion=inclusion)
            made[key, big, burst, alone] = known
        found.append(known)
    return found
