"""Keys, the counter of their changes, and the append-only audit."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from services.records import Counter, UtcTime

revision = "0001"
down_revision = None

_SQLITE_GUARD = """
CREATE TRIGGER {table}_no_{event} BEFORE {event} ON {table}
BEGIN SELECT RAISE(ABORT, '{said}'); END
"""
# REPLACE deletes without a trigger for it; the keys of our own inserts are always new.
_SQLITE_REPLACE = """
CREATE TRIGGER {table}_no_replace BEFORE INSERT ON {table}
WHEN EXISTS (SELECT 1 FROM {table} WHERE id = NEW.id)
BEGIN SELECT RAISE(ABORT, '{said}'); END
"""
_POSTGRES_FUNCTION = """
CREATE FUNCTION {table}_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION '{said}'; END $$
"""
_POSTGRES_GUARD = """
CREATE TRIGGER {table}_no_{event} BEFORE {event} ON {table}
FOR EACH STATEMENT EXECUTE FUNCTION {table}_refuse()
"""
_APPEND_ONLY = "the audit is append-only"
# A serving process reads changed rows only, and would go on opening to a key whose row is gone.
_NEVER_DELETED = "keys are revoked, never deleted"


def upgrade() -> None:
    """Make the tables and their guards."""
    revisions = op.create_table(
        "revisions",
        sa.Column("name", sa.String(32), primary_key=True),
        sa.Column("value", sa.BigInteger(), nullable=False),
    )
    op.bulk_insert(revisions, [{"name": "keys", "value": 0}])
    _make_keys()
    _make_audit()
    _guard("audit", ("UPDATE", "DELETE"), said=_APPEND_ONLY)
    _guard("keys", ("DELETE",), said=_NEVER_DELETED)


def downgrade() -> None:
    """Drop all of it."""
    for table in ("audit", "keys", "revisions"):
        op.drop_table(table)
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP FUNCTION audit_refuse")
        op.execute("DROP FUNCTION keys_refuse")


def _make_keys() -> None:
    op.create_table(
        "keys",
        sa.Column("id", sa.String(12), primary_key=True),
        sa.Column("name", sa.String(80), nullable=False),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("tier", sa.String(63), nullable=False),
        sa.Column("models", sa.JSON(none_as_null=True)),
        sa.Column("networks", sa.JSON(), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("retiring", sa.JSON(), nullable=False),
        sa.Column("created_at", UtcTime(), nullable=False),
        sa.Column("created_by", sa.String(100), nullable=False),
        sa.Column("rotated_at", UtcTime()),
        sa.Column("expires_at", UtcTime()),
        sa.Column("revoked_at", UtcTime()),
        sa.Column("revision", sa.BigInteger(), nullable=False),
    )
    op.create_index("ix_keys_revision", "keys", ["revision"])


def _make_audit() -> None:
    op.create_table(
        "audit",
        sa.Column("id", Counter, primary_key=True, autoincrement=True),
        sa.Column("at", UtcTime(), nullable=False),
        sa.Column("actor", sa.String(100), nullable=False),
        sa.Column("key_id", sa.String(12)),
        sa.Column("role", sa.String(16)),
        sa.Column("address", sa.String(64)),
        sa.Column("action", sa.String(64), nullable=False),
        sa.Column("target", sa.String(200), nullable=False),
        sa.Column("outcome", sa.String(32), nullable=False),
        sa.Column("request_id", sa.String(64)),
        sa.Column("detail", sa.JSON(), nullable=False),
        sqlite_autoincrement=True,
    )
    for column in ("at", "actor", "action"):
        op.create_index(f"ix_audit_{column}", "audit", [column])


def _guard(table: str, events: tuple[str, ...], *, said: str) -> None:
    """Let the database itself refuse what must not happen to a table."""
    if op.get_bind().dialect.name == "sqlite":
        for event in events:
            op.execute(_SQLITE_GUARD.format(table=table, event=event, said=said))
        op.execute(_SQLITE_REPLACE.format(table=table, said=said))
        return
    op.execute(_POSTGRES_FUNCTION.format(table=table, said=said))
    for event in (*events, "TRUNCATE"):
        op.execute(_POSTGRES_GUARD.format(table=table, event=event))
