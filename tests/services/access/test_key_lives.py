"""The lives of keys against a model: made, rotated, revoked, expired, in any order, at any time."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import ClassVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from core.access_config import LockoutConfig
from core.denials import KeyClosed, LastAdminKey
from core.refusals import AccessDenied
from services.access.caller import Role
from services.access.grant import Grant
from services.access.keys import KeyStore
from services.access.ledger import KeyLedger
from services.access.secret import new_key
from services.migration import migrate
from services.records import Records
from tests.services.access.conftest import BY
from tests.services.conftest import empty

START = datetime(2030, 1, 1, tzinfo=UTC)
NEVER = datetime.max.replace(tzinfo=UTC)
SPANS = st.integers(0, 5).map(lambda hours: timedelta(hours=hours))
# The machine sends wrong keys by the hundred: here they are not what is looked at.
NO_LOCK = LockoutConfig(failures=1000, window_seconds=0.001, lock_seconds=0.001)


@dataclass
class Life:
    """What should be so of one key."""

    role: Role
    expires_at: datetime = NEVER
    is_revoked: bool = False
    # When each secret that was ever handed out stops by rotation.
    secrets: dict[str, datetime] = field(default_factory=dict)

    def is_active(self, at: datetime) -> bool:
        return not self.is_revoked and at < self.expires_at


class KeyLives(RuleBasedStateMachine):
    """Does to the records what the model does, and compares who is let in."""

    blank: ClassVar[Path]
    address: ClassVar[str | None] = None
    ids = Bundle("ids")

    def __init__(self) -> None:
        super().__init__()
        self.now = START
        self.lives: dict[str, Life] = {}
        self.folder = Path(tempfile.mkdtemp(prefix="septet-lives-"))
        if self.address is None:
            shutil.copy(self.blank, self.folder / "records.db")
            self.records = Records(f"sqlite:///{self.folder / 'records.db'}")
        else:
            empty(self.address)
            self.records = Records(self.address)
            migrate(self.records)
        self.ledger = KeyLedger(self.records, now=lambda: self.now)
        self.store = self.new_store()
        # Lives through everything; the other one is begun anew at times.
        self.old_store = self.new_store()

    def teardown(self) -> None:
        self.records.close()
        shutil.rmtree(self.folder)

    def new_store(self) -> KeyStore:
        return KeyStore(self.records, lockout=NO_LOCK, now_s=self.now_s)

    def now_s(self) -> float:
        return self.now.timestamp()

    @initialize(target=ids)
    def the_first_admin(self) -> str:
        return self.make(Role.ADMIN, None)

    @rule(target=ids, role=st.sampled_from(Role), span=st.none() | SPANS)
    def create(self, role: Role, span: timedelta | None) -> str:
        return self.make(role, None if span is None else span + timedelta(hours=1))

    def make(self, role: Role, span: timedelta | None) -> str:
        expires_at = None if span is None else self.now + span
        grant = Grant(name="x", role=role.label, expires_at=expires_at)
        issued = self.ledger.create(grant, by=BY)
        life = Life(role, expires_at or NEVER, secrets={issued.key: NEVER})
        self.lives[issued.record.id] = life
        return issued.record.id

    @rule(key_id=ids, overlap=SPANS)
    def rotate(self, key_id: str, overlap: timedelta) -> None:
        life = self.lives[key_id]
        if not life.is_active(self.now):
            with pytest.raises(KeyClosed):
                self.ledger.rotate(key_id, overlap=overlap, by=BY)
            return
        issued = self.ledger.rotate(key_id, overlap=overlap, by=BY)
        for secret, until in life.secrets.items():
            if until == NEVER:
                life.secrets[secret] = self.now + overlap
        life.secrets[issued.key] = NEVER

    @rule(key_id=ids)
    def revoke(self, key_id: str) -> None:
        life = self.lives[key_id]
        admins = [
            other
            for other, its in self.lives.items()
            if its.role is Role.ADMIN and its.is_active(self.now)
        ]
        if admins == [key_id]:
            with pytest.raises(LastAdminKey):
                self.ledger.revoke(key_id, by=BY)
            return
        self.ledger.revoke(key_id, by=BY)
        life.is_revoked = True

    @rule(span=SPANS)
    def time_passes(self, span: timedelta) -> None:
        self.now += span

    @rule()
    def a_process_is_begun_anew(self) -> None:
        self.store = self.new_store()

    @invariant()
    def every_store_lets_in_exactly_the_keys_that_open(self) -> None:
        for store in (self.store, self.old_store):
            assert store.refresh()
            for key_id, life in self.lives.items():
                for secret, until in life.secrets.items():
                    opens = life.is_active(self.now) and self.now < until
                    assert is_let_in(store, secret) is (life.role if opens else None)
                assert is_let_in(store, new_key(key_id)) is None


def is_let_in(store: KeyStore, key: str) -> Role | None:
    """Give the role that a key is let in with."""
    try:
        return store.identify(key, "192.0.2.1").role
    except AccessDenied:
        return None


@pytest.fixture
def blank(tmp_path: Path) -> Path:
    records = Records(f"sqlite:///{tmp_path / 'blank.db'}")
    migrate(records)
    return tmp_path / "blank.db"


QUICK = settings(
    deadline=None,
    max_examples=25,
    stateful_step_count=25,
    suppress_health_check=[HealthCheck.too_slow],
)


def test_on_sqlite(blank: Path) -> None:
    kind = type("OnSqlite", (KeyLives,), {"blank": blank})
    run(kind, QUICK)


@pytest.mark.postgres
def test_on_postgres(postgres: str) -> None:
    kind = type("OnPostgres", (KeyLives,), {"address": postgres})
    run(kind, settings(QUICK, max_examples=5))


def run(kind: type[RuleBasedStateMachine], how: settings) -> None:
    run_state_machine_as_test(kind, settings=how)
