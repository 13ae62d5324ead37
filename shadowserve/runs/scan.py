"""Comparisons asked where they lie, in Parquet parts: ten million take seconds, and little memory.

DuckDB reads only the columns and parts that a question needs, and spills what does not fit to disk.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from shadowserve.errors import QueryError

if TYPE_CHECKING:
    import pandas as pd

MEMORY = "384MiB"
"""What DuckDB may hold before it spills to disk; the process has its libraries beside."""
BATCH_ROWS = 65_536


class Comparisons:
    """The comparisons of one lane, in no data frame yet.

    A context manager: with its end, what was fetched from MLflow or spilled to disk is deleted.
    `shadowserve.scan_comparisons` and `shadowserve.scan_local_comparisons` make one.

    Parameters
    ----------
    parts : sequence of Path
        Parquet files as lanes write them, in the order of their names; those of older releases may lack
        columns. None at all is a table without rows.
    holding : ExitStack, optional
        What to let go at the end.
    """

    def __init__(self, parts: Sequence[Path], *, holding: ExitStack | None = None) -> None:
        import duckdb

        self._holding = holding or ExitStack()
        spilled = self._holding.enter_context(tempfile.TemporaryDirectory(prefix="shadowserve-"))
        self._database = duckdb.connect(config={"memory_limit": MEMORY, "temp_directory": spilled})
        self._holding.callback(self._database.close)
        self._refused = duckdb.Error
        self._lay_out(parts)

    def _lay_out(self, parts: Sequence[Path]) -> None:
        """Give the parts one name; a table without rows names the columns that older parts lack."""
        import pyarrow.parquet as pq

        from shadowserve.lane.tables import SCHEMA

        place = Path(
            self._holding.enter_context(tempfile.TemporaryDirectory(prefix="shadowserve-"))
        )
        pq.write_table(SCHEMA.empty_table(), place / "columns.parquet")
        files = [str(place / "columns.parquet"), *map(str, parts)]
        self._database.read_parquet(files, union_by_name=True).create_view("comparisons")
        self.columns: tuple[str, ...] = tuple(SCHEMA.names)

    def __enter__(self) -> Comparisons:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of files and memory; closing twice does no harm."""
        self._holding.close()

    def __len__(self) -> int:
        """Return how many comparisons there are; the parts' own counts, no row is read."""
        with self._telling():
            (n,) = self._database.sql("SELECT count(*) FROM comparisons").fetchall()[0]
        return int(n)

    def sql(self, query: str, parameters: Sequence[Any] | Mapping[str, Any] = ()) -> pd.DataFrame:
        """Return what a query finds in the table ``comparisons``.

        Parameters
        ----------
        query : str
            In DuckDB's SQL, where ``"window"`` needs its quotes. Steps, divergences, scores and sizes are maps: ``lane_steps_ms['tfidf']``
            is NULL where that step was not timed.
        parameters : sequence or mapping
            For ``?`` or ``$name`` in the query.

        Returns
        -------
        DataFrame
            One row a row of the result; maps are dicts by name.

        Raises
        ------
        QueryError
            If DuckDB refuses the query, with its own words.

        Examples
        --------
        >>> with Comparisons([]) as found:
        ...     found.sql("SELECT count(*) AS n, max(lane_ms) AS slowest FROM comparisons")["n"].item()
        0
        """
        with self._telling():
            found = self._database.sql(query, params=parameters or None)
            return _frame(found.to_arrow_table())

    def frame(
        self, columns: Sequence[str] | None = None, *, where: str | None = None
    ) -> pd.DataFrame:
        """Return comparisons as a data frame, in the order of positions.

        Parameters
        ----------
        columns : sequence of str, optional
            Which, in this order; all if not given. Maps cost the most memory: about 1 kB a row.
        where : str, optional
            A condition in SQL, such as ``"disagreement > 0.5 AND outcome = 'both_ok'"``.

        Returns
        -------
        DataFrame
            One row a comparison; maps are dicts by name.

        Raises
        ------
        QueryError
            If a column is unknown or the condition is refused.
        """
        return self.sql(self._selecting(columns, where) + " ORDER BY position")

    def batches(
        self,
        columns: Sequence[str] | None = None,
        *,
        where: str | None = None,
        n_rows: int = BATCH_ROWS,
    ) -> Iterator[pd.DataFrame]:
        """Yield comparisons as data frames of bounded size, part by part.

        Parameters
        ----------
        columns, where : optional
            As of `frame`.
        n_rows : int
            Rows of a frame, at most about so many.

        Yields
        ------
        DataFrame
            As of `frame`, in the order of parts; with several workers positions of two parts may
            interleave.

        Raises
        ------
        QueryError
            As of `frame`.
        """
        import pyarrow as pa

        with self._telling():
            found = self._database.sql(self._selecting(columns, where))
            for batch in found.to_arrow_reader(n_rows):
                yield _frame(pa.Table.from_batches([batch]))

    def _selecting(self, columns: Sequence[str] | None, where: str | None) -> str:
        wanted = self.columns if columns is None else tuple(columns)
        if unknown := [name for name in wanted if name not in self.columns]:
            raise QueryError(
                f"Comparisons have no column {', '.join(unknown)}. "
                f"They have: {', '.join(self.columns)}."
            )
        named = ", ".join(f'"{name}"' for name in wanted)  # "window" is a word of SQL
        query = f"SELECT {named} FROM comparisons"  # noqa: S608 - the caller's own data
        return query if where is None else f"{query} WHERE ({where})"

    @contextmanager
    def _telling(self) -> Iterator[None]:
        try:
            yield
        except self._refused as error:
            raise QueryError(f"Comparisons could not be asked: {error}") from error


def _frame(table: Any) -> pd.DataFrame:
    """Turn Arrow to pandas; maps become dicts without a loop in Python."""
    import pyarrow as pa

    maps = [name for name in table.column_names if pa.types.is_map(table.schema.field(name).type)]
    filled = {name: _filled(table.column(name)) for name in maps}
    for name, column in filled.items():
        table = table.set_column(table.schema.get_field_index(name), name, column)
    frame: pd.DataFrame = table.to_pandas(
        maps_as_pydicts="strict", split_blocks=True, self_destruct=True
    )
    return frame


def _filled(column: Any) -> Any:
    """Put an empty map where an older part has none."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if not column.null_count:
        return column
    empty = pa.array([[]], column.type)
    whole = pa.concat_arrays([*column.chunks, empty])
    places = pc.if_else(pc.is_valid(column), pa.array(range(len(column))), len(column))
    return whole.take(places.combine_chunks() if isinstance(places, pa.ChunkedArray) else places)
