"""The champion's answers where none are recorded, or none are wanted: given anew, in batches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from shadowserve.faults import to_json
from shadowserve.lane.observing import Observer, Typed
from shadowserve.records import Observation, Request
from shadowserve.scorer import scoring
from shadowserve.state import classes
from shadowserve.state.deployment import Deployment
from shadowserve.state.places import Places
from shadowserve.versions import copies
from shadowserve.wire.protocols import protocols


class Champion:
    """The champion's version, loaded to answer recorded requests.

    Parameters
    ----------
    places : Places
    deployment : Deployment

    Raises
    ------
    ModelError
        If it cannot be loaded.
    """

    def __init__(self, places: Places, deployment: Deployment) -> None:
        champion = deployment.champion
        path = copies.own(Path(deployment.files[champion.number]), places.copies / "feeder")
        opened = scoring.open_version(champion, path, options=deployment.options)
        self._scorer = scoring.warm(opened)
        table = dict(protocols(deployment.model, champion.number))
        self._observer = Observer(self._scorer, table, mark=[0])
        classes.tell(places.classes(champion.number), self._scorer.loaded.classes)

    def answered(self, requests: Sequence[Request]) -> Iterator[Request]:
        """Yield requests with what the version answers now; those without a body stay as they are.

        Rows share a call where that is known to change nothing, as many as came.
        """
        known = [one for one in requests if one.body is not None]
        typed = self._observer.typed_all(known)
        if self._scorer.batched:
            seen = self._observer.together(typed)
        else:
            seen = [self._alone(one) for one in typed]
        answers = dict(zip((one.position for one in known), seen, strict=True))
        for one in requests:
            found = answers.get(one.position)
            if found is None:
                yield one
            elif found.answer is not None:
                yield one._replace(status=200, answer=found.answer)
            else:
                yield one._replace(
                    status=500, answer=to_json(found.fault) if found.fault else b"{}"
                )

    def _alone(self, typed: Typed) -> Observation:
        return typed.refusal or self._observer.alone(typed)
