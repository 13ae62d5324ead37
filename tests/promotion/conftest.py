"""A registry and a state directory that a test may change."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rig.promotable import Promotable, copied, promotable
from shadowserve.state import deployment as deployments


@pytest.fixture(scope="session")
def earned(tmp_path_factory) -> Promotable:
    """One in which films:4 has earned the verdict promote; to be copied."""
    return promotable(tmp_path_factory.mktemp("earned"))


@pytest.fixture
def replayable(earned, tmp_path) -> Promotable:
    """A copy whose recorded requests can be asked again, which takes seconds."""
    return copied(earned, tmp_path)


@pytest.fixture
def here(replayable) -> Promotable:
    """A copy in which nothing is asked again."""
    served = deployments.read(replayable.places)
    assert served is not None
    quiet = replace(served, options=replace(served.options, rescore=False))
    deployments.write(replayable.places, quiet)
    return replayable
