"""Migrations: they make exactly the tables that the code works with, once, whoever comes first."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from services.migration import FOLDER, alembic_config, migrate
from services.records import METADATA, REVISION, VERSION_TABLE, Records


def test_the_code_works_with_the_newest_revision() -> None:
    assert ScriptDirectory(str(FOLDER)).get_heads() == [REVISION]


def test_the_tables_are_those_the_code_names(address: str) -> None:
    records = Records(address)
    assert migrate(records) is None
    with records.reading() as connection:
        options = {"version_table": VERSION_TABLE}
        context = MigrationContext.configure(connection, opts=options)
        ours = [change for change in compare_metadata(context, METADATA) if is_ours(change)]
        assert ours == []
    records.require_migrated()
    records.close()


def is_ours(change: Any) -> bool:
    """Tell a change of our tables from a foreign table in the same database."""
    return not (change[0] == "remove_table" and change[1].name not in METADATA.tables)


def test_a_second_migration_changes_nothing(address: str) -> None:
    records = Records(address)
    migrate(records)
    assert migrate(records) == REVISION
    records.close()


def test_several_that_come_at_once_all_find_the_tables(address: str) -> None:
    opened = [Records(address) for _ in range(4)]
    with ThreadPoolExecutor(len(opened)) as pool:
        list(pool.map(migrate, opened))
    for records in opened:
        records.require_migrated()
        records.close()


def test_all_of_it_can_be_taken_back(address: str) -> None:
    records = Records(address)
    migrate(records)
    with records.writing() as connection:
        command.downgrade(alembic_config(connection), "base")
    with records.reading() as connection:
        assert not METADATA.tables.keys() & set(sa.inspect(connection).get_table_names())
    assert migrate(records) is None
    records.close()
