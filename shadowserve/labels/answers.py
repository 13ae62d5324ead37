"""What both versions had answered, copied from the lanes' comparisons to where labels find it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from shadowserve.labels.store import Answered, LabelStore
from shadowserve.records import Outcome
from shadowserve.state.deployment import Deployment
from shadowserve.state.lane_reading import open_comparisons, open_pieces
from shadowserve.state.places import Places

MAX_ANSWER_BYTES = 4_096
_READ = (
    "position", "request_id", "arrived_wall_ns", "outcome", "champion_prediction",
    "lane_prediction", "lane_scores", "first",
)  # fmt: skip


def copy_answers(store: LabelStore, places: Places, deployment: Deployment) -> None:
    """Copy what every lane has recorded since the last time, part by part."""
    for name in (*deployment.lanes, *deployment.left_lanes):
        lane, files = str(name), places.lane(name.role, name.version, name.stay)
        known = store.known_parts(lane)
        for path in sorted(files.parts.glob("*.parquet")):
            # A part never changes once it is there, so it is read once.
            if path.name not in known:
                # A part's answers and the note of them are written together: it is copied whole, or
                # again.
                with store.writing():
                    store.take(lane, _of_part(pq.read_table(path, columns=list(_READ))))
                    store.part_taken(lane, path.name)
        with store.writing():
            # The open window has no part yet; what of it is here already stays as it is.
            store.take(lane, map(_of_record, open_comparisons(files.state)))
            for piece in open_pieces(files.state):
                rows = pa.ipc.open_stream(piece).read_all()
                store.take(lane, _of_part(rows.select(list(_READ))))
            store.forget_oldest(lane)


def request_ids(places: Places, deployment: Deployment, *, most: int) -> Iterator[str]:
    """Yield the ids of the requests that lanes have recorded, of each lane's newest at least so many."""
    for name in (*deployment.lanes, *deployment.left_lanes):
        files = places.lane(name.role, name.version, name.stay)
        left = most
        for record in open_comparisons(files.state):
            yield str(orjson.loads(record)["request_id"])
        for piece in open_pieces(files.state):
            yield from pa.ipc.open_stream(piece).read_all().column("request_id").to_pylist()
        for path in sorted(files.parts.glob("*.parquet"), reverse=True):
            if left <= 0:
                break
            found = pq.read_table(path, columns=["request_id"]).column("request_id").to_pylist()
            left -= len(found)
            yield from found


def _of_part(table: Any) -> Iterator[Answered]:
    for row in table.to_pylist():
        yield _answered(
            row,
            champion=row["champion_prediction"],
            lane=row["lane_prediction"],
            scores=dict(row["lane_scores"] or ()),
        )


def _of_record(record: bytes) -> Answered:
    row = orjson.loads(record)
    champion, lane = (orjson.dumps(row[side]).decode() for side in ("champion", "lane"))
    return _answered(row, champion=champion, lane=lane, scores=row.get("lane_scores") or {})


def _answered(
    row: Mapping[str, Any], *, champion: str, lane: str, scores: Mapping[str, float]
) -> Answered:
    both = row["outcome"] == Outcome.BOTH_OK.value
    # A million answers stay findable, so each is bounded.
    small = len(champion) + len(lane) <= MAX_ANSWER_BYTES
    return Answered(
        position=row["position"],
        request_id=row["request_id"],
        arrived_ns=row["arrived_wall_ns"],
        champion=champion if both and small else None,
        lane=lane if both and small else None,
        scores=json.dumps(dict(scores)) if scores else None,
        first=row["first"],
    )
