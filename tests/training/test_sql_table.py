"""Tables out of databases: SQLite and PostgreSQL, both real."""

import sqlite3
from pathlib import Path

import pytest
import sqlalchemy

from core.errors import SourceError
from tests.tables import HEADER, config_of, frame_of, line, read

QUERY = "select * from clients order by client"


@pytest.fixture
def address(tmp_path: Path) -> str:
    """Give an SQLite file with the table."""
    path = tmp_path / "firm.db"
    with sqlite3.connect(path) as database:
        database.execute(f"create table clients ({HEADER.replace(',', ' text, ')} text)")
        rows = [line(number).split(",") for number in range(240)]
        database.executemany("insert into clients values (?,?,?,?,?,?,?,?)", rows)
    database.close()
    return f"sqlite:///{path}"


def source(address: str, query: str = QUERY) -> dict[str, str]:
    return {"kind": "sql", "address": address, "query": query}


class TestSqlite:
    def test_reads_a_query(self, address: str, tmp_path: Path) -> None:
        frame, report = frame_of(config_of(source=source(address)), tmp_path)

        assert len(frame) == 240
        assert report.rows_left_out == 0

    def test_fills_in_a_variable(
        self, address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("FIRM", address.removeprefix("sqlite:///"))
        config = config_of(source=source("sqlite:///${FIRM}"))
        assert read(config, tmp_path).table.num_rows == 240

    def test_a_column_that_mixes_types_is_read_as_texts(self, address: str, tmp_path: Path) -> None:
        query = (
            "select client, month, left, staff, active, plan, region, "
            "case when client = 'c7' then 'seven' else 3 end as hours from clients"
        )

        raw = read(config_of(source=source(address, query)), tmp_path)

        assert set(raw.table.column("hours").to_pylist()) == {"3", "seven"}

    def test_says_that_there_is_no_such_file_and_makes_none(self, tmp_path: Path) -> None:
        path = tmp_path / "none.db"
        with pytest.raises(SourceError, match=r"no such file. Give source.address"):
            read(config_of(source=source(f"sqlite:///{path}")), tmp_path)
        assert not path.exists()

    def test_says_why_a_query_fails(self, address: str, tmp_path: Path) -> None:
        with pytest.raises(SourceError, match=r"no such table: client"):
            read(config_of(source=source(address, "select * from client")), tmp_path)

    def test_says_that_a_query_returns_nothing(self, address: str, tmp_path: Path) -> None:
        with pytest.raises(SourceError, match=r"returns no rows; check its WHERE"):
            read(config_of(source=source(address, f"{QUERY[:21]} where 1 = 0")), tmp_path)

    def test_refuses_a_column_that_the_query_names_twice(
        self, address: str, tmp_path: Path
    ) -> None:
        query = "select *, hours from clients"
        with pytest.raises(SourceError, match=r"column 'hours' stands twice"):
            read(config_of(source=source(address, query)), tmp_path)

    def test_names_the_nearest_column_when_one_is_missing(
        self, address: str, tmp_path: Path
    ) -> None:
        query = (
            "select client, month, left, hours as houres, staff, active, plan, region from clients"
        )
        with pytest.raises(SourceError, match=r"'hours' is missing. Did you mean 'houres'\?"):
            read(config_of(source=source(address, query)), tmp_path)


class TestAddress:
    def test_says_what_an_address_looks_like(self, tmp_path: Path) -> None:
        with pytest.raises(SourceError, match=r"no address. One looks like postgresql://"):
            read(config_of(source=source("my database")), tmp_path)

    def test_says_that_there_is_no_driver(self, tmp_path: Path) -> None:
        with pytest.raises(SourceError, match=r"no driver for it"):
            read(config_of(source=source("foobase://host/db")), tmp_path)

    def test_says_that_a_database_is_not_reached_and_keeps_the_password(
        self, tmp_path: Path
    ) -> None:
        config = config_of(source=source("postgresql://me:hunter2@127.0.0.1:9/firm"))
        with pytest.raises(SourceError, match=r"Check that the database runs") as caught:
            read(config, tmp_path)
        assert "hunter2" not in str(caught.value)
        assert "me:***@127.0.0.1:9/firm" in str(caught.value)


@pytest.mark.postgres
class TestPostgres:
    def test_reads_numbers_times_and_booleans_of_postgres(
        self, postgres: str, tmp_path: Path
    ) -> None:
        engine = sqlalchemy.create_engine(postgres.replace("postgresql:", "postgresql+psycopg:"))
        with engine.begin() as connection:
            connection.execute(
                sqlalchemy.text(
                    "create table clients as select 'c' || i as client, "
                    "timestamptz '2023-01-01 02:00+02' + i * interval '2 days' as month, "
                    "i % 3 = 0 as left, case when i % 7 > 0 then (i * 1.25)::numeric end as hours, "
                    "(1 + i % 9)::smallint as staff, i % 2 = 1 as active, 'pro' as plan, "
                    "'north' as region, gen_random_uuid() as id, '{1}'::int[] as more "
                    "from generate_series(0, 239) i"
                )
            )
        engine.dispose()
        query = "select * from clients where client like 'c%' order by clients.month"
        config = config_of(source=source(postgres, query), target={"positive": True})

        frame, report = frame_of(config, tmp_path)

        assert report.rows_left_out == 0
        assert (
            str(frame.as_of[0] if frame.as_of is not None else "") == "2023-01-01T00:00:00.000000"
        )
        assert frame.target[:4].tolist() == [1, 0, 0, 1]
        assert frame.columns["hours"][1] == 1.25
        assert frame.columns["active"][:2].tolist() == [0, 1]

    def test_says_what_postgres_says(self, postgres: str, tmp_path: Path) -> None:
        with pytest.raises(SourceError, match=r'relation "nothing" does not exist'):
            read(config_of(source=source(postgres, "select * from nothing")), tmp_path)
