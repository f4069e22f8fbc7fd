"""The audit: it only grows, it holds what is needed and no secret, and it stops no request."""

from __future__ import annotations

import getpass
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError
from structlog.testing import capture_logs

from core import clock
from services.access.audit import (
    REFUSED,
    Actor,
    Entry,
    Wanted,
    all_entries,
    read_entries,
    write_entries,
)
from services.access.caller import Role
from services.access.grant import Grant
from services.access.ledger import KeyLedger
from services.access.recorder import AuditRecorder
from services.records import AUDIT, KEYS, Records
from tests.services.access.conftest import BY


def write(records: Records, *entries: Entry) -> None:
    with records.writing() as connection:
        write_entries(connection, entries)


def entry(number: int, *, at: datetime | None = None) -> Entry:
    return Entry(BY, "test.done", f"target {number}", at=at or clock.now())


class TestTable:
    @pytest.mark.parametrize(
        "statement",
        [
            "UPDATE audit SET actor = 'nobody'",
            "DELETE FROM audit",
            "DELETE FROM keys",
        ],
    )
    def test_the_database_refuses_to_change_or_delete(
        self, records: Records, statement: str
    ) -> None:
        KeyLedger(records).create(Grant(name="x", role=Role.VIEWER.label), by=BY)
        engine = sa.create_engine(plain_address(records))
        with pytest.raises(DBAPIError, match=r"append-only|never deleted"), engine.begin() as line:
            line.execute(sa.text(statement))
        engine.dispose()
        with records.reading() as connection:
            for table in (AUDIT, KEYS):
                counted = sa.select(sa.func.count()).select_from(table)
                assert connection.execute(counted).scalar_one() == 1
        assert [kept.actor for kept in all_entries(records, Wanted())] == [BY.name]

    def test_a_line_cannot_be_put_in_the_place_of_another(self, records: Records) -> None:
        write(records, entry(1))
        how = "REPLACE" if records.file is not None else "TRUNCATE"
        statement = "TRUNCATE audit"
        if how == "REPLACE":
            statement = (
                "REPLACE INTO audit (id, at, actor, action, target, outcome, detail) "
                "VALUES (1, '2020-01-01 00:00:00.000000', 'x', 'x', 'x', 'x', '{}')"
            )
        engine = sa.create_engine(plain_address(records))
        with pytest.raises(DBAPIError, match="append-only"), engine.begin() as line:
            line.execute(sa.text(statement))
        engine.dispose()
        assert [kept.target for kept in all_entries(records, Wanted())] == ["target 1"]

    def test_what_a_block_that_fails_wrote_is_not_there(self, records: Records) -> None:
        with suppress(ZeroDivisionError), records.writing() as connection:
            write_entries(connection, [entry(1)])
            raise ZeroDivisionError
        assert list(all_entries(records, Wanted())) == []


class TestReading:
    def test_a_line_comes_back_as_it_was_written(self, records: Records) -> None:
        actor = Actor("key name", "0123456789ab", "admin", "192.0.2.1", "request-1")
        at = clock.now()
        detail = {"number": 1, "list": ["a"], "none": None, "text": "käse 🧀"}
        write(records, Entry(actor, "key.created", "x", REFUSED, detail, at))
        [kept] = read_entries(records, Wanted(), limit=10)
        assert kept.at == at
        assert (kept.actor, kept.key_id, kept.role) == ("key name", "0123456789ab", "admin")
        assert (kept.address, kept.request_id) == ("192.0.2.1", "request-1")
        assert (kept.action, kept.target, kept.outcome) == ("key.created", "x", "refused")
        assert kept.detail == detail

    def test_texts_that_others_wrote_are_kept_whatever_they_hold(self, records: Records) -> None:
        actor = Actor("\x00" * 300, address="\ud800" * 100)
        write(records, Entry(actor, "a.b", "/\x00\ud800" * 200, detail={"path": "\x00\ud800"}))
        [kept] = read_entries(records, Wanted(), limit=10)
        assert len(kept.actor) == 100
        assert "\x00" not in kept.actor + kept.target
        assert kept.detail["path"] == "\ufffd?"

    def test_since_is_within_and_until_is_not(self, records: Records) -> None:
        start = clock.now()
        times = [start + timedelta(seconds=number) for number in range(4)]
        write(records, *(entry(number, at=at) for number, at in enumerate(times)))
        wanted = Wanted(since=times[1], until=times[3])
        assert [e.target for e in all_entries(records, wanted)] == ["target 2", "target 1"]

    def test_all_of_it_comes_once_however_much_it_is(self, records: Records) -> None:
        write(records, *(entry(number) for number in range(2500)))
        found = [e.target for e in all_entries(records, Wanted(actor=BY.name))]
        assert found == [f"target {number}" for number in reversed(range(2500))]


