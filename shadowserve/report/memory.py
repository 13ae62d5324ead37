"""What whoever builds reports again and again keeps in mind between them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

from shadowserve.judgement.lanes import Lanes
from shadowserve.report.over_time import History


@dataclass(frozen=True, slots=True)
class Memory:
    """What was read for earlier reports of one deployment.

    A report that is built with it says what one without says, for a fraction of the work.
    """

    lanes: Lanes = field(default_factory=Lanes)
    history: History = field(default_factory=History)

    def keep(self, files: Collection[Path]) -> None:
        """Forget what was read of all other lanes' files."""
        self.lanes.keep(files)
        self.history.keep(files)
