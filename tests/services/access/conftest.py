"""Records in a real SQLite file and in a real PostgreSQL: every test runs on both."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from services.access.audit import Actor
from services.access.caller import Role
from services.access.grant import Grant
from services.access.keys import KeyStore
from services.access.ledger import KeyLedger
from services.migration import migrate
from services.records import Records

BY = Actor("cli:tester")


@pytest.fixture
def records(address: str) -> Iterator[Records]:
    """Give migrated records."""
    opened = Records(address)
    migrate(opened)
    yield opened
    opened.close()


@pytest.fixture
def ledger(records: Records) -> KeyLedger:
    """Give the book of the keys."""
    return KeyLedger(records)


@pytest.fixture
def store(records: Records) -> KeyStore:
    """Give the keys as a serving process holds them; the test says when to look."""
    return KeyStore(records)


@pytest.fixture
def make_key(ledger: KeyLedger) -> Callable[..., str]:
    """Make a key of a role, with more fields when wanted."""

    def make(role: Role = Role.ADMIN, **fields: object) -> str:
        content = {"name": "tester", "role": role.label, **fields}
        return ledger.create(Grant.model_validate(content), by=BY).key

    return make
