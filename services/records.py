"""The records: what must outlive every process, in SQLite or PostgreSQL.

One database holds the keys and the audit. Its tables are made by the migrations
(``services.migration``); a serving process only reads the revision they are at.

Failure policy: whatever the driver meets becomes ``RecordsDown``, tables that are not there yet
become ``RecordsBehind``; both say what to do, and neither holds the password of the address.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import sqlalchemy as sa
from sqlalchemy.exc import (
    ArgumentError,
    DataError,
    DBAPIError,
    IntegrityError,
    ProgrammingError,
    SQLAlchemyError,
)

from core.denials import RecordsBehind, RecordsDown
from core.errors import ConfigError
from services.database import BLOCK_SECONDS, BUSY_SECONDS, WRITES, bounded, make_engine

if TYPE_CHECKING:
    from sqlalchemy.engine import URL, Connection, Dialect, Engine

# The revision of the newest migration: a test holds the two together.
REVISION = "0002"
# Not Alembic's own name: MLflow may keep its tables in the same database.
VERSION_TABLE = "septet_version"
_VERSION = sa.table(VERSION_TABLE, sa.column("version_num", sa.String)).c.version_num
# The counter of the changes of keys.
KEYS_COUNTER = "keys"


class UtcTime(sa.types.TypeDecorator[datetime]):
    """An aware time in UTC, also in SQLite, which knows no zones."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Write it in UTC."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"{value} has no zone")
        utc = value.astimezone(UTC)
        return utc.replace(tzinfo=None) if dialect.name == "sqlite" else utc

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002 - the signature is SQLAlchemy's
        """Read it in UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


METADATA = sa.MetaData()
Counter = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

REVISIONS = sa.Table(
    "revisions",
    METADATA,
    sa.Column("name", sa.String(32), primary_key=True),
    sa.Column("value", sa.BigInteger(), nullable=False),
)

KEYS = sa.Table(
    "keys",
    METADATA,
    sa.Column("id", sa.String(12), primary_key=True),
    sa.Column("name", sa.String(80), nullable=False),
    sa.Column("role", sa.String(16), nullable=False),
    sa.Column("tier", sa.String(63), nullable=False),
    sa.Column("models", sa.JSON(none_as_null=True)),
    sa.Column("networks", sa.JSON(), nullable=False),
    sa.Column("sha256", sa.String(64), nullable=False),
    # Secrets that were rotated out: [{"sha256": …, "until": …}].
    sa.Column("retiring", sa.JSON(), nullable=False),
    sa.Column("created_at", UtcTime(), nullable=False),
    sa.Column("created_by", sa.String(100), nullable=False),
    sa.Column("rotated_at", UtcTime()),
    sa.Column("expires_at", UtcTime()),
    sa.Column("revoked_at", UtcTime()),
    sa.Column("revision", sa.BigInteger(), nullable=False, index=True),
)

AUDIT = sa.Table(
    "audit",
    METADATA,
    sa.Column("id", Counter, primary_key=True, autoincrement=True),
    sa.Column("at", UtcTime(), nullable=False, index=True),
    sa.Column("actor", sa.String(100), nullable=False, index=True),
    sa.Column("key_id", sa.String(12)),
    sa.Column("role", sa.String(16)),
    sa.Column("address", sa.String(64)),
    sa.Column("action", sa.String(64), nullable=False, index=True),
    sa.Column("target", sa.String(200), nullable=False),
    sa.Column("outcome", sa.String(32), nullable=False),
    sa.Column("request_id", sa.String(64)),
    sa.Column("detail", sa.JSON(), nullable=False),
    sqlite_autoincrement=True,
)

IDEMPOTENCY = sa.Table(
    "idempotency",
    METADATA,
    sa.Column("caller", sa.String(12), primary_key=True),
    sa.Column("key", sa.String(255), primary_key=True),
    sa.Column("fingerprint", sa.String(64), nullable=False),
    sa.Column("token", sa.String(32), nullable=False),
    sa.Column("started_at", UtcTime(), nullable=False, index=True),
    # Of the answer that is kept; nothing while the request is carried out.
    sa.Column("status", sa.Integer()),
    sa.Column("media_type", sa.String(100)),
    sa.Column("body", sa.LargeBinary()),
)


class Records:
    """The database of the records.

    Parameters
    ----------
    address
        As SQLAlchemy writes it; ``postgresql://`` means the driver that Septet brings along.

    Raises
    ------
    ConfigError
        It is no address, or names a database that Septet does not keep its records in.
    """

    def __init__(self, address: str) -> None:
        self._url = _url(address)
        self._engine = make_engine(self._url)

    @property
    def address(self) -> str:
        """The address without its password."""
        return self._url.render_as_string(hide_password=True)

    @property
    def file(self) -> Path | None:
        """The file of an SQLite database."""
        name = self._url.database
        return Path(name) if self._url.get_backend_name() == "sqlite" and name else None

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Give a connection for a block that only reads, in one transaction.

        Raises
        ------
        RecordsDown, RecordsBehind
            The database does not answer, or has not the tables.
        """
        with self._told(), self._transaction(self._engine) as connection:
            yield connection

    @contextmanager
    def writing(self, *, seconds: float = BLOCK_SECONDS) -> Iterator[Connection]:
        """Give a connection for a block that is written whole or not at all.

        Parameters
        ----------
        seconds
            How long the block may take, the commit included.

        Raises
        ------
        RecordsDown, RecordsBehind
            The database does not answer, or has not the tables.
        """
        engine = self._engine.execution_options(**{WRITES: True})
        with self._told(), self._transaction(engine, seconds) as connection:
            yield connection

    def make_file(self) -> None:
        """Make the file of an SQLite database, readable by its owner alone; other ones exist."""
        if self.file is None:
            return
        self.file.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(self.file, os.O_WRONLY | os.O_CREAT, 0o600))
        with self._told(), closing(sqlite3.connect(self.file, timeout=BUSY_SECONDS)) as database:
            # It stays with the file: readers and the one writer do not wait for each other.
            database.execute("PRAGMA journal_mode=WAL")

    def revision(self) -> str | None:
        """Give the revision of the tables; nothing when there are none.

        Raises
        ------
        RecordsDown
            The database does not answer.
        """
        if self.file is not None and not self.file.exists():
            return None
        with self.reading() as connection:
            if not sa.inspect(connection).has_table(VERSION_TABLE):
                return None
            found = connection.execute(sa.select(_VERSION)).scalar()
        return None if found is None else str(found)

    def require_migrated(self) -> None:
        """Refuse to work with tables that are older than this version.

        Newer ones are accepted: a migration only adds, so that versions can be rolled over.

        Raises
        ------
        RecordsDown, RecordsBehind
            The database does not answer, or its tables are older.
        """
        found = self.revision()
        if found is None or found < REVISION:
            raise RecordsBehind(self.address, found, REVISION)

    def close(self) -> None:
        """Give the connections back."""
        self._engine.dispose()

    @contextmanager
    def _transaction(self, engine: Engine, seconds: float = BLOCK_SECONDS) -> Iterator[Connection]:
        """Run a block in a transaction that ends in time, also when the server is stuck."""
        with (
            engine.connect() as connection,
            bounded(connection.connection.dbapi_connection, seconds),
            connection.begin(),
        ):
            yield connection

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Turn what the driver raises into our errors; what the caller wrote wrong is its own."""
        if self.file is not None and not self.file.exists():
            raise RecordsBehind(self.address, None, REVISION)
        try:
            yield
        except sqlite3.Error as error:
            raise RecordsDown(self.address, str(error)) from error
        except (IntegrityError, DataError):
            raise
        except SQLAlchemyError as error:
            reason = _first_line(error)
            if isinstance(error, ProgrammingError) or reason.startswith("no such "):
                raise RecordsBehind(self.address, None, REVISION) from error
            raise RecordsDown(self.address, reason) from error


def next_revision(connection: Connection, name: str) -> int:
    """Raise a counter by one, and hold it until the transaction ends.

    Writers wait for each other here, so that revisions become visible in their order: a reader
    that saw one has seen all before it.

    Parameters
    ----------
    connection
        Of a writing block.
    name
        Of the counter.
    """
    raised = (
        sa.update(REVISIONS)
        .where(REVISIONS.c.name == name)
        .values(value=REVISIONS.c.value + 1)
        .returning(REVISIONS.c.value)
    )
    return int(connection.execute(raised).scalar_one())


def _url(address: str) -> URL:
    """Read an address."""
    hint = "One looks like postgresql+psycopg://user:password@host:5432/name."
    try:
        url = sa.make_url(address)
    except ArgumentError as error:
        raise ConfigError(f"SEPTET_RECORDS_ADDRESS is no address of a database. {hint}") from error
    if url.drivername in {"postgresql", "postgres"}:
        return url.set(drivername="postgresql+psycopg")
    if url.drivername not in {"postgresql+psycopg", "sqlite"}:
        fault = f"SEPTET_RECORDS_ADDRESS names {url.drivername!r}; SQLite and PostgreSQL serve here"
        raise ConfigError(f"{fault}. {hint}")
    if url.drivername == "sqlite" and url.database in {None, "", ":memory:"}:
        raise ConfigError("SEPTET_RECORDS_ADDRESS names no file: sqlite:///path/to/records.db.")
    return url


def _first_line(error: SQLAlchemyError) -> str:
    """Give what the driver said, in one line."""
    origin = error.orig if isinstance(error, DBAPIError) else None
    lines = str(origin or error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
