"""API keys as a serving process holds them: who is let in, and what the others are told."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa
import structlog
from structlog.testing import capture_logs

from core import clock
from core.access_config import LockoutConfig
from core.denials import LockedOut
from core.logs import configure_logs
from core.refusals import AccessDenied
from services.access.caller import Role
from services.access.keys import KeyStore
from services.access.ledger import KeyLedger
from services.access.secret import new_id, new_key
from services.migration import migrate
from services.records import KEYS, REVISIONS, Records
from tests.full_disk import FULL, comes_true, needs_full
from tests.services.access.conftest import BY

Make = Callable[..., str]


def id_of(key: str) -> str:
    return key.split("_")[2]


class TestIdentify:
    def test_a_key_opens_once_it_is_read_and_says_who_holds_it(
        self, store: KeyStore, make_key: Make
    ) -> None:
        key = make_key(
            Role.ANALYST,
            name="report",
            tier="gold",
            models=["churn", "revenue-leak"],
            expires_at="2999-01-01T00:00:00Z",
        )
        with pytest.raises(AccessDenied):
            store.identify(key)
        assert store.refresh()
        caller = store.identify(key)
        assert key.startswith(f"sep_live_{caller.key_id}_")
        assert (caller.name, caller.role, caller.tier) == ("report", Role.ANALYST, "gold")
        assert caller.models == frozenset({"churn", "revenue_leak"})
        assert caller.expires_at == datetime(2999, 1, 1, tzinfo=UTC)

    @pytest.mark.parametrize(
        ("change", "said"),
        [
            (lambda _: "", "No API key was sent"),
            (lambda _: "hunter2", "not an API key of Septet"),
            (lambda key: key + "x", "not an API key of Septet"),
            (lambda key: key + "\n", "not an API key of Septet"),
            (lambda key: "\ud800" + key, "not an API key of Septet"),
            (lambda key: key[:-1] + ("a" if key[-1] != "a" else "b"), "mistyped or cut off"),
            (lambda key: key[:30] + ("a" if key[30] != "a" else "b") + key[31:], "mistyped or cut"),
            (lambda key: key.replace("sep_live", "\u017fep_live"), "not an API key of Septet"),
        ],
    )
    def test_a_wrong_key_is_refused_with_what_is_wrong(
        self, store: KeyStore, make_key: Make, change: Callable[[str], str], said: str
    ) -> None:
        key = make_key()
        store.refresh()
        with pytest.raises(AccessDenied, match=said):
            store.identify(change(key))

    def test_a_wrong_secret_is_not_told_from_an_unknown_id(
        self, store: KeyStore, make_key: Make
    ) -> None:
        known = id_of(make_key())
        store.refresh()
        said = set()
        for key_id in (known, new_id()):
            with pytest.raises(AccessDenied) as caught:
                store.identify(new_key(key_id))
            said.add(caught.value.detail)
        assert len(said) == 1
        assert "not known here" in said.pop()

    def test_a_revoked_key_says_so_to_its_holder_alone(
        self, store: KeyStore, make_key: Make, ledger: KeyLedger
    ) -> None:
        key = make_key(Role.VIEWER)
        ledger.revoke(id_of(key), by=BY)
        store.refresh()
        with pytest.raises(AccessDenied, match="was revoked"):
            store.identify(key)
        with pytest.raises(AccessDenied, match="not known here"):
            store.identify(new_key(id_of(key)))

    def test_a_key_expires_by_itself_without_asking_the_database(
        self, records: Records, make_key: Make
    ) -> None:
        at = clock.now()
        key = make_key(Role.VIEWER, expires_at=at + timedelta(days=1))
        now_s = at.timestamp()
        store = KeyStore(records, now_s=lambda: now_s)
        store.refresh()
        assert store.identify(key).role is Role.VIEWER
        now_s += 86_400
        with pytest.raises(AccessDenied, match=rf"expired on {at + timedelta(days=1):%Y-%m-%d}"):
            store.identify(key)

    @pytest.mark.parametrize(
        ("networks", "origin", "opens"),
        [
            (["192.0.2.0/24"], "192.0.2.7", True),
            (["192.0.2.0/24"], "192.0.3.7", False),
            (["192.0.2.0/24"], "::ffff:192.0.2.7", True),
            (["192.0.2.0/24"], None, False),
            (["192.0.2.0/24"], "unix:", False),
            (["192.0.2.0/24", "2001:db8::/32"], "2001:db8:1::1", True),
            (["2001:db8::/32"], "192.0.2.7", False),
            ([], None, True),
        ],
    )
    def test_a_key_opens_only_from_its_networks(
        self,
        store: KeyStore,
        make_key: Make,
        networks: list[str],
        origin: str | None,
        *,
        opens: bool,
    ) -> None:
        key = make_key(networks=networks)
        store.refresh()
        if opens:
            assert store.identify(key, origin).role is Role.ADMIN
        else:
            with pytest.raises(AccessDenied, match="does not open from"):
                store.identify(key, origin)

    def test_after_a_rotation_both_secrets_open_until_the_overlap_ends(
        self, records: Records, make_key: Make
    ) -> None:
        old = make_key()
        ledger = KeyLedger(records)
        new = ledger.rotate(id_of(old), overlap=timedelta(hours=1), by=BY).key
        now_s = clock.now_s()
        store = KeyStore(records, now_s=lambda: now_s)
        store.refresh()
        assert id_of(new) == id_of(old)
        assert store.identify(old) == store.identify(new)
        now_s += 3601
        assert store.identify(new).role is Role.ADMIN
        with pytest.raises(AccessDenied, match="was replaced, and stopped on"):
            store.identify(old)

    def test_a_rotation_without_overlap_stops_the_old_secret_at_once(
        self, store: KeyStore, make_key: Make, ledger: KeyLedger
    ) -> None:
        old = make_key()
        new = ledger.rotate(id_of(old), overlap=timedelta(0), by=BY).key
        store.refresh()
        assert store.identify(new).role is Role.ADMIN
        with pytest.raises(AccessDenied, match="was replaced"):
            store.identify(old)


class TestLockout:
    def test_a_network_with_too_many_failures_waits_but_its_right_key_still_opens(
        self, records: Records, make_key: Make
    ) -> None:
        key = make_key()
        locked: list[tuple[str, float]] = []
        config = LockoutConfig(failures=3)
        store = KeyStore(records, lockout=config, on_lock=lambda *lock: locked.append(lock))
        store.refresh()
        wrong = new_key(id_of(key))
        for _ in range(2):
            with pytest.raises(AccessDenied):
                store.identify(wrong, "192.0.2.1")
        with pytest.raises(LockedOut, match=r"came from 192\.0\.2\.1\. .* in 60 seconds") as caught:
            store.identify(wrong, "192.0.2.1")
        assert caught.value.headers == {"Retry-After": "60"}
        assert locked == [("192.0.2.1", 60.0)]
        assert store.identify(key, "192.0.2.1").role is Role.ADMIN
        with pytest.raises(AccessDenied):
            store.identify(wrong, "192.0.2.2")

    def test_a_request_without_a_key_is_no_failure(self, records: Records) -> None:
        config = LockoutConfig(failures=1)
        store = KeyStore(records, lockout=config)
        for _ in range(3):
            with pytest.raises(AccessDenied, match="No API key was sent"):
                store.identify("", "192.0.2.1")


class TestFollowing:
    def test_a_look_without_a_change_reads_no_key(self, store: KeyStore, make_key: Make) -> None:
        make_key()
        store.refresh()
        with statements() as seen:
            store.refresh()
        assert [s for s in seen if " keys" in s] == []
        assert len([s for s in seen if " revisions" in s]) == 1

    def test_a_change_reads_only_what_changed(
        self, store: KeyStore, make_key: Make, records: Records
    ) -> None:
        first, second = make_key(name="first"), make_key(name="second")
        store.refresh()
        # Behind the store's back, without a revision: it would be seen were the row read again.
        with records.writing() as connection:
            rename = sa.update(KEYS).where(KEYS.c.id == id_of(first)).values(name="renamed")
            connection.execute(rename)
        KeyLedger(records).revoke(id_of(second), by=BY)
        store.refresh()
        assert store.identify(first).name == "first"
        with pytest.raises(AccessDenied, match="was revoked"):
            store.identify(second)

    def test_records_put_back_from_a_copy_are_read_anew(
        self, store: KeyStore, make_key: Make, records: Records
    ) -> None:
        key = make_key()
        make_key()
        store.refresh()
        with records.writing() as connection:
            connection.execute(sa.update(REVISIONS).values(value=1))
            connection.execute(sa.update(KEYS).values(revoked_at=clock.now()))
        store.refresh()
        with pytest.raises(AccessDenied, match="was revoked"):
            store.identify(key)

    def test_a_started_store_shuts_a_revoked_key_by_itself(
        self, records: Records, make_key: Make, ledger: KeyLedger
    ) -> None:
        make_key()
        key = make_key()
        store = KeyStore(records, poll_seconds=0.05)
        store.start()
        try:
            assert store.identify(key).role is Role.ADMIN
            ledger.revoke(id_of(key), by=BY)
            assert becomes_shut(store, key)
        finally:
            store.stop()


class TestDown:
    def test_keys_that_were_read_go_on_and_the_alarm_is_raised_once(
        self, records: Records, make_key: Make
    ) -> None:
        key = make_key()
        with capture_logs() as logs:
            store = KeyStore(records)
            seen = [(store.refresh(), store.is_stale)]
            rename(records, "revisions", "away")
            seen += [(store.refresh(), store.is_stale) for _ in range(2)]
            assert store.identify(key).role is Role.ADMIN
            rename(records, "away", "revisions")
            seen += [(store.refresh(), store.is_stale)]
        assert seen == [(True, False), (False, True), (False, True), (True, False)]
        said = [line["event"] for line in logs if line["log_level"] != "info"]
        assert said == ["keys_not_followed"]
        assert [line["event"] for line in logs][-1] == "keys_followed_again"

    @needs_full
    def test_a_disk_that_was_full_for_a_while_leaves_no_revoked_key_open(
        self, records: Records, make_key: Make, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        make_key()
        key = make_key()
        store = KeyStore(records, poll_seconds=0.01)
        # The alarm cannot be written either: the log is a file on the same disk.
        with FULL.open("w", encoding="utf-8") as full:
            monkeypatch.setattr(sys, "stderr", full)
            configure_logs()
            try:
                store.start()
                rename(records, "revisions", "away")
                assert comes_true(lambda: store.is_stale)
                rename(records, "away", "revisions")
                KeyLedger(records).revoke(id_of(key), by=BY)
                assert becomes_shut(store, key)
                assert comes_true(lambda: not store.is_stale)
            finally:
                store.stop()
                structlog.reset_defaults()

    def test_a_process_that_never_read_any_opens_to_nobody(self, make_key: Make) -> None:
        key = make_key()
        store = KeyStore(Records("postgresql://127.0.0.1:9/septet"))
        assert not store.refresh()
        assert store.is_stale
        assert len(store) == 0
        with pytest.raises(AccessDenied, match="not known here"):
            store.identify(key)

    def test_records_that_are_not_migrated_yet_are_read_once_they_are(self, address: str) -> None:
        records = Records(address)
        store = KeyStore(records)
        assert not store.refresh()
        migrate(records)
        assert store.refresh()
        records.close()


def rename(records: Records, table: str, other: str) -> None:
    """Take a table away, or put it back."""
    with records.writing() as connection:
        connection.execute(sa.text(f"ALTER TABLE {table} RENAME TO {other}"))


@contextmanager
def statements() -> Iterator[list[str]]:
    """Collect the statements that any engine sends meanwhile."""
    seen: list[str] = []

    def note(*event: object) -> None:
        seen.append(re.sub(r"\s+", " ", str(event[2])))

    sa.event.listen(sa.Engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", note)


def becomes_shut(store: KeyStore, key: str) -> bool:
    """Say whether a key is shut before long."""
    return comes_true(lambda: is_shut(store, key))


def is_shut(store: KeyStore, key: str) -> bool:
    """Say whether a key does not open."""
    try:
        store.identify(key)
    except AccessDenied:
        return True
    return False
