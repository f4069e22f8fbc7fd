"""Asks a database for a training table."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import sqlalchemy
from sqlalchemy.exc import SQLAlchemyError

from core.config import SqlSource, fill_variables
from core.errors import SourceError

_BLOCK_ROWS = 50_000
_CONNECT_SECONDS = 10
_NETWORKED = frozenset({"postgresql", "mysql", "mariadb"})


def read_sql(
    source: SqlSource, *, choose: Callable[[Sequence[str], str], dict[str, str]]
) -> tuple[pa.Table, str]:
    """Ask the query, and give the wanted columns under our names.

    Rows come in blocks, so that only one block at a time stands in memory as Python objects.

    Parameters
    ----------
    source
        Address and query.
    choose
        Given the result's names and the address, maps our names to the result's.

    Returns
    -------
    tuple
        The table, and the address without its password.

    Raises
    ------
    SourceError
        The database is not reached, the query fails, or it returns nothing.
    """
    address = _address(source)
    origin = address.render_as_string(hide_password=True)
    try:
        engine = sqlalchemy.create_engine(address, connect_args=_patience(address))
    except (SQLAlchemyError, ModuleNotFoundError) as error:
        fault = f"no driver for it ({error}). Install one, or name another: postgresql+psycopg://…"
        raise SourceError(origin, fault) from error
    try:
        with engine.connect().execution_options(stream_results=True) as connection:
            result = connection.execute(sqlalchemy.text(source.query))
            names = list(result.keys())
            wanted = choose(names, origin)
            places = {ours: names.index(theirs) for ours, theirs in wanted.items()}
            blocks = [_block(places, rows) for rows in result.partitions(_BLOCK_ROWS)]
    except SQLAlchemyError as error:
        reason = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
        fault = (
            f"the query cannot be answered ({reason}). Check that the database runs, and "
            "source.address and source.query."
        )
        raise SourceError(origin, fault) from error
    finally:
        engine.dispose()
    if not blocks:
        raise SourceError(origin, "the query returns no rows; check its WHERE and its table.")
    return _joined(blocks), origin


def _address(source: SqlSource) -> sqlalchemy.URL:
    """Read the address; PostgreSQL is asked through the driver that Septet installs."""
    try:
        address = sqlalchemy.make_url(fill_variables(source.address))
    except SQLAlchemyError as error:
        fault = "this is no address. One looks like postgresql://user:${PASSWORD}@host:5432/name."
        raise SourceError("source.address", fault) from error
    if address.drivername in {"postgresql", "postgres"}:
        address = address.set(drivername="postgresql+psycopg")
    name = address.database or ":memory:"
    is_file = address.get_backend_name() == "sqlite" and not name.startswith((":", "file:"))
    if is_file and not Path(name).is_file():
        # SQLite would make an empty database of a misspelt name.
        fault = "there is no such file. Give source.address an existing SQLite file."
        raise SourceError(address.render_as_string(hide_password=True), fault)
    return address


def _patience(address: sqlalchemy.URL) -> dict[str, Any]:
    """Wait some seconds, not minutes, for a host that does not answer."""
    if address.get_backend_name() in _NETWORKED and "connect_timeout" not in address.query:
        return {"connect_timeout": _CONNECT_SECONDS}
    return {}


def _block(places: dict[str, int], rows: Iterable[Sequence[object]]) -> pa.Table:
    columns = list(zip(*rows, strict=True))
    return pa.table({name: _array(columns[place]) for name, place in places.items()})


def _array(values: Sequence[object]) -> pa.Array:
    """Give a typed array, or one of texts where a column mixes types (SQLite may)."""
    plain = [float(value) if isinstance(value, Decimal) else value for value in values]
    try:
        return pa.array(plain)
    except (pa.ArrowException, OverflowError):
        return _as_texts(plain)


def _as_texts(values: Sequence[object]) -> pa.Array:
    return pa.array([None if value is None else str(value) for value in values], pa.string())


def _joined(blocks: Sequence[pa.Table]) -> pa.Table:
    """Put the blocks together; a column whose type changes between them becomes texts."""
    try:
        return pa.concat_tables(blocks, promote_options="permissive")
    except pa.ArrowException:
        changed = {
            name
            for name in blocks[0].column_names
            if len({b.column(name).type for b in blocks if b.column(name).null_count < len(b)}) > 1
        }
        return pa.concat_tables(
            [
                pa.table(
                    {
                        name: _as_texts(column.to_pylist()) if name in changed else column
                        for name, column in zip(block.column_names, block.columns, strict=True)
                    }
                )
                for block in blocks
            ],
            promote_options="permissive",
        )
