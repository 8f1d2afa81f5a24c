"""Alarms that were ordered, to see whether people are told."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "alerts",
        sa.Column("drill", sa.Boolean(), server_default=sa.text("0"), nullable=False),
    )


def downgrade() -> None:
    """A ledger is never taken back: an older chargewatch refuses it."""
