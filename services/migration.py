"""Brings the tables of the records to what this version works with.

Called by ``septet up``, ``septet migrate``, and whatever makes a key; never by a serving process.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa

from core.logs import get_logger
from core.settings import ROOT
from services.records import REVISION, Records

if TYPE_CHECKING:
    from alembic.config import Config
    from sqlalchemy.engine import Connection

FOLDER = ROOT / "migrations"
# Any number, as long as no other program asks the same PostgreSQL database for it.
_LOCK = 7_001_957
_WAIT_SECONDS = 60
_MOST_SECONDS = 3600.0


def migrate(records: Records) -> str | None:
    """Make the tables, or bring them to this version's revision; several may try at once.

    Parameters
    ----------
    records
        The database; an SQLite file is made when absent.

    Returns
    -------
    str or None
        The revision that the tables were at before; nothing when there were none.

    Raises
    ------
    RecordsDown
        The database does not answer.
    """
    before = records.revision()
    if before is not None and before >= REVISION:
        return before
    records.make_file()
    # Only now: it takes a third of a second to import.
    from alembic import command  # noqa: PLC0415

    with records.writing(seconds=_MOST_SECONDS) as connection:
        _wait_for_others(connection)
        command.upgrade(alembic_config(connection), "head")
    get_logger(__name__).info("records_migrated", before=before, now=REVISION)
    return before


def alembic_config(connection: Connection) -> Config:
    """Tell Alembic where the migrations are, and on which connection they run.

    Parameters
    ----------
    connection
        Of a writing block, so that all of it holds or nothing.
    """
    from alembic.config import Config  # noqa: PLC0415

    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(FOLDER).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config


def _wait_for_others(connection: Connection) -> None:
    """Let one process migrate at a time; SQLite's writers wait for each other anyway."""
    if connection.dialect.name != "postgresql":
        return
    connection.execute(sa.text(f"SET LOCAL lock_timeout = '{_WAIT_SECONDS}s'"))
    connection.execute(sa.text("SET LOCAL statement_timeout = 0"))
    connection.execute(sa.text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