class TestRecorder:
    def test_what_was_recorded_is_written_by_the_time_it_stopped(self, records: Records) -> None:
        recorder = AuditRecorder(records)
        recorder.start()
        for number in range(500):
            recorder.record(entry(number))
        recorder.stop()
        found = [e.target for e in all_entries(records, Wanted())]
        assert found == [f"target {number}" for number in reversed(range(500))]
        assert recorder.dropped == 0

    def test_what_is_too_much_is_dropped_counted_and_logged(self, records: Records) -> None:
        with capture_logs() as logs:
            recorder = AuditRecorder(records, most_waiting=10)
            for number in range(25):
                recorder.record(entry(number))
        assert recorder.dropped == 15
        dropped = [line["dropped"] for line in logs if line["event"] == "audit_dropped"]
        assert dropped == [1, 10]

    def test_what_came_while_the_records_were_down_is_written_when_they_are_back(
        self, records: Records
    ) -> None:
        with records.writing() as connection:
            connection.execute(sa.text("ALTER TABLE audit RENAME TO away"))
        with capture_logs() as logs:
            recorder = AuditRecorder(records)
            recorder.record(entry(1))
            recorder.start()
            assert appears(logs, "audit_not_written")
            with records.writing() as connection:
                connection.execute(sa.text("ALTER TABLE away RENAME TO audit"))
            recorder.record(entry(2))
            recorder.stop()
        found = [kept.target for kept in all_entries(records, Wanted())]
        assert found == ["target 2", "target 1"]
        assert recorder.dropped == 0
        assert appears(logs, "audit_written_again")

    def test_it_stops_also_while_the_records_are_down_and_counts_what_is_lost(
        self, records: Records
    ) -> None:
        with records.writing() as connection:
            connection.execute(sa.text("ALTER TABLE audit RENAME TO away"))
        with capture_logs() as logs:
            recorder = AuditRecorder(records)
            recorder.start()
            recorder.record(entry(1))
            assert appears(logs, "audit_not_written")
            recorder.stop()
        assert recorder.dropped >= 1
        assert not any(thread.name == "audit" for thread in threading.enumerate())

    def test_what_is_alike_within_a_minute_is_one_line_and_the_next_says_how_many(
        self, records: Records
    ) -> None:
        now_s = 1000.0
        recorder = AuditRecorder(records, monotonic=lambda: now_s)
        for number in range(5):
            recorder.record_seldom(entry(number), alike="a")
            recorder.record_seldom(entry(10 + number), alike="b")
        now_s += 60
        recorder.record_seldom(entry(5), alike="a")
        recorder.start()
        recorder.stop()
        found = [(kept.target, dict(kept.detail)) for kept in all_entries(records, Wanted())]
        assert found == [
            ("target 14", {"left_out": 3}),  # told at the end: four, this one among them
            ("target 5", {"left_out": 4}),
            ("target 10", {}),
            ("target 0", {}),
        ]

    def test_however_many_kinds_there_are_few_are_remembered_and_none_is_lost(
        self, records: Records
    ) -> None:
        recorder = AuditRecorder(records, most_waiting=10_000, monotonic=lambda: 0.0)
        for number in range(3000):
            recorder.record_seldom(entry(number), alike=number)
            recorder.record_seldom(entry(number), alike=number)
        recorder.start()
        recorder.stop()
        assert len(list(all_entries(records, Wanted()))) == 6000


def appears(logs: Sequence[Mapping[str, object]], event: str) -> bool:
    """Say whether an event is logged before long."""
    for _ in range(200):
        if any(line["event"] == event for line in logs):
            return True
        time.sleep(0.02)
    return False


def test_the_person_at_the_command_line_is_named() -> None:
    assert Actor.shell().name == f"cli:{getpass.getuser()}"


def plain_address(records: Records) -> str:
    """Give the address as any other program would write it."""
    if records.file is not None:
        return f"sqlite:///{records.file}"
    return records.address
