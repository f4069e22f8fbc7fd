"""Migrations: they make exactly the tables that the code works with, once, whoever comes first."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from services.migration import FOLDER, alembic_config, migrate
from services.records import METADATA, REVISION, Records


def test_the_code_works_with_the_newest_revision() -> None:
    assert ScriptDirectory(str(FOLDER)).get_heads() == [REVISION]


def test_the_tables_are_those_the_code_names(address: str) -> None:
    records = Records(address)
    assert migrate(records) is None
    with records.reading() as connection:
        assert compare_metadata(MigrationContext.configure(connection), METADATA) == []
    records.require_migrated()
    records.close()


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
        assert sa.inspect(connection).get_table_names() == ["alembic_version"]
    assert migrate(records) is None
    records.close()
