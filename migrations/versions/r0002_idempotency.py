"""Answers that are given again under the same Idempotency-Key."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from services.records import UtcTime

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "idempotency",
        sa.Column("caller", sa.String(12), primary_key=True),
        sa.Column("key", sa.String(255), primary_key=True),
        sa.Column("fingerprint", sa.String(64), nullable=False),
        sa.Column("token", sa.String(32), nullable=False),
        sa.Column("started_at", UtcTime(), nullable=False, index=True),
        sa.Column("status", sa.Integer()),
        sa.Column("media_type", sa.String(100)),
        sa.Column("body", sa.LargeBinary()),
    )


def downgrade() -> None:
    """Drop it."""
    op.drop_table("idempotency")
