"""The book of the keys: what is written, beside what, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from core.denials import KeyUnknown, LastAdminKey, RecordsBehind
from core.errors import SeptetError
from core.refusals import FieldsInvalid
from services.access.audit import Wanted, read_entries
from services.access.caller import Role
from services.access.grant import Grant
from services.access.ledger import KeyLedger
from services.records import KEYS, Records
from tests.services.access.conftest import BY

START = datetime(2030, 1, 1, tzinfo=UTC)


def grant(role: Role = Role.ADMIN, **fields: object) -> Grant:
    return Grant.model_validate({"name": "tester", "role": role.label, **fields})


def test_a_change_that_cannot_be_audited_is_not_made(records: Records, ledger: KeyLedger) -> None:
    key_id = ledger.create(grant(Role.VIEWER), by=BY).record.id
    with records.writing() as connection:
        connection.exec_driver_sql("ALTER TABLE audit RENAME TO away")
    for change in (
        lambda: ledger.create(grant(), by=BY),
        lambda: ledger.rotate(key_id, overlap=timedelta(0), by=BY),
        lambda: ledger.revoke(key_id, by=BY),
    ):
        with pytest.raises(RecordsBehind):
            change()
    with records.writing() as connection:
        connection.exec_driver_sql("ALTER TABLE away RENAME TO audit")
    [record] = ledger.page(limit=10)
    assert (record.id, record.rotated_at, record.revoked_at) == (key_id, None, None)


def test_a_change_stands_beside_its_entry(records: Records, ledger: KeyLedger) -> None:
    key_id = ledger.create(grant(), by=BY).record.id
    ledger.create(grant(), by=BY)
    ledger.revoke(key_id, by=BY)
    ledger.revoke(key_id, by=BY)
    found = read_entries(records, Wanted(), limit=10)
    assert [(entry.action, entry.outcome) for entry in found] == [
        ("key.revoked", "unchanged"),
        ("key.revoked", "done"),
        ("key.created", "done"),
        ("key.created", "done"),
    ]


def test_an_expired_admin_key_may_go_when_one_that_opens_is_left(records: Records) -> None:
    at = START
    ledger = KeyLedger(records, now=lambda: at)
    lasting = ledger.create(grant(), by=BY).record.id
    short = ledger.create(grant(expires_at=START + timedelta(hours=1)), by=BY).record.id
    at += timedelta(hours=1)
    with pytest.raises(LastAdminKey):
        ledger.revoke(lasting, by=BY)
    assert ledger.revoke(short, by=BY).revoked_at == at


def test_two_admins_who_revoke_each_other_at_once_leave_one(ledger: KeyLedger) -> None:
    for _ in range(5):
        pair = [ledger.create(grant(), by=BY).record.id for _ in range(2)]
        for record in ledger.page(limit=1000):
            if record.id not in pair and record.revoked_at is None:
                ledger.revoke(record.id, by=BY)
        with ThreadPoolExecutor(2) as pool:
            results = list(
                pool.map(lambda key_id: outcome(lambda: ledger.revoke(key_id, by=BY)), pair)
            )
        assert sorted(results) == ["LastAdminKey", "done"]
        assert ledger.has_admin()


def test_changes_at_once_all_get_revisions_of_their_own(
    records: Records, ledger: KeyLedger
) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: ledger.create(grant(), by=BY), range(24)))
    with records.reading() as connection:
        revisions = sorted(row.revision for row in connection.execute(KEYS.select()))
    assert revisions == list(range(1, 25))


@pytest.mark.parametrize("hours", [-1, 24 * 30 + 1])
def test_an_overlap_out_of_bounds_is_refused(ledger: KeyLedger, hours: int) -> None:
    key_id = ledger.create(grant(), by=BY).record.id
    with pytest.raises(FieldsInvalid, match="0 seconds to 30 days are allowed"):
        ledger.rotate(key_id, overlap=timedelta(hours=hours), by=BY)


@pytest.mark.parametrize("key_id", ["", "nope", "\x00" * 12, "\ud800" * 12, "a" * 12])
def test_an_id_that_no_key_has_is_unknown(ledger: KeyLedger, key_id: str) -> None:
    for ask in (
        lambda: ledger.find(key_id),
        lambda: ledger.revoke(key_id, by=BY),
        lambda: ledger.rotate(key_id, overlap=timedelta(0), by=BY),
        lambda: ledger.page(limit=1, after=key_id),
    ):
        with pytest.raises(KeyUnknown):
            ask()


def test_a_page_goes_on_after_the_one_before_also_within_one_moment(records: Records) -> None:
    ledger = KeyLedger(records, now=lambda: START)
    made = {ledger.create(grant(), by=BY).record.id for _ in range(7)}
    seen: list[str] = []
    while page := ledger.page(limit=2, after=seen[-1] if seen else None):
        seen += [record.id for record in page]
    assert set(seen) == made
    assert len(seen) == 7


def outcome(act: Callable[[], object]) -> str:
    """Do something, and give its error's name or `done`."""
    try:
        act()
    except SeptetError as error:
        return error.code
    return "done"
