"""What a loaded version leaves on the heap is no later collection's work."""

from __future__ import annotations

import gc

from shadowserve.host import gc_freeze


def test_what_is_there_is_left_out_of_later_collections():
    kept = [[] for _ in range(1_000)]
    before = gc.get_freeze_count()
    gc_freeze.settle()  # as the suite itself does, so nothing is to be put back
    assert gc.get_freeze_count() >= before + len(kept)
    assert all(one is not kept[0] for one in gc.get_objects())
