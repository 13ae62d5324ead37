"""Packing one sealed segment of the journal into one Parquet file, compressed by zstd, with checksums.

A file is whole or not there: it is written under another name first. To pack a segment again writes the same.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from shadowserve.journal.segment_file import Segment
from shadowserve.journal.segment_reading import extent_of, reading, rows_of, steps_of
from shadowserve.records import Request, position, sequence_of
from shadowserve.state.archive.facts import Facts
from shadowserve.state.deployment import Deployment

LEVEL = 3
"""Of zstd: more of it takes twice the time for a twentieth less."""
GROUP_REQUESTS = 8_192
SCHEMA = pa.schema(
    [
        ("position", pa.int64()),
        ("request_id", pa.string()),
        ("arrived_wall_ns", pa.int64()),
        ("arrived_ns", pa.int64()),
        ("protocol", pa.string()),
        ("content_type", pa.string()),
        ("body", pa.binary()),
        ("status", pa.int16()),
        ("answer", pa.binary()),
        ("n_rows", pa.int32()),
        ("times", pa.binary()),
        ("unit", pa.int64()),
        ("replay", pa.string()),
    ]
)
"""A journal's record, column by column; see `records.Request`."""
_LIKE = ["protocol", "content_type", "status", "n_rows", "replay"]
"""Few values, many times: worth a dictionary."""

Hide = Callable[[Request], Request]


def pack(
    segment: Segment,
    target: Path,
    deployment: Deployment,
    *,
    hide: Hide | None = None,
) -> Facts | None:
    """Write a segment as an archived one.

    Parameters
    ----------
    segment : Segment
        Sealed, or of a deployment that is over.
    target : Path
        The file; replaced if it is there.
    hide : callable, optional
        Makes of each request what may be kept.

    Returns
    -------
    Facts or None
        None where the segment holds nothing, or is gone.

    Raises
    ------
    UnreadableError
        If the segment cannot be read; `DamagedError` if it never will.
    OSError
        If the file cannot be written; nothing is left of it.
    """
    facts = facts_of(segment, deployment)
    if facts is None:
        return None
    options = deployment.options
    facts = replace(facts, dropped=options.drop_inputs, hashed=options.hash_inputs)
    draft = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        _write(draft, segment, facts, hide)
        draft.replace(target)
    finally:
        with suppress(FileNotFoundError):
            draft.unlink()
    return facts


def facts_of(segment: Segment, deployment: Deployment) -> Facts | None:
    """Return what is known of a segment of the journal; None where it holds nothing."""
    with reading(segment) as connection:
        first, sealed = extent_of(connection)
        query = "SELECT count(*), max(position), min(arrived_wall_ns), max(arrived_wall_ns) FROM request"
        requests, newest, since, until = connection.execute(query).fetchone()
        steps = steps_of(connection)
    if not requests or first is None:
        return None
    return Facts(
        deployment=deployment.id,
        model=deployment.model,
        version=deployment.champion.number,
        worker=segment.worker,
        number=segment.number,
        first=first,
        last=sealed or sequence_of(newest),
        requests=requests,
        since_ns=since,
        until_ns=until,
        raw_bytes=segment.bytes,
        steps=steps,
    )


def _write(draft: Path, segment: Segment, facts: Facts, hide: Hide | None) -> None:
    schema = SCHEMA.with_metadata(facts.metadata())
    os.close(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    with pq.ParquetWriter(
        draft, schema, compression="zstd", compression_level=LEVEL, use_dictionary=_LIKE,
        write_page_checksum=True, write_statistics=["position", "arrived_wall_ns"],
    ) as file:  # fmt: skip
        for requests in _read(segment, facts):
            kept = requests if hide is None else [hide(one) for one in requests]
            columns = zip(*kept, strict=True)
            file.write_table(
                pa.table(
                    [pa.array(c, f.type) for c, f in zip(columns, SCHEMA, strict=True)], schema
                )
            )


def _read(segment: Segment, facts: Facts) -> Iterator[list[Request]]:
    """Yield a segment's requests, so many at once that a group's columns are worth compressing."""
    after = position(facts.worker, facts.first) - 1
    with reading(segment) as connection:
        while found := list(rows_of(connection, after=after, limit=GROUP_REQUESTS)):
            yield found
            after = found[-1].position
