"""What was charged, from plug to end."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "sessions",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("device", sa.Text(), nullable=False),
        sa.Column("channel", sa.Integer(), nullable=True),
        sa.Column("site", sa.Text(), nullable=False),
        sa.Column("began_at", sa.BigInteger(), nullable=False),
        sa.Column("ended_at", sa.BigInteger(), nullable=False),
        sa.Column("energy_kwh", sa.Float(), nullable=False),
        sa.Column("peak_w", sa.Float(), nullable=False),
        sa.Column("charging_w", sa.Float(), nullable=False),
        sa.Column("phase", sa.Text(), nullable=False),
        sa.Column("ending", sa.Text(), nullable=False),
        sa.Column("stop_reason", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sqlite_autoincrement=True,
    )
    with op.batch_alter_table("sessions", schema=None) as batch_op:
        batch_op.create_index("sessions_by_site", ["site", "began_at"], unique=False)
    op.execute(
        "CREATE UNIQUE INDEX one_session ON sessions (device, ifnull(channel, 0), began_at)"
    )


def downgrade() -> None:
    """A ledger is never taken back: an older chargewatch refuses it."""
