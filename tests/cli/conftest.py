"""What commands are tried on."""

from __future__ import annotations

import pytest

from rig.judging import shadowed
from rig.scoring import double, opaque
from shadowserve.state import deployment as deployments
from shadowserve.state.places import Places


@pytest.fixture(scope="module")
def differing(tmp_path_factory) -> Places:
    """The state directory of a challenger that answers otherwise, once its lane and the control are done."""
    places, served = shadowed(
        tmp_path_factory.mktemp("differing"), opaque(lambda f, p: 3 * double(f, p))
    )
    deployments.write(places, served)
    return places
