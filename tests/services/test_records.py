"""The records: reached, prepared, and what is said when they are not."""

from __future__ import annotations

import stat
from contextlib import suppress
from pathlib import Path

import pytest
import sqlalchemy as sa

from core.denials import RecordsBehind, RecordsDown
from core.errors import ConfigError
from services.migration import migrate
from services.records import KEYS, KEYS_COUNTER, Records, next_revision
from tests.full_disk import nothing_fits


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "records.db"


def test_a_serving_process_makes_no_file_and_says_what_to_run(file: Path) -> None:
    records = Records(f"sqlite:///{file}")
    with pytest.raises(RecordsBehind, match=r"have no tables yet.*Run `septet migrate`"):
        records.require_migrated()
    with pytest.raises(RecordsBehind), records.reading():
        pass
    assert not file.parent.exists()


def test_an_empty_file_is_told_from_a_database_that_is_down(file: Path) -> None:
    file.parent.mkdir()
    file.touch()
    records = Records(f"sqlite:///{file}")
    with pytest.raises(RecordsBehind), records.reading() as connection:
        connection.execute(sa.select(KEYS))


def test_a_file_that_is_no_database_is_told(file: Path) -> None:
    file.parent.mkdir()
    file.write_bytes(b"no database" * 1000)
    with pytest.raises(RecordsDown, match="file is not a database"):
        migrate(Records(f"sqlite:///{file}"))


def test_a_full_disk_is_no_reason_not_to_read(file: Path) -> None:
    records = Records(f"sqlite:///{file}")
    migrate(records)
    with nothing_fits():
        for _ in range(2):
            records.require_migrated()
        with pytest.raises(RecordsDown), records.writing() as connection:
            next_revision(connection, KEYS_COUNTER)
    with records.writing() as connection:
        assert next_revision(connection, KEYS_COUNTER) == 1


def test_only_the_owner_reads_the_file(file: Path) -> None:
    records = Records(f"sqlite:///{file}")
    migrate(records)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    with records.writing() as connection:
        next_revision(connection, KEYS_COUNTER)
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in file.parent.iterdir()}
    assert modes == dict.fromkeys(["records.db", "records.db-wal", "records.db-shm"], 0o600)


def test_a_block_that_fails_writes_nothing(file: Path) -> None:
    records = Records(f"sqlite:///{file}")
    migrate(records)
    with suppress(ZeroDivisionError), records.writing() as connection:
        assert next_revision(connection, KEYS_COUNTER) == 1
        raise ZeroDivisionError
    with records.writing() as connection:
        assert next_revision(connection, KEYS_COUNTER) == 1


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("hello", "is no address of a database"),
        ("mysql://host/name", "names 'mysql'; SQLite and PostgreSQL serve here"),
        ("sqlite://", "names no file"),
        ("sqlite:///:memory:", "names no file"),
    ],
)
def test_a_wrong_address_says_what_one_looks_like(address: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        Records(address)


def test_a_database_that_is_not_reached_keeps_its_password() -> None:
    records = Records("postgresql://me:hunter2@127.0.0.1:9/septet")
    with pytest.raises(RecordsDown, match=r"me:\*\*\*@127.0.0.1:9/septet") as caught:
        records.revision()
    assert "hunter2" not in str(caught.value)
    assert "hunter2" not in repr(records)
    records.close()
