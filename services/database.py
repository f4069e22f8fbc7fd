"""How a database is connected: SQLite within a file, PostgreSQL over a line that may go silent."""

from __future__ import annotations

import os
import socket
import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.exc import DisconnectionError, NoSuchModuleError
from sqlalchemy.pool import NullPool

from core.errors import ConfigError

if TYPE_CHECKING:
    from sqlalchemy.engine import URL, Connection, Engine
    from sqlalchemy.pool import ConnectionPoolEntry

# An execution option: the transaction will write.
WRITES = "septet_writes"
BUSY_SECONDS = 10.0
# Longer than any block of ours, shorter than a person waits.
BLOCK_SECONDS = 10.0

# It makes SQLite open all that it needs to read.
_SMALLEST_QUESTION = "SELECT 1 FROM sqlite_schema LIMIT 1"
_NO_SHARED_INDEX = {"SQLITE_IOERR_SHMSIZE", "SQLITE_IOERR_SHMOPEN", "SQLITE_CANTOPEN"}

_CONNECT_SECONDS = 5
_PING_SECONDS = 2.0
# After this long without an answer of the network, the operating system gives a connection up.
_SILENCE_SECONDS = 10


def make_engine(url: URL) -> Engine:
    """Make an engine; nothing is connected yet.

    Parameters
    ----------
    url
        Of an SQLite file, or of PostgreSQL with psycopg.

    Raises
    ------
    ConfigError
        The driver is not installed.
    """
    try:
        if url.get_backend_name() == "sqlite":
            # Opened anew each time: it costs a tenth of a millisecond, and a file that was put
            # back from a copy is taken notice of.
            engine = sa.create_engine(
                url, poolclass=NullPool, connect_args={"timeout": BUSY_SECONDS}
            )
            event.listen(engine, "do_connect", _connect_sqlite)
            event.listen(engine, "connect", _prepare_sqlite)
            event.listen(engine, "begin", _begin_sqlite)
            return engine
        engine = sa.create_engine(
            url,
            pool_size=2,
            max_overflow=8,
            pool_timeout=_CONNECT_SECONDS,
            connect_args={
                "connect_timeout": _CONNECT_SECONDS,
                "keepalives_idle": _SILENCE_SECONDS,
                "tcp_user_timeout": _SILENCE_SECONDS * 1000,
            },
        )
    except (NoSuchModuleError, ModuleNotFoundError) as error:
        raise ConfigError(f"the driver of the records is not installed ({error})") from error
    event.listen(engine, "connect", _prepare_postgres)
    event.listen(engine, "checkout", _ping_postgres)
    return engine


def _connect_sqlite(
    _: object, _record: object, given: Sequence[Any], options: Mapping[str, Any]
) -> sqlite3.Connection:
    """Open the file, also while its disk has no room for the index that its readers share."""
    connection: sqlite3.Connection = sqlite3.connect(*given, **options)
    try:
        connection.execute(_SMALLEST_QUESTION)
    except sqlite3.Error as error:
        if error.sqlite_errorname in _NO_SHARED_INDEX:
            connection.close()
            connection = sqlite3.connect(*given, **options)
            # Then the index stands in memory; others wait for as long as the connection is open.
            connection.execute("PRAGMA locking_mode=EXCLUSIVE")
        # Anything else the first statement meets again, and tells.
    return connection


def _prepare_sqlite(connection: sqlite3.Connection, _: ConnectionPoolEntry) -> None:
    """Leave transactions to us: the driver would commit before each change of a table."""
    connection.isolation_level = None


def _begin_sqlite(connection: Connection) -> None:
    """Begin; a writer takes its lock at once, for a lock taken later cannot be waited for."""
    writes = connection.get_execution_options().get(WRITES, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _prepare_postgres(connection: Any, _: ConnectionPoolEntry) -> None:
    """Bound every statement and every wait for a lock; the server itself sees to it."""
    with bounded(connection, _CONNECT_SECONDS), connection.cursor() as cursor:
        cursor.execute(f"SET statement_timeout = '{BLOCK_SECONDS:g}s'")
        cursor.execute(f"SET lock_timeout = '{_CONNECT_SECONDS}s'")
        connection.commit()


def _ping_postgres(connection: Any, *_: object) -> None:
    """Try a connection out before it is used again; one that is dead is replaced by a new one."""
    try:
        with bounded(connection, _PING_SECONDS), connection.cursor() as cursor:
            cursor.execute("SELECT 1")
            connection.rollback()
    except Exception as error:
        raise DisconnectionError(str(error)) from error


@contextmanager
def bounded(connection: Any, seconds: float) -> Iterator[None]:
    """Cut the line of a PostgreSQL connection when a block takes too long.

    A server that is stopped but not gone answers nothing, and psycopg waits for it without end:
    then the thread would be lost. Cut from another thread, the wait ends with an error.

    Parameters
    ----------
    connection
        The driver's; one of SQLite is left alone.
    seconds
        How long the block may take.
    """
    number = getattr(getattr(connection, "pgconn", None), "socket", None)
    if number is None:
        yield
        return
    # A number of our own: the other may be another file's by the time it is cut.
    with socket.socket(fileno=os.dup(number)) as line:
        timer = threading.Timer(seconds, _cut, [line])
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
            timer.join()


def _cut(line: socket.socket) -> None:
    """End a connection in both directions."""
    with suppress(OSError):  # gone already
        line.shutdown(socket.SHUT_RDWR)
